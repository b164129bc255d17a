"""Graphs as they are stored: nodes and functions, read one by one, so that a large graph takes little memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from modhub.format.protos import AttrValue, FunctionDef, GradientDef, NodeDef, VersionDef
from modhub.format.wire import BYTES, Buffer, fields

__all__ = ["Budget", "Function", "Graph", "Node", "Nodes", "read_graph"]

# The field numbers of tensorflow's graph.proto, function.proto, node_def.proto, attr_value.proto, tensor.proto.
_GRAPH_NODE, _GRAPH_LIBRARY, _GRAPH_VERSIONS = 1, 2, 4
_LIBRARY_FUNCTION, _LIBRARY_GRADIENT = 1, 2
_FUNCTION_NODE = 3
_NODE_ATTR, _ENTRY_VALUE = 5, 2
_ATTR_LIST, _ATTR_TENSOR, _LIST_TENSOR = 1, 8, 8

# A tensor beyond this size is left in the file when its node is parsed.
_LARGE = 2**16
_MOST_ATTRIBUTE_BYTES = 2**24
# The largest graphs known to be published have some 100,000 nodes; one of two bytes each would fit a file of any size.
MOST_NODES = 500_000


class Budget:
    """How many nodes may yet be read: those of a file that is too large to be a module's are refused, not held."""

    __slots__ = ("_allowed", "_left")

    def __init__(self, nodes: int = MOST_NODES) -> None:
        self._allowed = self._left = nodes

    def spend(self) -> None:
        """Count one node.

        Raises:
          ValueError: there are more than were allowed.
        """
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"there are more than {self._allowed} nodes")


