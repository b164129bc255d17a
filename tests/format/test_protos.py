from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import descriptor_pool

from modhub.format import ImageModuleInfo, ModuleAttachment, ModuleDef, protos
from modhub.format.schema import parse_schema


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (ModuleDef(format=3), b"\x08\x03"),
        (ModuleDef(format=3, required_features=["a", "bc"]), b"\x08\x03\x12\x01a\x12\x02bc"),
        (ModuleAttachment(key="k", value=b"\x00\xff"), b"\x0a\x01k\x12\x02\x00\xff"),
        (ImageModuleInfo(default_image_size={"height": 299, "width": 300}), b"\x0a\x06\x08\xab\x02\x10\xac\x02"),
        (ImageModuleInfo(default_image_size={}), b"\x0a\x00"),
        (protos.BundleHeaderProto(num_shards=1, version={"producer": 1}), b"\x08\x01\x1a\x02\x08\x01"),
        (
            protos.BundleHeaderProto(endianness=1, version={"min_consumer": 2, "bad_consumers": [3]}),
            b"\x10\x01\x1a\x05\x10\x02\x1a\x01\x03",
        ),
        (
            protos.BundleEntryProto(dtype=1, shape={"dim": [{"size": 2}]}, shard_id=1, offset=2, size=8, crc32c=5),
            b"\x08\x01\x12\x04\x12\x02\x08\x02\x18\x01\x20\x02\x28\x08\x35\x05\x00\x00\x00",
        ),
        (
            protos.BundleEntryProto(slices=[{"extent": [{"start": 2, "length": 0}, {}]}]),
            b"\x3a\x08\x0a\x04\x08\x02\x10\x00\x0a\x00",
        ),
        (protos.TensorShapeProto(unknown_rank=True), b"\x18\x01"),
        (protos.NodeDef(name="a", attr={"T": protos.AttrValue(type=1)}), b"\x0a\x01a\x2a\x07\x0a\x01T\x12\x02\x30\x01"),
        (protos.AttrValue(list={"i": [1, 300]}), b"\x0a\x05\x1a\x03\x01\xac\x02"),
        (protos.StructuredValue(int64_value=-1), b"\x60\x01"),
    ],
)
def test_messages_have_the_wire_format_of_the_originals(message: Any, wire: bytes) -> None:
    assert message.SerializeToString() == wire
    assert type(message).FromString(wire) == message


def test_a_slice_without_length_differs_from_one_of_length_zero() -> None:
    whole, empty = protos.TensorSliceProto(extent=[{}, {"length": 0}]).extent
    assert (whole.HasField("length"), empty.HasField("length")) == (False, True)


def test_a_message_can_be_filled_copied_and_pickled() -> None:
    info = ImageModuleInfo()
    size = info.default_image_size
    size.height, size.width = 224, 192
    assert info == ImageModuleInfo(default_image_size=ImageModuleInfo.InputSize(height=224, width=192))
    assert copy.deepcopy(info) == info
    assert pickle.loads(pickle.dumps(info)) == info
    assert str(info) == "default_image_size {\n  height: 224\n  width: 192\n}\n"


def test_the_default_pool_is_left_to_others() -> None:
    assert ModuleDef.DESCRIPTOR.full_name == "tensorflow_hub.ModuleDef"
    assert ModuleDef.FORMAT_V3 == 3
    for message in (ModuleDef, protos.SavedModel):
        assert message.DESCRIPTOR.file.pool is not descriptor_pool.Default()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("tensorflow_hub.ModuleDef")


def test_every_name_is_there_and_no_other() -> None:
    assert all(hasattr(protos, name) for name in protos.__all__)
    assert protos.FunctionDefLibrary.DESCRIPTOR.full_name == "tensorflow.FunctionDefLibrary"
    assert not hasattr(protos, "NoSuchDef")


@pytest.mark.parametrize(
    "message",
    [
        protos.SavedModel(meta_graphs=[{"graph_def": {"node": [{"name": "x"}]}}]),
        protos.AttrValue.ListValue(s=[b"a"]),
        protos.TrackableObjectGraph.TrackableObject.ObjectReference(node_id=3),
        protos.SavedModel(meta_graphs=[{"graph_def": {}}]).meta_graphs[0].graph_def,
    ],
)
def test_messages_of_a_graph_can_be_pickled_for_another_process(message: Any) -> None:
    assert pickle.loads(pickle.dumps(message)) == message
    code = "import pickle, sys; sys.stdout.write(str(pickle.load(sys.stdin.buffer)))"
    assert _run(code, pickle.dumps(message)) == str(message)


def test_debug_info_is_proto2() -> None:
    zero = protos.GraphDebugInfo.FileLineCol.FromString(b"\x10\x00\x22\x01\xff")  # line 0, func b"\xff"
    assert (zero.HasField("line"), zero.HasField("col")) == (True, False)
    assert zero.SerializeToString() == b"\x10\x00\x22\x01\xff"


def test_the_graphs_messages_wait_for_their_first_use() -> None:
    code = """if True:
        from modhub.format import protos
        print("SavedModel" in vars(protos), protos.GraphDef.__name__, "SavedModel" in vars(protos))
    """
    assert _run(code).split() == ["False", "GraphDef", "True"]


