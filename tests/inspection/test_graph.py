from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from modhub.errors import CorruptModuleError, NotAModuleError, UnsupportedFormatError
from modhub.format.files import open_files
from modhub.format.graph import Budget, Graph, Node, read_graph
from modhub.format.meta_graphs import MetaGraph, read_meta_graphs
from modhub.format.protos import FunctionDef, GraphDef, MetaGraphDef, NodeDef, SavedModel
from modhub.format.wire import BYTES, VARINT, fields

LARGE = 2**16 + 1


def tag(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def node(name: str, op: str = "Op", inputs: Sequence[str] = (), **attributes: bytes) -> NodeDef:
    """A node with attributes of strings."""
    made = NodeDef(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        made.attr[key].s = value
    return made


def constant(name: str, content: bytes) -> NodeDef:
    made = NodeDef(name=name, op="Const")
    made.attr["dtype"].type = 4
    made.attr["value"].tensor.tensor_content = content
    made.attr["value"].tensor.dtype = 4
    return made


def parsed(*nodes: NodeDef, budget: Budget | None = None) -> Graph:
    data = GraphDef(node=nodes).SerializeToString()
    return read_graph(data, [(0, len(data))], budget or Budget())


def only(made: NodeDef) -> Node:
    (found,) = parsed(made).nodes
    return found


def written(tmp_path: Path, data: bytes, name: str = "saved_model.pb") -> tuple[MetaGraph, ...]:
    (tmp_path / name).write_bytes(data)
    return read_meta_graphs(open_files(tmp_path))


def meta_graph(*tags: str, nodes: Sequence[NodeDef] = ()) -> MetaGraphDef:
    made = MetaGraphDef(graph_def=GraphDef(node=nodes))
    made.meta_info_def.tags.extend(tags)
    return made


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"\x08\x03", [(1, VARINT, 1, 2)]),
        (b"\x88\x01\x96\x01", [(17, VARINT, 2, 4)]),
        (b"\x12\x00\x1a\x01x", [(2, BYTES, 2, 2), (3, BYTES, 4, 5)]),
        (b"\x0d1234\x1112345678", [(1, 5, 1, 5), (2, 1, 6, 14)]),
        (b"\x12\x81\x00x", [(2, BYTES, 3, 4)]),  # a padded length
    ],
)
def test_fields_are_found(data: bytes, found: list[tuple[int, int, int, int]]) -> None:
    assert list(fields(data)) == found
    assert list(fields(memoryview(b"\xff" + data + b"\xff"), 1, 1 + len(data))) == [
        (number, kind, start + 1, end + 1) for number, kind, start, end in found
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x12", "cut off"),
        (b"\x12\x02x", "ends after"),
        (b"\x08", "cut off"),
        (b"\x08\x80", "cut off"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "too long"),
        (b"\x0d123", "ends after"),
        (b"\x02\x00", "number 0"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x12" + b"\xff" * 9 + b"\x01", "ends after"),
    ],
)
def test_malformed_fields_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(fields(data))


def test_nodes_are_read() -> None:
    made = [
        node("a"),
        node("b", "Add", ["a:1", "^c"], key=b"value"),
        node("c", inputs=["b"]),
        node("d", inputs=["gone"]),
    ]
    nodes = parsed(*made).nodes
    assert [(each.name, each.op, each.inputs) for each in nodes] == [
        ("a", "Op", ()),
        ("b", "Add", ("a:1", "^c")),
        ("c", "Op", ("b",)),
        ("d", "Op", ("gone",)),
    ]
    assert nodes.by_name["b"].attribute("key").s == b"value"
    assert nodes.by_name["b"].attribute("none").WhichOneof("value") is None
    assert nodes.reach(["c:0"]) == {"a", "b", "c"}
    assert nodes.reach(["^d", "nothing"]) == {"d"}


@pytest.mark.parametrize("size", [0, 5, LARGE, 5 * LARGE])
def test_a_large_constant_is_left_in_the_file(size: int) -> None:
    found = only(constant("c", b"x" * size))
    assert (found.name, found.op, found.attribute("dtype").type) == ("c", "Const", 4)
    assert ("value" in found.attributes) == (size < LARGE)
    (tensor,) = found.tensors()
    assert bytes(tensor) == constant("c", b"x" * size).attr["value"].tensor.SerializeToString()


def test_tensors_in_lists_are_found() -> None:
    made = node("a")
    for content in (b"1", b"2"):
        made.attr["list"].list.tensor.add(tensor_content=content)
    assert [bytes(tensor) for tensor in only(made).tensors()] == [b"\x22\x011", b"\x22\x012"]


def test_other_large_attributes_are_kept() -> None:
    assert only(node("a", key=b"x" * LARGE)).attribute("key").s == b"x" * LARGE


def test_an_attribute_beyond_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 16777216 bytes"):
        parsed(node("a", key=b"x" * (2**24 + 1)))


@pytest.mark.parametrize("size", [10, LARGE])
def test_nodes_are_compared_by_contents(size: int) -> None:
    def made(content: bytes, order: Sequence[str] = ("one", "two")) -> Node:
        # Entries of a map in a chosen order, as a writer may have them.
        entries = [tag(5, tag(1, key.encode()) + tag(2, tag(2, b"v"))) for key in order]
        data = constant("c", content).SerializeToString() + b"".join(entries)
        return Node(data, 0, len(data))

    content = b"x" * size
    assert made(content).same_as(made(content))
    assert made(content).same_as(made(content, ("two", "one")))
    assert not made(content).same_as(made(content, ("one",)))
    assert not made(content).same_as(made(content[:-1] + b"y"))
    assert not made(content).same_as(made(content[:-1] + b"y", ("two", "one")))


