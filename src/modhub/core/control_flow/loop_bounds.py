"""How often a v1 loop turns at most, where it counts: XLA differentiates only loops of which it knows that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from modhub.core.control_flow.membership import inputs_of
from modhub.core.control_flow.regions import Variable
from modhub.format.names import node_of

__all__ = ["constant", "counted_variable"]


def constant(node: Any | None) -> int | None:
    """Return the number that a node is, if it is a constant one."""
    if node is None or node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_integer:
        return None
    value = tf.make_ndarray(node.attr["value"].tensor)
    return int(value) if value.ndim == 0 else None


def counted_variable(
    nodes: Mapping[str, Any], resolved: Callable[[str], str], condition: str, variables: Iterable[Variable]
) -> tuple[Variable, str] | None:
    """Return the variable that counts a loop's turns, and the tensor that it must stay below.

    Args:
      nodes: NodeDefs by name.
      resolved: tells which tensor a tensor is.
      condition: the tensor that says whether there is another turn.
      variables: those of the loop.
    """

    def operands(tensor: str) -> tuple[str, list[str]]:
        node = nodes.get(node_of(source(tensor)))
        if node is None or node.op == "Merge":
            return "", []
        return node.op, [source(resolved(name)) for name in inputs_of(node)]

    def source(tensor: str) -> str:
        while (node := nodes.get(node_of(tensor))) is not None and node.op == "Identity":
            tensor = resolved(inputs_of(node)[0])
        return tensor

    inside = {variable.inside: variable for variable in variables}
    pending = [condition]
    while pending:
        op, given = operands(pending.pop())
        if op == "LogicalAnd":
            pending += given
        elif op == "Less" and given[0] in inside:
            variable = inside[given[0]]
            op, terms = operands(variable.next)
            if op in ("Add", "AddV2") and terms[0] == variable.inside and constant(nodes.get(node_of(terms[1]))) == 1:
                return variable, given[1]
    return None
