"""Takes a part out of a variant's graph: what some tensors and ops need, ready to be imported elsewhere.

The one piece of GraphDef surgery; signatures (`plan`) and state (`state`) are parts with different cuts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tensorflow.core.framework import graph_pb2

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.contexts import needed_nodes, trimmed
from modhub.core.functions import called_functions, set_gradient
from modhub.core.graph import VariantGraph
from modhub.core.missing_ops import unknown_op
from modhub.format.names import node_of, split_input

__all__ = ["Part", "ancestors", "take_part"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a variant's graph.

    Attributes:
      graph_def: its nodes and functions, without devices.
      captures: names of the cut tensors that it consumes, sorted.
      contexts: the v1 control-flow contexts in it, as ("cond" | "while", definition).
      frames: name of an Enter node -> its loop's frame.
      colocated: name of a node -> the cut nodes that it was colocated with.
    """

    graph_def: Any
    captures: tuple[str, ...]
    contexts: tuple[tuple[str, Any], ...]
    frames: Mapping[str, str]
    colocated: Mapping[str, tuple[str, ...]]


def ancestors(graph: VariantGraph, roots: Iterable[str], cut: set[str], state: frozenset[str]) -> set[str]:
    """Return the names of the nodes that `roots` (nodes) need, not passing cut tensors or state.

    Raises:
      CorruptModuleError: a node refers to one that is not there.
    """
    found: set[str] = set()
    pending = [name for name in roots if name not in state]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        node = graph.nodes.get(name)
        if node is None:
            raise errors.CorruptModuleError(f"In {graph.where} a node refers to {name!r}, which is not there.")
        found.add(name)
        for given in node.input:
            # A control edge counts as one to output 0: if a fed op is cut, there is nothing left to wait for.
            source, index = split_input(given.removeprefix("^"))
            if source not in found and source not in state and f"{source}:{index}" not in cut:
                pending.append(source)
    return found


def take_part(graph: VariantGraph, roots: Iterable[str], *, cut: set[str], state: frozenset[str]) -> Part:
    """Take out what `roots` need.

    Args:
      graph: the variant's graph.
      roots: names of the nodes that are wanted.
      cut: names of tensors that the importer feeds.
      state: names of nodes that the importer feeds.

    Raises:
      CorruptModuleError: the graph contradicts itself.
      UnknownOpError: an op in the part is not known to this TensorFlow.
    """
    kept = ancestors(graph, roots, cut, state)
    while extra := {name for name in needed_nodes(graph.contexts, kept) if name not in kept and name not in state}:
        extra -= {node_of(name) for name in cut}
        if not extra:
            break
        kept |= ancestors(graph, extra, cut, state)
    part = graph_pb2.GraphDef(versions=graph.versions)
    captures: set[str] = set()
    colocated: dict[str, tuple[str, ...]] = {}
    frames: dict[str, str] = {}
    fed = state | {node_of(name) for name in cut}
    for name in graph.nodes:  # in the order of the graph, so that equal modules give equal parts
        if name in kept:
            node = part.node.add()
            node.CopyFrom(graph.nodes[name])
            cut_neighbours = _clean(node, kept, captures, cut, fed, graph.published)
            if cut_neighbours:
                colocated[name] = cut_neighbours
            if node.op == "Enter":
                frames[name] = node.attr["frame_name"].s.decode()
    part.library.CopyFrom(
        called_functions(part.node, graph.functions, graph.function_gradients, published=graph.published)
    )
    _check_ops(part, graph.where)
    return Part(
        graph_def=part,
        captures=tuple(sorted(captures)),
        contexts=trimmed(graph.contexts, kept, cut | {f"{name}:0" for name in state}),
        frames=frames,
        colocated=colocated,
    )


def _clean(
    node: Any, kept: set[str], captures: set[str], cut: set[str], fed: frozenset[str], published: bool
) -> tuple[str, ...]:
    """Make a copied node fit for import; note what it captures; return the cut nodes it was colocated with."""
    inputs = []
    for given in node.input:
        source, index = split_input(given.removeprefix("^"))
        if given.startswith("^"):
            if source in kept:
                inputs.append(given)
            continue
        if source in fed and ((tensor := f"{source}:{index}") in cut or source not in kept):
            captures.add(tensor)
        inputs.append(given)
    if len(inputs) != len(node.input):
        del node.input[:]
        node.input.extend(inputs)
    node.device = ""
    node.attr.pop("_output_shapes", None)
    set_gradient(node, published=published)
    if "_class" not in node.attr:
        return ()
    groups = [group.decode() for group in node.attr["_class"].list.s]
    names = [group.removeprefix("loc:@") for group in groups if group.startswith("loc:@")]
    inside = [name for name in names if name in kept]
    del node.attr["_class"].list.s[:]
    node.attr["_class"].list.s.extend(f"loc:@{name}".encode() for name in inside)
    if not inside:
        del node.attr["_class"]
    return tuple(name for name in names if name not in kept and name in fed)


def _check_ops(part: Any, where: str) -> None:
    functions = part.library.function
    used = {node.op for node in part.node} | {node.op for function in functions for node in function.node_def}
    for op in sorted(used - {function.signature.name for function in functions}):
        if _tensorflow.op_def(op) is None:
            raise unknown_op(op, where)
