from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modhub.format import protos

pytest.importorskip("tensorflow")

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2, variable_pb2
from tensorflow.core.protobuf import (
    control_flow_pb2,
    meta_graph_pb2,
    saved_model_pb2,
    tensor_bundle_pb2,
    trackable_object_graph_pb2,
)

# schema.txt is TensorFlow 2.21's; a TensorFlow before that may have fewer fields and enum values.
EXACT = tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 21)


def test_the_messages_are_those_of_tensorflow() -> None:
    ours, theirs = _described(_our_messages()), _described(_their_messages())
    # An enum is an int32 on the wire, and this one of ours is declared as that.
    theirs["tensorflow.BundleEntryProto"]["dtype"] = ours["tensorflow.BundleEntryProto"]["dtype"]
    assert {"tensorflow.SavedModel", "tensorflow.AttrValue.ListValue", "tensorflow.DataType"} <= theirs.keys()
    if EXACT:
        assert ours == theirs
    else:
        assert ours.keys() >= theirs.keys()
        assert {name: {key: ours[name].get(key) for key in known} for name, known in theirs.items()} == theirs


def test_repeated_numbers_are_packed_as_tensorflow_packs_them() -> None:
    theirs = {message.full_name: message for message in _their_messages()}
    packed = 0
    for descriptor in _our_messages():
        for field in descriptor.fields:
            if _is_repeated(field) and field.message_type is None and field.full_name in _field_names(theirs):
                value: Any = b"a" if field.type == field.TYPE_BYTES else "a" if field.type == field.TYPE_STRING else 1
                own, other = _class(descriptor)(), _class(theirs[descriptor.full_name])()
                for message in (own, other):
                    getattr(message, field.name).extend([value, value])
                assert own.SerializeToString() == other.SerializeToString(), field.full_name
                packed += value == 1
    assert packed > 20


def test_shared_saved_models_are_read_as_tensorflow_reads_them(shared_modules: Path) -> None:
    paths = sorted(shared_modules.rglob("saved_model.pb"))
    assert len(paths) >= 9
    for path in paths:
        _check_round_trips(protos.SavedModel, saved_model_pb2.SavedModel, path.read_bytes())


def test_what_their_collections_hold_is_read_as_tensorflow_reads_it(shared_modules: Path) -> None:
    kinds = {
        "variables": variable_pb2.VariableDef,
        "while_context": control_flow_pb2.WhileContextDef,
        "cond_context": control_flow_pb2.CondContextDef,
    }
    seen = set()
    for path in shared_modules.rglob("saved_model.pb"):
        for meta_graph in protos.SavedModel.FromString(path.read_bytes()).meta_graphs:
            for key in kinds.keys() & meta_graph.collection_def.keys():
                for value in meta_graph.collection_def[key].bytes_list.value:
                    _check_round_trips(getattr(protos, kinds[key].__name__), kinds[key], value)
                    seen.add(key)
    assert {"variables", "while_context"} <= seen


def test_a_saved_model_of_tf2_is_read_as_tensorflow_reads_it(tmp_path: Path) -> None:
    module = tf.Module()
    module.v = tf.Variable([1.0, 2.0], name="v", aggregation=tf.VariableAggregation.MEAN)
    module.asset = tf.saved_model.Asset(_written(tmp_path / "tokens.txt"))
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(module.asset, tf.string, 0, tf.int64, -1), default_value=-1
    )
    spec = tf.RaggedTensorSpec([None, None], tf.float32)
    module.call = tf.function(lambda x, named=None: x.to_tensor()[:, :2] * module.v, input_signature=[spec])
    saved = tmp_path / "saved"
    tf.saved_model.save(module, str(saved))
    data = (saved / "saved_model.pb").read_bytes()
    _check_round_trips(protos.SavedModel, saved_model_pb2.SavedModel, data)
    nodes = protos.SavedModel.FromString(data).meta_graphs[0].object_graph_def.nodes
    assert {"user_object", "asset", "function", "variable", "resource"} <= {node.WhichOneof("kind") for node in nodes}
    reader = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    objects = reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    _check_round_trips(protos.TrackableObjectGraph, trackable_object_graph_pb2.TrackableObjectGraph, objects)


