"""Small graphs for the tests of the scan, from lines of text."""

from __future__ import annotations

from typing import Any

from modhub.format import protos
from modhub.format.graph import Budget, read_graph
from modhub.format.meta_graphs import MetaGraph

__all__ = ["add_nodes", "meta_graph", "text_constant"]


def meta_graph(definition: Any) -> MetaGraph:
    """Read a MetaGraphDef as from a file."""
    data = definition.graph_def.SerializeToString()
    graph = read_graph(data, [(0, len(data))], Budget())
    return MetaGraph(tags=frozenset(), graph=graph, definition=definition, where="here")


def add_nodes(nodes: Any, lines: str) -> None:
    """Add nodes, each from a line "name = Op(input, input)"; "name = 'text'" is a constant."""
    for line in lines.strip().splitlines():
        name, _, what = line.strip().partition(" = ")
        if what.startswith("'"):
            nodes.append(text_constant(name, what.strip("'").encode()))
            continue
        op, _, inputs = what.rstrip(")").partition("(")
        nodes.add(name=name, op=op, input=[each.strip() for each in inputs.split(",") if each.strip()])


def text_constant(name: str, *texts: bytes) -> Any:
    node = protos.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = 7
    tensor = node.attr["value"].tensor
    tensor.dtype = 7
    tensor.string_val.extend(texts)
    if len(texts) != 1:
        tensor.tensor_shape.dim.add(size=len(texts))
    return node
