"""Functions that stay functions (bodies of loops, branches), named by what they hold, and fit for other processes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Library", "clean_nodes", "functions_of"]

_SERIAL = re.compile(r"(_\d+)+$")
_CUSTOM = b"CustomGradient-"
# What stands where the number of a tf.custom_gradient was: no process has a gradient of this name, so that asking for
# it is an error, where a number might be another gradient's.
_LOST = b"the tf.custom_gradient of the process that published the module"


class Library:
    """The functions that nodes call, renamed: one name is one content, so that two modules can meet in a graph."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions
        self._renamed: dict[str, Any] = {}

    def rename_calls(self, nodes: Iterable[Any]) -> None:
        """Let nodes call the renamed functions."""
        for node in nodes:
            for func in functions_of(node):
                if func.name in self._functions:
                    func.name = self._rename(func.name).signature.name

    def definitions(self) -> list[Any]:
        """Return the FunctionDefs that the nodes call, directly or not, by their new names."""
        return list({function.signature.name: function for function in self._renamed.values()}.values())

    def _rename(self, name: str) -> Any:
        if name not in self._renamed:
            function = type(self._functions[name])()
            function.CopyFrom(self._functions[name])
            function.attr.clear()
            function.arg_attr.clear()
            function.resource_arg_unique_id.clear()
            for node in function.node_def:
                node.device = ""
                node.ClearField("experimental_debug_info")
                for key in ("_class", "_output_shapes"):
                    node.attr.pop(key, None)
                if "f" in node.attr:
                    node.attr.pop("_gradient_op_type", None)
            clean_nodes(function.node_def)
            self.rename_calls(function.node_def)
            function.signature.name = ""
            digest = hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()[:16]
            function.signature.name = f"{_SERIAL.sub('', name)}_{digest}"
            self._renamed[name] = function
        return self._renamed[name]


def functions_of(node: Any) -> Iterator[Any]:
    """Yield the NameAttrLists in a node's attributes."""
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func
        elif kind == "list":
            yield from value.list.func


def clean_nodes(nodes: Sequence[Any]) -> None:
    """Take from nodes what is this process's own: seeds, and gradients that are registered under a number.

    With seeds every application of the module would draw the same dropout. Of the gradients, that of `tf.nn.silu` is
    there to save memory, and is what its nodes have without it; of any other only its absence can be published, as a
    name under which no reader finds one.
    """
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if "seed2" in node.attr:  # of ops that keep a state; those without one are given their seeds as tensors
            node.attr["seed"].i = node.attr["seed2"].i = 0
        if "_gradient_op_type" in node.attr and node.attr["_gradient_op_type"].s.startswith(_CUSTOM):
            if _is_silu(node, by_name):
                del node.attr["_gradient_op_type"]
            else:
                node.attr["_gradient_op_type"].s = _LOST


def _is_silu(node: Any, by_name: Mapping[str, Any]) -> bool:
    """Tell whether a node returns x * sigmoid(b * x) beside x and b."""

    def sources(given: str, op: str) -> list[str]:
        source = by_name.get(given.partition(":")[0])
        return list(source.input) if source is not None and source.op == op else []

    if node.op != "IdentityN" or len(node.input) != 3:
        return False
    product, x, b = node.input
    factors = sources(product, "Mul")
    if len(factors) != 2 or factors[0] != x:
        return False
    (scaled,) = sources(factors[1], "Sigmoid") or [""]
    return sources(scaled, "Mul") == [b, x]
