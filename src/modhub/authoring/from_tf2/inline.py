"""A function as a flat list of nodes: the functions that it calls take the place of the calls.

TF1's `tf.gradients` goes through nodes, and the gradient of a call is known only to the process that traced it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow.core.framework import node_def_pb2

from modhub.core import _tensorflow, tensor_count

__all__ = ["FlatFunction", "flatten_function"]

_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FlatFunction:
    """A function's nodes.

    Attributes:
      nodes: NodeDefs; they consume the arguments as outputs of nodes that are not there.
      arguments: the names of these nodes, one for each argument.
      outputs: names of the tensors that the function returns.
      effects: names of the nodes that run with the function, wanted or not.
    """

    nodes: tuple[Any, ...]
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    effects: tuple[str, ...]


def flatten_function(definition: Any, library: Mapping[str, Any]) -> FlatFunction:
    """Flatten a function.

    Args:
      definition: its FunctionDef.
      library: FunctionDefs by name; those of loops and branches are left to be called.
    """
    arguments = tuple(f"__argument_{number}" for number in range(len(definition.signature.input_arg)))
    flattening = _Flattening(library)
    outputs, effects = flattening.add(definition, "", arguments, ())
    return FlatFunction(
        nodes=tuple(flattening.nodes), arguments=arguments, outputs=tuple(outputs), effects=tuple(effects)
    )


class _Flattening:
    """The nodes of a function and of those that it calls, as far as they are known."""

    def __init__(self, library: Mapping[str, Any]) -> None:
        self.nodes: list[Any] = []
        self._library = library

    def add(
        self, function: Any, prefix: str, arguments: Sequence[str], after: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Add a function's nodes, whose effects come after some nodes; return its outputs and effects."""
        body = _Body(function, prefix, arguments, self._library)
        effects: dict[str, list[str]] = {}
        for node in body.nodes.values():
            inputs = [body.resolve(given) for given in body.inputs(node)]
            name = prefix + node.name
            called = _called(node, self._library)
            if called is None:
                if after and _stateful(node.op):
                    inputs += [f"^{each}" for each in after]
                new = self._node(name, node.op, inputs)
                for key, value in node.attr.items():
                    if key not in ("_class", "_output_shapes"):
                        new.attr[key].CopyFrom(value)
                continue
            given = [each for each in inputs if not each.startswith("^")]
            waits = [*(each[1:] for each in inputs if each.startswith("^")), *after]
            if waits:
                self._node(f"{name}/begin", "NoOp", [f"^{each}" for each in waits])
                waits = [f"{name}/begin"]
            outputs, effects[node.name] = self.add(called, f"{name}/", given, waits)
            for number, (output, argument) in enumerate(zip(outputs, called.signature.output_arg, strict=True)):
                self._node(f"{name}/result_{number}", "Identity", [output]).attr["T"].type = argument.type
            if node.name in body.awaited:
                self._node(f"{name}/done", "NoOp", [f"^{each}" for each in effects[node.name]])
        run = dict.fromkeys(function.control_ret.values())
        return (
            [body.resolve(function.ret[argument.name]) for argument in function.signature.output_arg],
            [each for name in run for each in effects.get(name, [prefix + name])],
        )

    def _node(self, name: str, op: str, inputs: Sequence[str]) -> Any:
        self.nodes.append(node_def_pb2.NodeDef(name=name, op=op, input=inputs))
        return self.nodes[-1]


class _Body:
    """The nodes of one FunctionDef, and how what they refer to is called outside."""

    def __init__(self, function: Any, prefix: str, arguments: Sequence[str], library: Mapping[str, Any]) -> None:
        self._prefix = prefix
        self._library = library
        names: list[str] = [each.name for each in function.signature.input_arg]
        self._arguments = dict(zip(names, arguments, strict=True))
        self._run = frozenset(function.control_ret.values())
        self._returned = {value.partition(":")[0] for value in function.ret.values()}
        self.nodes = {node.name: node for node in function.node_def}
        self.awaited = {given[1:] for node in self.nodes.values() for given in self.inputs(node) if given[0] == "^"}

    def inputs(self, node: Any) -> list[str]:
        """Return a node's inputs, without the edges by which TensorFlow makes every output wait for all effects."""
        returned = node.op == "Identity" and node.name in self._returned
        return [
            given
            for given in node.input
            if given[0] != "^" or (given[1:] in self.nodes and not (returned and self._only_runs_effects(given[1:])))
        ]

    def _only_runs_effects(self, name: str) -> bool:
        node = self.nodes[name]
        return name in self._run or (node.op == "NoOp" and all(given[1:] in self._run for given in node.input))

    def resolve(self, given: str) -> str:
        """Return the name outside of an input: "argument", "node:output:0" or "^node"."""
        if given.startswith("^"):
            name = given[1:]
            done = "/done" if _called(self.nodes[name], self._library) is not None else ""
            return f"^{self._prefix}{name}{done}"
        name, _, output = given.partition(":")
        if not output:
            return self._arguments[name]
        node = self.nodes[name]
        output, _, index = output.partition(":")
        by_name = self._library.get(node.op)
        definition = by_name.signature if by_name is not None else _tensorflow.op_def(node.op)
        number = _first(definition, node, output) + int(index)
        called = _called(node, self._library) is not None
        return f"{self._prefix}{name}/result_{number}" if called else f"{self._prefix}{name}:{number}"


def _called(node: Any, library: Mapping[str, Any]) -> Any | None:
    """Return the FunctionDef that a node does nothing but call."""
    return library[node.attr["f"].func.name] if node.op in _CALLS else library.get(node.op)


def _first(op_def: Any, node: Any, output: str) -> int:
    """Return the number of the first tensor of an output, among all that a node has."""
    number = 0
    for argument in op_def.output_arg:
        if argument.name == output:
            return number
        number += tensor_count(argument, node)
    raise LookupError(f"{node.name} ({node.op}) has no output {output!r}")


def _stateful(op: str) -> bool:
    definition = _tensorflow.op_def(op)
    return definition is None or bool(definition.is_stateful)
