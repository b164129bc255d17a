"""Constants of a graph as values of Python: scalars of floats, and strings."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from modhub.format.dtypes import STRING
from modhub.format.graph import Node
from modhub.inspection.lint.subject import Scope, node_name

__all__ = ["data_inputs", "scalar", "strings"]

_FORMATS = {1: "<f", 2: "<d", 19: "<e"}  # float32, float64, float16
_FOLDED = ("Identity", "Cast", "Sub", "Neg")
_MOST_STEPS = 8
_MOST_OPERANDS = 4  # with control inputs; so that a graph made for it is not walked for long


def scalar(scope: Scope, name: str) -> float | None:
    """Return the value of a tensor that is computed of scalar constants; None where it is not.

    Followed are Identity, Cast, Sub and Neg, by which rates and momenta are written (1 - momentum).
    """
    return _scalar(scope, name, _MOST_STEPS)


def strings(node: Node) -> Sequence[bytes]:
    """Return the strings of a Const, of at most 64 KiB; nothing for a constant of another type."""
    attributes = node.attributes
    if "dtype" not in attributes or attributes["dtype"].type != STRING or "value" not in attributes:
        return ()
    return attributes["value"].tensor.string_val  # type: ignore[no-any-return]


def _scalar(scope: Scope, name: str, steps: int) -> float | None:
    node = scope.get(name)
    if node is None or not steps:
        return None
    if node.op == "Const":
        return _value(node.attribute("value").tensor)
    if node.op not in _FOLDED or len(node.inputs) > _MOST_OPERANDS:
        return None
    operands = [_scalar(scope, given, steps - 1) for given in map(node_name, data_inputs(node))]
    if None in operands:
        return None
    values = [value for value in operands if value is not None]
    if node.op == "Sub":
        return values[0] - values[1] if len(values) == 2 else None
    if len(values) != 1:
        return None
    return -values[0] if node.op == "Neg" else values[0]


def data_inputs(node: Node) -> list[str]:
    """Return the inputs of a node that are tensors."""
    return [name for name in node.inputs if not name.startswith("^")]


def _value(tensor: Any) -> float | None:
    if any(dim.size != 1 for dim in tensor.tensor_shape.dim) or tensor.dtype not in _FORMATS:
        return None
    if tensor.tensor_content:
        layout = _FORMATS[tensor.dtype]
        content = bytes(tensor.tensor_content)
        return float(struct.unpack(layout, content)[0]) if len(content) == struct.calcsize(layout) else None
    if tensor.dtype == 19:
        return float(struct.unpack("<e", struct.pack("<H", tensor.half_val[0] & 0xFFFF))[0]) if tensor.half_val else 0.0
    values = tensor.float_val if tensor.dtype == 1 else tensor.double_val
    return float(values[0]) if values else 0.0  # a value of zero is not stored
