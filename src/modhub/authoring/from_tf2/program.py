"""A traced function as a program for a TF1 graph: nodes without calls, and what of them updates variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from modhub import errors
from modhub.authoring.from_tf2.inline import FlatFunction, flatten_function
from modhub.authoring.from_tf2.library import Library, clean_nodes, functions_of
from modhub.core import _tensorflow

__all__ = ["Program", "program_of"]

_READS = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"}
_CHANGES_VARIABLES = re.compile(r"Assign\w*VariableOp|Rng\w*Skip|Resource(Scatter|Apply|SparseApply|StridedSlice)\w*")
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """A function, ready for import.

    Attributes:
      graph_def: its nodes and the functions that they call.
      arguments: names of the tensors that the importer feeds: the inputs, then what was captured.
      captured: what the function captured, eager tensors.
      outputs: names of the tensors that it returns.
      shapes: their static shapes.
      updates: names of the nodes that change variables.
      effects: names of the other nodes that must run with the outputs (checks, prints).
      draws: names of the tensors that read a seed -> its shape and dtype.
    """

    graph_def: Any
    arguments: tuple[str, ...]
    captured: tuple[tf.Tensor, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tf.TensorShape, ...]
    updates: tuple[str, ...]
    effects: tuple[str, ...]
    draws: Mapping[str, tuple[tf.TensorShape, tf.DType]]

    @property
    def used(self) -> frozenset[str]:
        """The arguments that anything depends on."""
        inputs = {given for node in self.graph_def.node for given in node.input}
        return frozenset(inputs | set(self.outputs)).intersection(self.arguments)

    @property
    def needed(self) -> list[tf.Tensor]:
        """What was captured and is used."""
        first = len(self.arguments) - len(self.captured)
        used = self.used
        pairs = zip(self.arguments[first:], self.captured, strict=True)
        return [tensor for name, tensor in pairs if name in used]


def program_of(concrete: Any, seeds: Mapping[int, tf.Variable], where: str) -> Program:
    """Make the program of a ConcreteFunction.

    Args:
      concrete: the function.
      seeds: variables that hold the seeds of Keras, by the `id` of their handles. Where a seed is only read and
        moved on, each read becomes a draw of TF1's own generator: dropout needs no variable and no update then.
      where: what messages call it.

    Raises:
      ModuleDefinitionError: it calls Python.
    """
    original = concrete.graph.as_graph_def()
    library = {function.signature.name: function for function in original.library.function}
    flat = flatten_function(concrete.function_def, library)
    _check_ops(flat.nodes, library, where)
    captured = tuple(concrete.captured_inputs)
    handles = zip(flat.arguments[len(flat.arguments) - len(captured) :], captured, strict=True)
    held = {name: seeds[id(tensor)] for name, tensor in handles if id(tensor) in seeds}
    draws, dropped = _draws(flat, held)
    nodes = {node.name: _without(node, dropped) for node in flat.nodes if node.name not in dropped}
    effects = [nodes[name] for name in dict.fromkeys(flat.effects) if name in nodes]
    updates = [node.name for node in effects if _changes(node, library, _updates_variables)]
    others = [node.name for node in effects if node.name not in updates and _changes(node, library, _has_effect)]
    graph_def = graph_pb2.GraphDef(versions=original.versions)
    graph_def.node.extend(_needed(nodes, [*flat.outputs, *updates, *others]))
    clean_nodes(graph_def.node)
    kept = Library(library)
    kept.rename_calls(graph_def.node)
    graph_def.library.function.extend(kept.definitions())
    return Program(
        graph_def=graph_def,
        arguments=flat.arguments,
        captured=captured,
        outputs=flat.outputs,
        shapes=tuple(tensor.shape for tensor in concrete.outputs),
        updates=tuple(updates),
        effects=tuple(others),
        draws=draws,
    )


def _check_ops(nodes: Iterable[Any], library: Mapping[str, Any], where: str) -> None:
    found = [node for node in nodes if node.op in _PYTHON]
    found += [node for function in library.values() for node in function.node_def if node.op in _PYTHON]
    if found:
        raise errors.ModuleDefinitionError(
            f"{where} calls Python ({found[0].name!r} is a {found[0].op}, made by tf.py_function or "
            "tf.numpy_function), which cannot be published: a module is a graph. Write it in TensorFlow ops."
        )


def _draws(
    flat: FlatFunction, seeds: Mapping[str, tf.Variable]
) -> tuple[dict[str, tuple[tf.TensorShape, tf.DType]], set[str]]:
    """Return the tensors that draws replace, and the names of the nodes that go."""
    draws: dict[str, tuple[tf.TensorShape, tf.DType]] = {}
    dropped: set[str] = set()
    for argument, seed in seeds.items():
        users = [node for node in flat.nodes if argument in node.input]
        if all(node.op == "ReadVariableOp" or _updates_variables(node) for node in users):
            dropped |= {node.name for node in users}
            draws |= {f"{node.name}:0": (seed.shape, seed.dtype) for node in users if node.op == "ReadVariableOp"}
    return draws, dropped


def _without(node: Any, dropped: Collection[str]) -> Any:
    """Take the control edges to dropped nodes off a node."""
    inputs = [given for given in node.input if given[0] != "^" or given[1:] not in dropped]
    del node.input[:]
    node.input.extend(inputs)
    return node


def _needed(nodes: Mapping[str, Any], roots: Sequence[str]) -> list[Any]:
    """Return the nodes that roots (nodes or tensors) need, in their order."""
    found: set[str] = set()
    pending = [root.partition(":")[0] for root in roots]
    while pending:
        name = pending.pop()
        if name in nodes and name not in found:
            found.add(name)
            pending += [given.lstrip("^").partition(":")[0] for given in nodes[name].input]
    return [node for name, node in nodes.items() if name in found]


def _changes(node: Any, library: Mapping[str, Any], test: Any) -> bool:
    """Tell whether a test is true of a node, or of a node in a function that it calls."""
    called = [library[func.name] for func in functions_of(node) if func.name in library]
    if not called:
        return bool(test(node))
    return any(_changes(inner, library, test) for function in called for inner in function.node_def)


def _updates_variables(node: Any) -> bool:
    return _CHANGES_VARIABLES.fullmatch(node.op) is not None


def _has_effect(node: Any) -> bool:
    definition = _tensorflow.op_def(node.op)
    return definition is not None and definition.is_stateful and node.op not in _READS