def test_text_that_tensorflow_writes_has_its_any_expanded() -> None:
    original = meta_graph_pb2.MetaGraphDef()
    asset = meta_graph_pb2.AssetFileDef(filename="tokens.txt", tensor_info={"name": "asset:0"})
    original.collection_def["saved_model_assets"].any_list.value.add().Pack(asset)
    text = text_format.MessageToString(original)
    assert "[type.googleapis.com/tensorflow.AssetFileDef]" in text
    message = protos.parse_text(text, protos.MetaGraphDef())
    assert meta_graph_pb2.MetaGraphDef.FromString(message.SerializeToString()) == original


def test_text_of_debug_info_is_read() -> None:
    original = graph_pb2.GraphDef()
    original.debug_info.files.append("model.py")
    original.debug_info.traces["x"].file_line_cols.add(line=3, func="call")
    original.debug_info.name_to_trace_id["y"] = 2**63
    _check_round_trips(protos.GraphDef, graph_pb2.GraphDef, original.SerializeToString())


def _check_round_trips(ours: Any, theirs: Any, data: bytes) -> None:
    """Our message says what TensorFlow's does, in fields, in binary form and as text."""
    message, original = ours.FromString(data), theirs.FromString(data)
    assert message.SerializeToString(deterministic=True) == original.SerializeToString(deterministic=True)
    assert theirs.FromString(message.SerializeToString()) == original
    text = text_format.MessageToString(original)
    # Unknown fields would stand in the text with a number in place of a name.
    assert text_format.MessageToString(message, print_unknown_fields=True) == text
    assert protos.parse_text(text, ours()) == message


def _written(path: Path) -> str:
    path.write_text("a\nb\n")
    return str(path)


def _our_messages() -> list[Any]:
    files = [message.DESCRIPTOR.file for message in (protos.SavedModel, protos.VersionDef, protos.GraphDebugInfo)]
    return [found for file in files for found in _messages(file.message_types_by_name.values())]


def _their_messages() -> list[Any]:
    files: dict[str, Any] = {}
    for module in (saved_model_pb2, control_flow_pb2, tensor_bundle_pb2):
        _collect(module.DESCRIPTOR, files)
    return [found for file in files.values() for found in _messages(file.message_types_by_name.values())]


def _collect(file: Any, files: dict[str, Any]) -> None:
    """Add a .proto file of TensorFlow, and those that it imports."""
    if file.package == "tensorflow" and file.name not in files:
        files[file.name] = file
        for imported in file.dependencies:
            _collect(imported, files)


def _messages(descriptors: Any) -> Iterator[Any]:
    for descriptor in descriptors:
        yield descriptor
        yield from _messages(descriptor.nested_types)


def _described(messages: list[Any]) -> dict[str, dict[str, object]]:
    """What is declared under each full name: fields of messages, and numbers of enums."""
    described: dict[str, dict[str, object]] = {}
    for message in messages:
        described[message.full_name] = {field.name: _field(field) for field in message.fields}
        described[message.full_name]["(map entry)"] = message.GetOptions().map_entry
        enums = [*message.enum_types, *(field.enum_type for field in message.fields if field.enum_type)]
        described.update({enum.full_name: {value.name: value.number for value in enum.values} for enum in enums})
    return described


def _field(field: Any) -> tuple[object, ...]:
    below = field.message_type or field.enum_type
    oneof = field.containing_oneof and field.containing_oneof.name
    if not EXACT and field.full_name == "tensorflow.TensorSliceProto.Extent.length":
        oneof = "has_length_hack"  # "has_length" before TensorFlow 2.20; only Python code that asks for it sees a name
    kind = (field.type, _is_repeated(field), field.has_presence, below and below.full_name)
    return (field.number, *kind, oneof, field.default_value if below is None and not _is_repeated(field) else None)


def _is_repeated(field: Any) -> bool:
    # protobuf 4 lacks the first, and protobuf 7 warns of the second.
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def _field_names(messages: dict[str, Any]) -> set[str]:
    return {field.full_name for message in messages.values() for field in message.fields}


def _class(descriptor: Any) -> Any:
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(descriptor)