class Node:
    """A node of a graph or of a function.

    Attributes:
      name: its name.
      op: the op's name, or the name of a function that is called.
      inputs: as stored: "a", "a:1", "^control"; in functions "a:output:0" too.
      device: the device that it asks for, or "".
    """

    __slots__ = ("_data", "_end", "_start", "device", "inputs", "name", "op")

    def __init__(self, data: Buffer, start: int, end: int) -> None:
        self._data, self._start, self._end = data, start, end
        proto = self._parse()
        self.name: str = proto.name
        self.op: str = proto.op
        self.inputs: tuple[str, ...] = tuple(proto.input)
        self.device: str = proto.device

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.op!r})"

    @property
    def size(self) -> int:
        """How many bytes it takes in the file."""
        return self._end - self._start

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The AttrValues by name, read from the file at each use; tensors of over 64 KiB are not among them."""
        return self._parse().attr  # type: ignore[no-any-return]

    def attribute(self, name: str) -> Any:
        """Return an AttrValue; an empty one where the node has none, since default values are not stored."""
        attributes = self.attributes
        return attributes[name] if name in attributes else AttrValue()

    def tensors(self) -> Iterator[Buffer]:
        """Yield the encoded TensorProtos of the attributes, as views of the file."""
        for start, end in _messages(self._data, self._start, self._end, _NODE_ATTR, _ENTRY_VALUE):
            for path in ((_ATTR_TENSOR,), (_ATTR_LIST, _LIST_TENSOR)):
                for first, last in _messages(self._data, start, end, *path):
                    yield memoryview(self._data)[first:last]

    def same_as(self, other: Node) -> bool:
        """Tell whether another node, of whichever graph, has the same name, op, inputs, device and attributes.

        The order in which attributes are stored is none of the contents. A float attribute is the same if its bits are.
        """
        if self._data[self._start : self._end] == other._data[other._start : other._end]:
            return True
        if self._parse().SerializeToString(deterministic=True) != other._parse().SerializeToString(deterministic=True):
            return False
        # What `_parse` left out; of tensors that it did not, this says the same once more.
        return sorted(map(_digest, self.tensors())) == sorted(map(_digest, other.tensors()))

    def _parse(self) -> Any:
        """Parse the node, without its large tensors."""
        if self.size <= _LARGE:
            return NodeDef.FromString(bytes(self._data[self._start : self._end]))
        kept, position = bytearray(), self._start
        for number, kind, start, end in fields(self._data, self._start, self._end):
            large = (number, kind) == (_NODE_ATTR, BYTES) and end - start > _LARGE
            if not (large and any(_messages(self._data, start, end, _ENTRY_VALUE, _ATTR_TENSOR))):
                kept += self._data[position:end]
            position = end
            if len(kept) > _MOST_ATTRIBUTE_BYTES:
                raise ValueError(f"a node has names or attributes of more than {_MOST_ATTRIBUTE_BYTES} bytes")
        return NodeDef.FromString(bytes(kept))


class Nodes:
    """The nodes of a graph, or of the body of a function, in the order in which they are stored."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = tuple(nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self._nodes}

    def reach(self, names: Iterable[str]) -> frozenset[str]:
        """Return the names of the nodes that tensors or ops need, themselves included.

        Args:
          names: of nodes or tensors; those that are not in the graph are left out.
        """
        found: set[str] = set()
        waiting = [_node_of(name) for name in names]
        while waiting:
            name = waiting.pop()
            node = self.by_name.get(name)
            if node is not None and name not in found:
                found.add(name)
                waiting.extend(map(_node_of, node.inputs))
        return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Function:
    """A function of a graph's library.

    Attributes:
      name: its name.
      nodes: its body.
      definition: the FunctionDef without its nodes: signature, ret, control_ret, attr.
    """

    name: str
    nodes: Nodes
    definition: Any

    def returned(self) -> list[str]:
        """Return the tensors and ops that a call runs for its results, or for their effect."""
        return [*self.definition.ret.values(), *self.definition.control_ret.values()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """A GraphDef.

    Attributes:
      nodes: its nodes.
      functions: its library, by name.
      gradients: name of a function -> the function declared as its gradient.
      producer: the version of GraphDefs that its writer made.
      min_consumer: the version that a reader must know.
    """

    nodes: Nodes
    functions: Mapping[str, Function]
    gradients: Mapping[str, str]
    producer: int
    min_consumer: int


def read_graph(data: Buffer, spans: Iterable[tuple[int, int]], budget: Budget) -> Graph:
    """Read a GraphDef.

    Args:
      data: the bytes of a file; kept as long as the graph is.
      spans: where the GraphDef is: (start, end), as often as it was stored, since protobuf merges the pieces.
      budget: how many nodes may be read.

    Returns:
      The graph.

    Raises:
      ValueError: it is malformed, or has too many nodes.
      google.protobuf.message.DecodeError: a part of it is.
    """
    nodes: list[Node] = []
    functions: dict[str, Function] = {}
    gradients: dict[str, str] = {}
    versions = VersionDef()
    for first, last in spans:
        for number, kind, start, end in fields(data, first, last):
            if kind != BYTES:
                continue
            if number == _GRAPH_NODE:
                budget.spend()
                nodes.append(Node(data, start, end))
            elif number == _GRAPH_VERSIONS:
                versions.MergeFromString(bytes(data[start:end]))
            elif number == _GRAPH_LIBRARY:
                _read_library(data, start, end, budget, functions, gradients)
    return Graph(
        nodes=Nodes(nodes),
        functions=functions,
        gradients=gradients,
        producer=versions.producer,
        min_consumer=versions.min_consumer,
    )


def _read_library(
    data: Buffer, first: int, last: int, budget: Budget, functions: dict[str, Function], gradients: dict[str, str]
) -> None:
    for number, kind, start, end in fields(data, first, last):
        if (number, kind) == (_LIBRARY_FUNCTION, BYTES):
            function = _read_function(data, start, end, budget)
            if function.name in functions:
                raise ValueError(f"there are two functions named {function.name!r}")
            functions[function.name] = function
        elif (number, kind) == (_LIBRARY_GRADIENT, BYTES):
            gradient = GradientDef.FromString(bytes(data[start:end]))
            gradients[gradient.function_name] = gradient.gradient_func


def _read_function(data: Buffer, first: int, last: int, budget: Budget) -> Function:
    nodes, definition, position = [], bytearray(), first
    for number, kind, start, end in fields(data, first, last):
        if (number, kind) == (_FUNCTION_NODE, BYTES):
            budget.spend()
            nodes.append(Node(data, start, end))
        elif len(definition) + end - position > _MOST_ATTRIBUTE_BYTES:
            raise ValueError(f"a function has a signature or attributes of more than {_MOST_ATTRIBUTE_BYTES} bytes")
        else:
            definition += data[position:end]
        position = end
    proto = FunctionDef.FromString(bytes(definition))
    return Function(name=proto.signature.name, nodes=Nodes(nodes), definition=proto)


def _messages(data: Buffer, start: int, end: int, number: int, *below: int) -> Iterator[tuple[int, int]]:
    """Yield where the messages at a path of field numbers are."""
    for found, kind, first, last in fields(data, start, end):
        if (found, kind) == (number, BYTES):
            if below:
                yield from _messages(data, first, last, *below)
            else:
                yield first, last


def _digest(data: Buffer) -> bytes:
    return hashlib.sha256(data).digest()


def _node_of(name: str) -> str:
    """Return the node of an input: "a:1", "^a", and in the body of a function "a:output:0"."""
    return name.removeprefix("^").partition(":")[0]
