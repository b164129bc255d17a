"""What constants hold: strings, graphs hidden in them, and more than is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from modhub.format import MAX_CONSTANT_BYTES
from modhub.format.dtypes import ITEM_BYTES, STRING, element_count
from modhub.format.graph import Budget, Graph, Node, read_graph
from modhub.format.protos import GraphDef, MetaGraphDef, SavedModel, TensorProto
from modhub.format.varint import read_varint
from modhub.format.wire import BYTES, VARINT, Buffer, fields
from modhub.inspection.scan.ops import op_classes

__all__ = ["check_stored_once", "constant_text", "hidden_graphs", "is_bomb", "search_budget", "strings_of"]

# The field numbers of tensorflow's tensor.proto.
_DTYPE, _SHAPE, _CONTENT, _STRING_VALUE = 1, 2, 4, 8
# A node with a name and an op, the least that a graph can be.
_LEAST_GRAPH_BYTES = 12
_MOST_TEXT_BYTES = 4096
# GraphDef, MetaGraphDef (field 2), SavedModel (2, 2): as deep as a graph can be in the messages of a SavedModel.
_MOST_WRAPPED = 3
_MOST_HIDDEN_NODES = 100_000
# Fields of messages; the first of each string are free, since it takes few to tell that a text is none.
_MOST_SEARCHED, _FREE_FIELDS = 3_000_000, 100
# What Budget says.
_TOO_MANY = "there are more than"
# Above this the reader of graphs leaves tensors in the file, with the attribute that they are in.
_LARGE = 2**16
# What an element that is no number takes in memory at the least.
_OBJECT_BYTES = 24


def constant_text(node: Node | None) -> str | None:
    """Return the string of a scalar constant, or of one with a single element; None where it is something else."""
    if node is None or node.op != "Const":
        return None
    attributes = node.attributes
    # In a function's body the value may be the caller's attribute, and another attribute hold a tensor.
    elsewhere = "value" in attributes and not attributes["value"].HasField("tensor")
    if elsewhere or sum(1 for _ in node.tensors()) != 1:
        return None
    strings = [bytes(each[: _MOST_TEXT_BYTES + 1]) for each in _first(strings_of(node), 2)]
    return strings[0].decode(errors="backslashreplace") if len(strings) == 1 else None


def check_stored_once(node: Node) -> None:
    """Check that the tensors of a node are stored in one piece, where nothing else is stored too.

    Protobuf joins the pieces of a message, and of several kinds of attribute keeps the last. A reader that leaves large
    tensors in the file would see something else.

    Raises:
      ValueError: they are not. No writer does this.
    """
    large = node.size > _LARGE
    if not large and node.op != "Const":
        return
    stored = sum(1 for _ in node.tensors())
    attributes = node.attributes
    if large and node.op == "Const" and "value" not in attributes:
        parsed = 1
    else:
        parsed = sum(each.HasField("tensor") + len(each.list.tensor) for each in attributes.values())
    if stored != parsed:
        raise ValueError(f"the tensors of the node {node.name!r} are not stored in one piece each")


def strings_of(node: Node) -> Iterator[Buffer]:
    """Yield the strings in the tensors of a node's attributes, as views of the file.

    Raises:
      ValueError: a tensor is malformed.
    """
    for tensor in node.tensors():
        dtype, content, values = 0, None, []
        for number, kind, start, end in fields(tensor):
            if (number, kind) == (_DTYPE, VARINT):
                dtype = read_varint(tensor, start, end)[0]
            elif (number, kind) == (_CONTENT, BYTES):
                content = tensor[start:end]
            elif (number, kind) == (_STRING_VALUE, BYTES):
                values.append((start, end))
        if dtype == STRING:
            if content:
                yield from _packed(content, tensor)
            for start, end in values:
                yield tensor[start:end]


def is_bomb(tensor: Buffer) -> bool:
    """Tell whether a tensor takes more than MAX_CONSTANT_BYTES, of which most are not stored but repeated.

    Args:
      tensor: an encoded TensorProto.

    Raises:
      ValueError, google.protobuf.message.DecodeError: it is malformed.
    """
    frame = _without_values(tensor)
    try:
        count = element_count(tuple([dim.size for dim in frame.tensor_shape.dim]))
    except ValueError:  # TensorFlow refuses it, too
        return False
    item = ITEM_BYTES.get(frame.dtype, _OBJECT_BYTES)
    # Values that are all stored, in whichever field, take half a byte each at the least.
    return count * item > MAX_CONSTANT_BYTES and len(tensor) < count / 2


def hidden_graphs(node: Node, search: Budget) -> Iterator[Graph | None]:
    """Yield the graphs that are serialized in the strings of a node's tensors: GraphDef, MetaGraphDef or SavedModel.

    Args:
      node: whose tensors are searched.
      search: what may be spent on strings that look like messages, see `search_budget`.

    Yields:
      The graphs; None for one that is too large to be read.
    """
    for text in strings_of(node):
        if len(text) >= _LEAST_GRAPH_BYTES:
            yield from _graphs_in(text, _MOST_WRAPPED, search)


def search_budget() -> Budget:
    """Return what may be spent on the strings of one variant: enough for any but those that are made to take long."""
    return Budget(_MOST_SEARCHED)


def _graphs_in(text: Buffer, depth: int, search: Budget) -> Iterator[Graph | None]:
    inside: list[tuple[int, int]] = []
    try:
        for count, (_, kind, start, end) in enumerate(fields(text)):
            if count > _FREE_FIELDS:
                search.spend()
            if kind == BYTES:
                inside.append((start, end))
    except ValueError as error:
        if _TOO_MANY in str(error):
            yield None
        else:
            yield from _parsed_by_protobuf(text)
        return
    graph: Graph | None = None
    budget = Budget(_MOST_HIDDEN_NODES)
    try:
        graph = read_graph(text, [(0, len(text))], budget)
    except (ValueError, DecodeError) as error:
        if _TOO_MANY in str(error):
            yield None
            return
    if graph is not None and _is_graph(graph):
        yield graph
    elif depth > 1:
        for start, end in inside:
            if end - start >= _LEAST_GRAPH_BYTES:
                yield from _graphs_in(text[start:end], depth - 1, search)


def _parsed_by_protobuf(text: Buffer) -> Iterator[Graph | None]:
    """Yield the graphs in what protobuf reads and `fields` refuses: a message with groups, in what it ignores."""
    data = bytes(text)
    for message in (GraphDef, MetaGraphDef, SavedModel):
        try:
            found = message.FromString(data)
        except DecodeError:
            continue
        found.DiscardUnknownFields()
        listed = found.meta_graphs if message is SavedModel else [found]
        for each in listed:
            clean = (each if message is GraphDef else each.graph_def).SerializeToString()
            try:
                graph = read_graph(clean, [(0, len(clean))], Budget(_MOST_HIDDEN_NODES))
            except ValueError:
                yield None
                continue
            if _is_graph(graph):
                yield graph


def _is_graph(graph: Graph) -> bool:
    """Tell whether this is a graph and not text that happens to parse as one: it has a node of a known op."""
    bodies = (graph.nodes, *(function.nodes for function in graph.functions.values()))
    return any(node.name and op_classes(node.op) is not None for nodes in bodies for node in nodes)


def _packed(content: Buffer, tensor: Buffer) -> Iterator[Buffer]:
    """Yield strings that are stored as the lengths of all and then their bytes; as many as the shape says."""
    count = 1
    for dim in _without_values(tensor).tensor_shape.dim:
        count *= dim.size
    if not 0 <= count <= len(content):
        raise ValueError(f"a tensor of {count} strings has {len(content)} bytes")
    lengths, position = [], 0
    for _ in range(count):
        length, position = read_varint(content, position, len(content))
        lengths.append(length)
    for length in lengths:
        yield content[position : position + length]
        position += length


def _without_values(tensor: Buffer) -> Any:
    kept, position = bytearray(), 0
    for number, _, _, end in fields(tensor):
        if number in (_DTYPE, _SHAPE):
            kept += tensor[position:end]
        position = end
    return TensorProto.FromString(bytes(kept))


def _first(items: Iterator[Buffer], count: int) -> Iterator[Buffer]:
    for _, item in zip(range(count), items, strict=False):
        yield item
