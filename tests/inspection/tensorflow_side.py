"""What TensorFlow says of a module: the other side of the differential tests of `hub.inspect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2, struct_pb2
from tensorflow.python.saved_model import nested_structure_coder

import modhub as hub
from modhub.inspection.description import Inspection, SignatureDescription, TensorDescription, VariantDescription

INTERNAL = {"__saved_model_init_op", "__saved_model_train_op"}
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def read_proto(directory: Path) -> Any:
    """Read saved_model.pb or .pbtxt with TensorFlow's messages."""
    if (directory / "saved_model.pb").exists():
        return saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    return text_format.Parse((directory / "saved_model.pbtxt").read_text(), saved_model_pb2.SavedModel())


def check_inspection(found: Inspection, directory: Path) -> None:
    """Compare a description with what TensorFlow says of the module in a directory."""
    proto = read_proto(directory)
    assert [variant.tags for variant in found.variants] == [
        tuple(sorted(meta_graph.meta_info_def.tags)) for meta_graph in proto.meta_graphs
    ]
    for variant, meta_graph in zip(found.variants, proto.meta_graphs, strict=True):
        check_variant(variant, meta_graph)
    check_variables(found, directory)
    check_files(found, directory)
    if found.format == "TF1 Hub module":
        check_spec(found, hub.load_module_spec(str(directory)))


def check_variant(found: VariantDescription, meta_graph: Any) -> None:
    """Compare a variant with its MetaGraphDef."""
    graph = meta_graph.graph_def
    library = graph.library.function
    assert found.ops == Counter(node.op for node in graph.node)
    assert found.functions == {function.signature.name: len(function.node_def) for function in library}
    assert found.function_ops == Counter(node.op for function in library for node in function.node_def)
    assert (found.producer, found.min_consumer) == (graph.versions.producer, graph.versions.min_consumer)
    assert found.tensorflow_version == meta_graph.meta_info_def.tensorflow_version
    collections = {key: list(items(meta_graph, key)) for key in meta_graph.collection_def}
    assert found.collections == {key: len(held) for key, held in collections.items()}
    for ours, key in ((found.variables, "variables"), (found.trainable, "trainable_variables")):
        assert list(ours) == sorted({full_name(each) for each in collections.get(key, ())})
    assert list(found.regularization_losses) == collections.get("regularization_losses", [])
    assert list(found.update_ops) == collections.get("update_ops", [])
    assert list(found.assets) == sorted(set(assets(meta_graph)))
    signatures = {name: each for name, each in meta_graph.signature_def.items() if name not in INTERNAL}
    assert [signature.name for signature in found.signatures] == sorted(signatures)
    nodes = {node.name: node for node in graph.node}
    for signature in found.signatures:
        check_signature(signature, signatures[signature.name], nodes)


def items(meta_graph: Any, key: str) -> Any:
    """What a collection of a MetaGraphDef holds."""
    definition = meta_graph.collection_def[key]
    return getattr(definition, definition.WhichOneof("kind")).value


def full_name(raw: bytes) -> str:
    """The name in the checkpoint of a serialized VariableDef."""
    definition = variable_pb2.VariableDef.FromString(raw)
    if definition.HasField("save_slice_info_def"):
        return definition.save_slice_info_def.full_name
    return definition.variable_name.partition(":")[0]


def assets(meta_graph: Any) -> list[str]:
    """The file names of the assets of a MetaGraphDef."""
    listed = [each.filename for each in meta_graph.asset_file_def]
    if "saved_model_assets" in meta_graph.collection_def:
        for packed in items(meta_graph, "saved_model_assets"):
            asset = meta_graph_pb2.AssetFileDef()
            assert packed.Unpack(asset)
            listed.append(asset.filename)
    return listed


def check_signature(found: SignatureDescription, definition: Any, nodes: dict[str, Any]) -> None:
    """Compare a signature with its SignatureDef."""
    assert found.method_name == definition.method_name
    for ours, theirs in ((found.inputs, definition.inputs), (found.outputs, definition.outputs)):
        assert [tensor.name for tensor in ours] == sorted(theirs)
        for tensor in ours:
            check_tensor(tensor, theirs[tensor.name])
    for tensor in found.inputs:
        ops = {nodes[name.partition(":")[0]].op for name in tensor.tensors}
        assert tensor.optional == (ops == {"PlaceholderWithDefault"})