def test_functions_are_read() -> None:
    graph = GraphDef(versions={"producer": 7, "min_consumer": 3})
    function = FunctionDef(node_def=[node("x", "Add", ["input:0"])], ret={"y": "x:z:0"}, control_ret={"run": "x"})
    function.signature.name = "f"
    graph.library.function.append(function)
    graph.library.gradient.add(function_name="f", gradient_func="g")
    data = graph.SerializeToString()
    found = read_graph(data, [(0, len(data))], Budget())
    assert (found.producer, found.min_consumer, dict(found.gradients)) == (7, 3, {"f": "g"})
    assert [(each.name, each.op) for each in found.functions["f"].nodes] == [("x", "Add")]
    assert found.functions["f"].returned() == ["x:z:0", "x"]
    assert found.functions["f"].nodes.reach(found.functions["f"].returned()) == {"x"}


def test_two_functions_of_one_name_are_refused() -> None:
    graph = GraphDef()
    for _ in range(2):
        graph.library.function.add().signature.name = "f"
    data = graph.SerializeToString()
    with pytest.raises(ValueError, match="two functions named 'f'"):
        read_graph(data, [(0, len(data))], Budget())


def test_a_function_of_a_huge_signature_is_refused() -> None:
    graph = GraphDef()
    graph.library.function.add().signature.description = "x" * (2**24 + 1)
    data = graph.SerializeToString()
    with pytest.raises(ValueError, match="signature or attributes of more than"):
        read_graph(data, [(0, len(data))], Budget())


def test_nodes_of_functions_count_too() -> None:
    graph = GraphDef(node=[node("a"), node("b")])
    graph.library.function.add(node_def=[node("c")])
    data = graph.SerializeToString()
    assert len(read_graph(data, [(0, len(data))], Budget(3)).nodes) == 2
    with pytest.raises(ValueError, match="more than 2 nodes"):
        read_graph(data, [(0, len(data))], Budget(2))


def test_more_nodes_than_any_module_has_are_refused(tmp_path: Path) -> None:
    many = tag(2, tag(2, tag(1, b"") * 500_001))
    with pytest.raises(CorruptModuleError, match="more than 500000 nodes"):
        written(tmp_path, many)


def test_a_graph_that_was_stored_in_pieces_is_put_together(tmp_path: Path) -> None:
    pieces = [GraphDef(node=[node("a")], versions={"producer": 3}), GraphDef(node=[node("b")])]
    info = MetaGraphDef(meta_info_def={"tags": ["t"]}).SerializeToString()
    whole = tag(2, pieces[0].SerializeToString()) + info + tag(2, pieces[1].SerializeToString())
    (found,) = written(tmp_path, tag(2, whole))
    told = SavedModel.FromString(tag(2, whole)).meta_graphs[0]
    assert [each.name for each in found.graph.nodes] == [each.name for each in told.graph_def.node] == ["a", "b"]
    assert (found.graph.producer, found.tags) == (3, {"t"})


def test_two_variants_of_the_same_tags_are_refused(tmp_path: Path) -> None:
    data = SavedModel(meta_graphs=[meta_graph("a", "b"), meta_graph("b", "a")]).SerializeToString()
    with pytest.raises(CorruptModuleError, match=r"two graph variants with the tags \{'a', 'b'\}"):
        written(tmp_path, data)


def test_what_holds_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptModuleError, match="holds no graph"):
        written(tmp_path, b"")
    with pytest.raises(CorruptModuleError, match="Cannot parse"):
        written(tmp_path, b"\xff")
    (tmp_path / "saved_model.pb").unlink()
    with pytest.raises(NotAModuleError, match=r"has no 'saved_model\.pb'; it holds nothing"):
        read_meta_graphs(open_files(tmp_path))
    (tmp_path / "saved_model.cpb").write_bytes(b"x")
    with pytest.raises(UnsupportedFormatError, match="more than 2 GiB"):
        read_meta_graphs(open_files(tmp_path))


def test_what_is_beside_the_graph_is_bounded(tmp_path: Path) -> None:
    made = meta_graph("a")
    made.collection_def["c"].bytes_list.value.append(b"x" * (2**26 + 1))
    with pytest.raises(CorruptModuleError, match="bytes beside its graph"):
        written(tmp_path, SavedModel(meta_graphs=[made]).SerializeToString())


def test_text_is_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    text = b'meta_graphs { meta_info_def { tags: "t" } graph_def { node { name: "a" op: "NoOp" } } }'
    (found,) = written(tmp_path, text, "saved_model.pbtxt")
    assert ([each.name for each in found.graph.nodes], found.tags) == (["a"], {"t"})
    (found,) = written(tmp_path, SavedModel(meta_graphs=[meta_graph("b")]).SerializeToString())
    assert found.tags == {"b"}
    (tmp_path / "saved_model.pb").unlink()
    with pytest.raises(CorruptModuleError, match="Cannot parse"):
        written(tmp_path, b"meta_graphs { unknown: 1 }", "saved_model.pbtxt")
