"""Tensors of a variant's graph that no signature names."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.contexts import tensors_inside
from modhub.core.graph import VariantGraph
from modhub.format.names import split_input, tensor_count, tensor_name

__all__ = ["find_tensor"]


def find_tensor(graph: VariantGraph, name: str, unfed: Collection[str]) -> str:
    """Return the name of the tensor that holds the value of `name`.

    Args:
      graph: the variant's graph.
      name: "path/to/op:0"; a variable stands for its value.
      unfed: the nodes that cannot run with the inputs that are given.

    Raises:
      UnknownOutputError: there is none, or it has no value outside the loop or branch that it is in, or it needs
        other inputs.
    """
    if not isinstance(name, str) or not name:
        raise errors.InvalidArgumentError(f"{name!r} is no tensor's name: write 'path/to/op:0'.")
    wanted = graph.value(tensor_name(name))
    node_name, index = split_input(wanted)
    node = graph.nodes.get(node_name)
    if node is None or index >= _outputs(node):
        raise errors.UnknownOutputError(
            f"There is no tensor {name!r} in {graph.where}. "
            + errors.accepted(tensor_name(name), _all(graph), "tensors")
        )
    if node_name in graph.variables:
        return graph.variables[node_name].read
    if any(wanted in tensors_inside(context) for context in graph.contexts):
        raise errors.UnknownOutputError(
            f"The tensor {name!r} is inside a loop or a branch of {graph.where}, so it has no value outside: ask for "
            "what the loop or the conditional returns."
        )
    if node_name in unfed:
        raise errors.UnknownOutputError(
            f"The tensor {name!r} of {graph.where} needs a placeholder that is no input of the signature: name another "
            "signature with signature=."
        )
    return wanted


def _outputs(node: Any) -> int:
    """Return how many outputs a node has."""
    definition = _tensorflow.op_def(node.op)
    return 1 if definition is None else sum(tensor_count(output, node) for output in definition.output_arg)


def _all(graph: VariantGraph) -> Iterator[str]:
    return (f"{name}:0" for name, node in graph.nodes.items() if node.op not in ("NoOp", "Const"))