def check_tensor(found: TensorDescription, info: Any) -> None:
    """Compare an input or output with its TensorInfo."""
    if info.WhichOneof("encoding") == "composite_tensor":
        spec = decoded_spec(info)
        assert isinstance(spec, tf.RaggedTensorSpec)
        assert (found.kind, found.dtype, found.shape) == ("ragged", spec.dtype.name, as_shape(spec.shape))
        assert list(found.tensors) == [component.name for component in info.composite_tensor.components]
        return
    assert (found.dtype, found.shape) == (tf.as_dtype(info.dtype).name, as_shape(tf.TensorShape(info.tensor_shape)))
    if info.WhichOneof("encoding") == "coo_sparse":
        sparse = info.coo_sparse
        names = (sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name)
        assert (found.kind, found.tensors) == ("sparse", names)
    else:
        assert (found.kind, found.tensors) == ("dense", (info.name,))


def decoded_spec(info: Any) -> Any:
    """The TypeSpec of a composite tensor."""
    value = struct_pb2.StructuredValue(type_spec_value=info.composite_tensor.type_spec)
    return nested_structure_coder.decode_proto(value)


def as_shape(shape: Any) -> tuple[int | None, ...] | None:
    """A TensorShape as a tuple."""
    return None if shape.rank is None else tuple(shape.as_list())


def check_spec(found: Inspection, spec: hub.ModuleSpec) -> None:
    """Compare signatures with what hub.load_module_spec says."""
    assert [frozenset(variant.tags) for variant in found.variants] == spec.get_tags()
    for variant in found.variants:
        assert [signature.name for signature in variant.signatures] == spec.get_signature_names(variant.tags)
        for signature in variant.signatures:
            for ours, theirs in (
                (signature.inputs, spec.get_input_info_dict(signature.name, variant.tags)),
                (signature.outputs, spec.get_output_info_dict(signature.name, variant.tags)),
            ):
                assert {tensor.name: (tensor.dtype, tensor.shape, tensor.kind) for tensor in ours} == {
                    name: (info.dtype.name, as_shape(info.get_shape()), kind(info)) for name, info in theirs.items()
                }


def kind(info: Any) -> str:
    """What a ParsedTensorInfo is of."""
    return "sparse" if info.is_sparse else "ragged" if info.is_composite else "dense"


def check_variables(found: Inspection, directory: Path) -> None:
    """Compare names, dtypes, shapes and all bits of the variables with what tf.train.load_checkpoint reads."""
    prefix = directory / "variables" / "variables"
    if not prefix.with_name("variables.index").exists():
        assert found.variables == ()
        return
    reader = tf.train.load_checkpoint(str(prefix))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    keys = {key.removesuffix(SUFFIX): key for key in shapes if key != OBJECT_GRAPH}
    assert [variable.name for variable in found.variables] == sorted(keys)
    read = dict(found.read_variables())
    for variable in found.variables:
        key = keys[variable.name]
        assert (variable.dtype, list(variable.shape)) == (dtypes[key].name, shapes[key])
        theirs = np.asarray(reader.get_tensor(key))
        for ours in (found.read_variable(variable.name), read[variable.name]):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            # Of an array of objects the bytes are addresses.
            assert ours.tolist() == theirs.tolist() if theirs.dtype.hasobject else ours.tobytes() == theirs.tobytes()


def check_files(found: Inspection, directory: Path) -> None:
    """Compare files and assets with what lies in the directory."""
    files = {
        path.relative_to(directory).as_posix(): path.stat().st_size for path in directory.rglob("*") if path.is_file()
    }
    assert found.files == files
    assert found.bytes == sum(files.values())
    assert {asset.name: asset.bytes for asset in found.assets} == {
        name.removeprefix("assets/"): size for name, size in files.items() if name.startswith("assets/")
    }
