from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.format import protos
from modhub.format.graph import Budget, Graph, read_graph
from modhub.inspection.scan.constants import (
    check_stored_once,
    constant_text,
    hidden_graphs,
    is_bomb,
    search_budget,
    strings_of,
)
from tests.scan import graphs
from tests.scan.graphs import text_constant


def read(node: Any) -> Any:
    """Return a node as the reader of graphs does."""
    found = protos.MetaGraphDef()
    found.graph_def.node.append(node)
    (only,) = graphs.meta_graph(found).graph.nodes
    return only


def graph(*ops: str) -> Any:
    found = protos.GraphDef()
    for op in ops:
        found.node.add(name=op.lower(), op=op)
    return found


def inside(payload: bytes) -> list[Graph | None]:
    return list(hidden_graphs(read(text_constant("c", payload)), search_budget()))


@pytest.mark.parametrize("texts", [[b""], [b"a"], [b"a", b"", b"\xff" * 300], [b"z" * 100_000, b"b"], []])
@pytest.mark.parametrize("packed", [False, True])
def test_strings(texts: list[bytes], packed: bool) -> None:
    node = text_constant("c", *texts)
    if packed:
        tensor = node.attr["value"].tensor
        del tensor.string_val[:]
        tensor.tensor_content = b"".join([*(_varint(len(text)) for text in texts), *texts])
    assert [bytes(each) for each in strings_of(read(node))] == texts


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)


def test_numbers_are_no_strings() -> None:
    node = text_constant("c", b"text")
    node.attr["value"].tensor.dtype = 1
    assert list(strings_of(read(node))) == []


@pytest.mark.parametrize(("texts", "text"), [([b"a"], "a"), ([b"\xff"], "\\xff"), ([b"a", b"b"], None), ([], None)])
def test_text(texts: list[bytes], text: str | None) -> None:
    assert constant_text(read(text_constant("c", *texts))) == text


def test_text_of_what_is_no_constant() -> None:
    assert constant_text(None) is None
    assert constant_text(read(protos.NodeDef(name="n", op="NoOp"))) is None


@pytest.mark.parametrize("wrapped", [0, 1, 2])
def test_graphs_are_found(wrapped: int) -> None:
    message = graph("WriteFile", "NoOp")
    if wrapped:
        message = protos.MetaGraphDef(graph_def=message)
    if wrapped == 2:
        message = protos.SavedModel(meta_graphs=[message])
    (found,) = inside(message.SerializeToString())
    assert found is not None
    assert [node.op for node in found.nodes] == ["WriteFile", "NoOp"]


def test_a_graph_of_functions_only_is_found() -> None:
    message = protos.GraphDef()
    function = message.library.function.add()
    function.signature.name = "f"
    function.node_def.add(name="n", op="WriteFile")
    (found,) = inside(message.SerializeToString())
    assert found is not None
    assert list(found.functions) == ["f"]


def test_a_graph_that_is_too_large_is_told() -> None:
    node = graph("NoOp").SerializeToString()
    assert inside(node * 100_001) == [None]


@pytest.mark.parametrize(
    "text",
    [b"just some words of text", b"\n\x0bhello world", b"\x0a" * 40, b"\x00" * 40, bytes(range(256)), b'{"a": 1}' * 9],
)
def test_text_is_no_graph(text: bytes) -> None:
    assert inside(text) == []


@given(st.binary(min_size=12, max_size=200))
def test_any_text_is_read(text: bytes) -> None:
    assert isinstance(inside(text), list)


def test_a_text_that_takes_too_long_to_search_is_told() -> None:
    assert inside(b"\x08\x00" * 4_000_000) == [None]


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_a_damaged_graph_is_read(place: int, bytes_: bytes) -> None:
    data = bytearray(
        protos.SavedModel(meta_graphs=[protos.MetaGraphDef(graph_def=graph("NoOp", "MatMul"))]).SerializeToString()
    )
    data[place % len(data)] = bytes_[0]
    assert isinstance(inside(bytes(data)), list)


def tensor(dtype: int, shape: list[int], **values: Any) -> bytes:
    found = protos.TensorProto(dtype=dtype, **values)
    for size in shape:
        found.tensor_shape.dim.add(size=size)
    return found.SerializeToString()


@pytest.mark.parametrize(
    ("encoded", "bomb"),
    [
        (tensor(1, [10**9], float_val=[0.0]), True),
        (tensor(1, [10**9]), True),
        (tensor(1, [10**9], float_val=[0.0] * 30_000), True),
        (tensor(7, [10**9], string_val=[b"a"]), True),
        (tensor(1, [10**6], float_val=[0.0]), False),
        (tensor(1, [2], float_val=[0.0]), False),
        (tensor(1, [10**9, 0]), False),
        (tensor(1, [-1, 10**9]), False),
        (tensor(1, [2**62, 2**62]), False),
        (tensor(1, []), False),
    ],
)
def test_bombs(encoded: bytes, bomb: bool) -> None:
    assert is_bomb(encoded) is bomb


def test_a_tensor_is_stored_once() -> None:
    node = text_constant("c", b"a")
    check_stored_once(read(node))
    check_stored_once(read(text_constant("c", b"z" * 100_000)))
    check_stored_once(read(protos.NodeDef(name="n", op="NoOp")))
    # Protobuf joins messages that stand behind each other.
    twice = node.attr["value"].SerializeToString() + node.attr["value"].SerializeToString()
    entry = b"\x0a\x05value\x12" + _varint(len(twice)) + twice
    damaged = b"\x0a\x01c\x12\x05Const\x2a" + _varint(len(entry)) + entry
    wrapped = b"\x0a" + _varint(len(damaged)) + damaged
    (only,) = read_graph(wrapped, [(0, len(wrapped))], Budget()).nodes
    with pytest.raises(ValueError, match="one piece"):
        check_stored_once(only)
