"""What rules look at: the files of a module, and its graph variants with what their outputs need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from modhub.format.graph import Graph, Node, Nodes
from modhub.format.meta_graphs import MetaGraph
from modhub.format.names import show_tags
from modhub.inspection.contents import Contents
from modhub.inspection.description import Inspection, SignatureDescription, VariantDescription

__all__ = ["Scope", "Subject", "Variant", "node_name"]

TRAIN = "train"


class Subject:
    """A module or SavedModel under the rules.

    Attributes:
      contents: what it is made of.
      inspection: its description.
      variants: its graph variants, in the order in which they are stored.
    """

    def __init__(self, contents: Contents, inspection: Inspection) -> None:
        self.contents = contents
        self.inspection = inspection
        self.variants = tuple(map(Variant, inspection.variants, contents.meta_graphs))

    @cached_property
    def has_train_variant(self) -> bool:
        """Whether a variant is for training."""
        return any(variant.is_for_training for variant in self.variants)

    def train_pairs(self) -> list[tuple[Variant, Variant]]:
        """Return the variants that differ in the tag "train" only: (for inference, for training)."""
        by_tags = {frozenset(variant.tags): variant for variant in self.variants}
        return [
            (by_tags[tags - {TRAIN}], variant)
            for tags, variant in by_tags.items()
            if TRAIN in tags and tags - {TRAIN} in by_tags
        ]


class Variant:
    """A graph variant under the rules.

    Attributes:
      description: what is in it.
      meta_graph: as it is stored.
    """

    def __init__(self, description: VariantDescription, meta_graph: MetaGraph) -> None:
        self.description = description
        self.meta_graph = meta_graph
        self._reached: dict[str, tuple[Scope, ...]] = {}
        self._all: tuple[Scope, ...] | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, sorted."""
        return self.description.tags

    @property
    def graph(self) -> Graph:
        """Its nodes and functions."""
        return self.meta_graph.graph

    @property
    def is_for_training(self) -> bool:
        """Whether it has the tag "train"."""
        return TRAIN in self.tags

    @property
    def where(self) -> str:
        """What findings call it."""
        return f"variant {show_tags(self.tags)}"

    @cached_property
    def signatures(self) -> Mapping[str, SignatureDescription]:
        """Its signatures by name."""
        return {signature.name: signature for signature in self.description.signatures}

    def at(self, signature: str, *below: str) -> str:
        """Return what findings call a signature, or an input or output of it."""
        return ", ".join([f"{self.where}, signature {signature!r}", *below])

    def reached(self, signature: SignatureDescription) -> tuple[Scope, ...]:
        """Return what the outputs of a signature need: nodes of the graph, then those of each called function."""
        if signature.name not in self._reached:
            outputs = [tensor for output in signature.outputs for tensor in output.tensors]
            inputs = [tensor for given in signature.inputs for tensor in given.tensors]
            self._reached[signature.name] = reach(self.graph, outputs, inputs)
        return self._reached[signature.name]

    def all_reached(self) -> tuple[Scope, ...]:
        """Return what the outputs of all signatures need, as `reached` does for one."""
        if self._all is None:
            outputs = [out for each in self.description.signatures for output in each.outputs for out in output.tensors]
            self._all = reach(self.graph, outputs)
        return self._all

    def bodies(self) -> Iterable[tuple[str, Nodes]]:
        """Yield ("", the nodes of the graph), then (name, nodes) of each function."""
        yield "", self.graph.nodes
        for name, function in self.graph.functions.items():
            yield name, function.nodes


class Scope:
    """Some nodes of a graph, or of the body of a function.

    Attributes:
      function: the function's name; "" for the graph itself.
      nodes: all of the graph or body.
      names: of the nodes that are meant.
    """

    def __init__(self, function: str, nodes: Nodes, names: Iterable[str]) -> None:
        self.function = function
        self.nodes = nodes
        self.names = frozenset(names)

    def __iter__(self) -> Iterator[Node]:
        for node in self.nodes:
            if node.name in self.names:
                yield node

    def get(self, name: str) -> Node | None:
        """Return the node of a tensor or op; None where it is not in the graph."""
        return self.nodes.by_name.get(node_name(name))

    @cached_property
    def consumers(self) -> Mapping[str, list[Node]]:
        """Name of a node -> those of the scope that take its outputs as data."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.name in self.names:
                for name in node.inputs:
                    if not name.startswith("^"):
                        found.setdefault(node_name(name), []).append(node)
        return found

    def place(self, variant: Variant, node: str) -> str:
        """Return what findings call a node."""
        inside = f", function {self.function!r}" if self.function else ""
        return f"{variant.where}{inside}, node {node!r}"


def node_name(name: str) -> str:
    """Return the node of an input: "a:1", "^a", and in the body of a function "a:output:0"."""
    return name.removeprefix("^").partition(":")[0]


def reach(graph: Graph, wanted: Iterable[str], fed: Iterable[str] = ()) -> tuple[Scope, ...]:
    """Return what tensors need when others are fed, through the functions that are called."""
    stop = set(map(node_name, fed))
    scopes = [Scope("", graph.nodes, _reach(graph.nodes, wanted, stop))]
    if not graph.functions:
        return tuple(scopes)
    called: dict[str, None] = {}
    waiting = _called(graph, scopes[0])
    while waiting:
        name = waiting.pop()
        if name in called:
            continue
        called[name] = None
        function = graph.functions[name]
        scope = Scope(name, function.nodes, _reach(function.nodes, function.returned(), ()))
        scopes.append(scope)
        waiting.extend(_called(graph, scope))
    return tuple(scopes)


def _reach(nodes: Nodes, wanted: Iterable[str], stop: Iterable[str]) -> set[str]:
    found: set[str] = set()
    by_name, stops = nodes.by_name, frozenset(stop)
    waiting = list(map(node_name, wanted))
    while waiting:
        name = waiting.pop()
        node = by_name.get(name)
        if node is not None and name not in found:
            found.add(name)
            if name not in stops:
                waiting.extend(map(node_name, node.inputs))
    return found


def _called(graph: Graph, scope: Scope) -> list[str]:
    """Return the functions of the library that the nodes of a scope call or hand on."""
    found = []
    for node in scope.nodes:
        if node.name not in scope.names:
            continue
        found.append(node.op)
        for value in node.attributes.values():
            kind = value.WhichOneof("value")
            if kind == "func":
                found.append(value.func.name)
            elif kind == "list":
                found.extend(each.name for each in value.list.func)
    return [name for name in found if name in graph.functions]