def test_threads_may_use_them_first_at_the_same_time() -> None:
    code = """if True:
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from modhub.format import protos
        sys.setswitchinterval(1e-5)
        barrier = Barrier(8)
        def use(name):
            barrier.wait()
            return protos.SavedModel, getattr(protos, name)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(use, ["GraphDef", "NodeDef"] * 4))
        print(len({a for a, _ in found}), len({b for _, b in found}))
    """
    assert _run(code).split() == ["1", "2"]


def test_what_a_later_tensorflow_adds_is_kept() -> None:
    enum, field = b"\x30\xe7\x07", b"\xfa\x3f\x01x"  # type: 999, and the unknown field 1023
    assert protos.AttrValue.FromString(enum).type == 999
    assert protos.AttrValue.FromString(enum + field).SerializeToString() == enum + field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('attr { key: "T" value { type: DT_FLOAT } }', {"attr": {"T": protos.AttrValue(type=1)}}),
        (b'attr { key: "T" value { type: 999 } }', {"attr": {"T": protos.AttrValue(type=999)}}),
        ("experimental_type { type_id: TFT_DATASET }  # a comment", {"experimental_type": {"type_id": 10102}}),
        ('name: "\xe9" device: "\\303\\251"'.encode(), {"name": "\xe9", "device": "\xe9"}),
        ("", {}),
    ],
)
def test_text_is_parsed(text: bytes | str, expected: dict[str, object]) -> None:
    node = protos.NodeDef()
    assert protos.parse_text(text, node) is node
    assert node == protos.NodeDef(**expected)


def test_text_may_have_any_in_the_expanded_form() -> None:
    text = 'any_list { value { [type.googleapis.com/tensorflow.AssetFileDef] { filename: "tokens.txt" } } }'
    packed = protos.parse_text(text, protos.CollectionDef()).any_list.value[0]
    assert packed.type_url == "type.googleapis.com/tensorflow.AssetFileDef"
    assert protos.AssetFileDef.FromString(packed.value).filename == "tokens.txt"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("nodes {}", 'no field named "nodes"'),
        ("99: 1", "99"),
        ("node { attr { key: 'T' value { type: DT_NONE } } }", "no value named DT_NONE"),
        ("version: 1 version: 2", "multiple"),
        ("version: 99999999999", "99999999999"),
        ("version: 1" + "0" * 10_000, "^1:10 : "),
        ("node {", "Expected"),
        ("[tensorflow.ext]: 1", "extension"),
        ("x" * 10_000, "no field named"),
        (b"\xff", "utf-8"),
        ("\ud800", "surrogates"),
    ],
)
def test_text_that_is_no_such_message_is_refused(text: bytes | str, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        protos.parse_text(text, protos.GraphDef())
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) <= 303


def test_any_of_a_message_that_is_not_here_is_refused() -> None:
    text = "any_list { value { [type.googleapis.com/tensorflow.ConfigProto] {} } }"
    with pytest.raises(ValueError, match=r"tensorflow\.ConfigProto"):
        protos.parse_text(text, protos.CollectionDef())


@pytest.mark.parametrize("depth", [101, 1_000, 100_000])
def test_text_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    text = "nested_contexts { while_ctxt { " * (depth // 2) + "} } " * (depth // 2)
    nested = protos.WhileContextDef(nested_contexts=[{"while_ctxt": {"context_name": "w"}}])
    assert protos.parse_text('nested_contexts { while_ctxt { context_name: "w" } }', protos.WhileContextDef()) == nested
    with pytest.raises(ValueError, match="nested too deeply"):
        protos.parse_text(f"nested_contexts {{ while_ctxt {{ {text} }} }}", protos.WhileContextDef())


def test_a_schema_becomes_a_description() -> None:
    text = """
# a car
Car: name 1 string; wheels 3 map<string,Car.Wheel>; fuel 4 float drive; cells 5 Car.Gear*;
  petrol 6 int32 drive; made 7 .google.protobuf.BoolValue
enum Car.Gear: NEUTRAL 0; FIRST 1
Car.Wheel:
"""
    file = parse_schema(text, name="car.proto", package="cars", imports=["google/protobuf/wrappers.proto"])
    car = file.message_type[0]
    assert [(field.name, field.number, field.type_name, field.label) for field in car.field] == [
        ("name", 1, "", 1),
        ("wheels", 3, ".cars.Car.WheelsEntry", 3),
        ("fuel", 4, "", 1),
        ("cells", 5, ".cars.Car.Gear", 3),
        ("petrol", 6, "", 1),
        ("made", 7, ".google.protobuf.BoolValue", 1),
    ]
    assert [field.HasField("oneof_index") for field in car.field] == [False, False, True, False, True, False]
    assert [nested.name for nested in car.nested_type] == ["WheelsEntry", "Wheel"]
    assert car.nested_type[0].options.map_entry
    assert {value.name: value.number for value in car.enum_type[0].value} == {"NEUTRAL": 0, "FIRST": 1}
    assert (file.name, file.package, file.syntax) == ("car.proto", "cars", "proto3")
    assert list(file.dependency) == ["google/protobuf/wrappers.proto"]


def _run(code: str, stdin: bytes = b"") -> str:
    """The output of a new process that runs the code."""
    done = subprocess.run([sys.executable, "-c", code], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
