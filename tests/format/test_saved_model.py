from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from modhub.errors import CorruptModuleError, NotAModuleError
from modhub.format import MAX_CONSTANT_BYTES, SAVED_MODEL, check_constants, read_saved_model


def _saved_model_class() -> Any:
    """Build the few fields of a SavedModel that its reader looks at, so that these tests do without TensorFlow."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="saved_model.proto", package="t", syntax="proto3")
    for name, below, number, kind in (
        ("SavedModel", "meta_graphs", 2, ".t.MetaGraphDef"),
        ("MetaGraphDef", "meta_info_def", 1, ".t.MetaInfoDef"),
        ("MetaInfoDef", "tags", 4, ""),
    ):
        label = field.LABEL_OPTIONAL if below == "meta_info_def" else field.LABEL_REPEATED
        type_ = field.TYPE_MESSAGE if kind else field.TYPE_STRING
        message = file.message_type.add(name=name)
        message.field.add(name=below, number=number, label=label, type=type_, type_name=kind or None)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.SavedModel"))


_SavedModel = _saved_model_class()


def _with_tags(*tags: list[str]) -> bytes:
    return _SavedModel(meta_graphs=[{"meta_info_def": {"tags": each}} for each in tags]).SerializeToString()  # type: ignore[no-any-return]


def test_a_saved_model_is_read(tmp_path: Path) -> None:
    (tmp_path / SAVED_MODEL).write_bytes(_with_tags([], ["train"], ["train", "gpu"]))
    assert len(read_saved_model(tmp_path, _SavedModel).meta_graphs) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no graph"),
        (b"\xff\xff", "Cannot parse file '.*saved_model.pb'"),
        (_with_tags(["train"])[:-1], "Cannot parse file"),
        (b"\x13" * 100000, "Cannot parse file"),
        (_with_tags([], []), r"two graph variants with the tags \[\]"),
        (_with_tags(["b", "a"], ["a", "b"]), r"two graph variants with the tags \['a', 'b'\]"),
        (_with_tags(["a"], ["a", "a"]), r"two graph variants with the tags \['a'\]"),
    ],
)
def test_a_damaged_saved_model_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / SAVED_MODEL).write_bytes(data)
    with pytest.raises(CorruptModuleError, match=message):
        read_saved_model(tmp_path, _SavedModel)


def test_a_missing_saved_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAModuleError, match=r"saved_model\.pb' does not exist\.$"):
        read_saved_model(tmp_path, _SavedModel)
    (tmp_path / "saved_model.pbtxt").touch()
    with pytest.raises(NotAModuleError, match=r"There is 'saved_model\.pbtxt', the text form"):
        read_saved_model(tmp_path, _SavedModel)


def test_a_directory_in_place_of_the_saved_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / SAVED_MODEL).mkdir()
    with pytest.raises(CorruptModuleError, match="is a directory"):
        read_saved_model(tmp_path, _SavedModel)


def _tensor(dtype: int, shape: list[int] | None, content: bytes = b"", **values: list[Any]) -> SimpleNamespace:
    dims = [SimpleNamespace(size=size) for size in shape or []]
    tensor_shape = SimpleNamespace(dim=dims, unknown_rank=shape is None)
    return SimpleNamespace(dtype=dtype, tensor_shape=tensor_shape, tensor_content=content, **values)


def _graph(tensor: SimpleNamespace | None, op: str = "Const") -> SimpleNamespace:
    attributes = {} if tensor is None else {"value": SimpleNamespace(tensor=tensor)}
    node = SimpleNamespace(name="scope/constant", op=op, attr=attributes)
    return SimpleNamespace(node=[node], library=SimpleNamespace(function=[]))


def _function_graph(kind: str, tensor: SimpleNamespace) -> SimpleNamespace:
    attribute = SimpleNamespace(WhichOneof=lambda _: kind, tensor=tensor, list=SimpleNamespace(tensor=[tensor]))
    node = SimpleNamespace(name="inner", attr={"any": attribute})
    function = SimpleNamespace(signature=SimpleNamespace(name="body"), node_def=[node])
    return SimpleNamespace(node=[], library=SimpleNamespace(function=[function]))


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor(1, [2, 3], bytes(24)),
        _tensor(1, [], float_val=[1.0]),
        _tensor(1, [2, 3], float_val=[1.0] * 6),
        _tensor(1, [1000, 1000], float_val=[0.0]),
        _tensor(1, [0, 2**40]),
        _tensor(3, [], int_val=[]),
        _tensor(8, [2], scomplex_val=[1.0] * 4),
        _tensor(14, [3], half_val=[1, 2, 3]),
        _tensor(7, [2], string_val=[b"a", b"b"]),
        _tensor(7, [2], content=b"\x01\x01ab"),
        _tensor(1, [MAX_CONSTANT_BYTES // 4], float_val=[]),
        _tensor(10, [1], bool_val=[True]),
        _tensor(24, [2], float8_val=b"ab"),  # type: ignore[arg-type]
    ],
)
def test_consistent_constants_pass(tensor: SimpleNamespace) -> None:
    check_constants(_graph(tensor), "saved_model.pb")
    check_constants(_function_graph("tensor", tensor), "saved_model.pb")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_tensor(1, [2, 3], bytes(23)), "23 bytes for 6 elements of type 1"),
        (_tensor(1, [2**40], bytes(4)), "4 bytes for 1099511627776 elements"),
        (_tensor(7, [5], b"\x01a"), "2 bytes for 5 elements of type 7"),
        (_tensor(1, [1], float_val=[1.0, 2.0]), "2 values for 1 elements"),
        (_tensor(8, [1], scomplex_val=[1.0] * 3), "1 values for 1 elements"),
        (_tensor(1, [MAX_CONSTANT_BYTES // 4 + 1], float_val=[0.0]), "take more than 268435456 bytes"),
        (_tensor(7, [2**30], string_val=[b""]), "take more than"),
        (_tensor(1, [2**62, 2**62], float_val=[0.0]), "more than 2"),
        (_tensor(1, [2**62, 2**62, 0]), "more than 2"),
        (_tensor(1, [-1], float_val=[0.0]), "a negative dimension"),
        (_tensor(1, [1] * 300, float_val=[0.0]), "300 dimensions"),
        (_tensor(1, None), "no shape"),
        (_tensor(99, [1]), "the type number 99"),
    ],
)
def test_a_constant_that_contradicts_itself_is_refused(tensor: SimpleNamespace, message: str) -> None:
    with pytest.raises(CorruptModuleError, match=rf"saved_model\.pb.*'scope/constant' has .*{message}"):
        check_constants(_graph(tensor), "saved_model.pb")
    for kind in ("tensor", "list"):
        with pytest.raises(CorruptModuleError, match=rf"'body/inner' has .*{message}"):
            check_constants(_function_graph(kind, tensor), "saved_model.pb")


def test_a_constant_without_value_is_refused() -> None:
    with pytest.raises(CorruptModuleError, match="'scope/constant' has no value"):
        check_constants(_graph(None), "saved_model.pb")


def test_other_nodes_are_left_alone() -> None:
    check_constants(_graph(None, op="Placeholder"), "saved_model.pb")
