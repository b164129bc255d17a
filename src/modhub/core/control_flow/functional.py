"""Imports a part into a function with control flow v2 in place of v1's loops and conditionals.

In a function there are no contexts, without which TensorFlow cannot differentiate v1's control flow. What
`tf.while_loop` and `tf.cond` build there can be differentiated, any number of times.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from modhub.core import _tensorflow
from modhub.core.control_flow.membership import NotFunctionalError, find_members, inputs_of, is_control
from modhub.core.control_flow.planner import plan_regions
from modhub.core.control_flow.regions import Conditional, Construct, Item, Loop, Region, Stage
from modhub.core.control_flow.tensor_lists import holds_arrays, rewrite_arrays
from modhub.core.functions import uniquely_named
from modhub.core.part import Part
from modhub.format.names import node_of

__all__ = ["NotFunctionalError", "import_functional", "needs_functions"]

# How often the shapes of a loop's variables may turn out to change before nothing is said of them.
_ROUNDS = 4


def needs_functions(part: Part) -> bool:
    """Tell whether a part has something that has to be rebuilt where there are no control-flow contexts."""
    return bool(part.contexts or part.frames or holds_arrays(part.graph_def.node))


def import_functional(
    part: Part, fed: Mapping[str, tf.Tensor], fetched: Sequence[str], targets: Sequence[str]
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Import a part into the function that is being built, with control flow v2 in place of v1's.

    Args:
      part: what to import.
      fed: tensors of the function, by the names that the part captures.
      fetched: names of the tensors that are wanted.
      targets: names of the nodes that are to run.

    Returns:
      The tensors; and for each target an op that has run once the target has, if it is to run.

    Raises:
      NotFunctionalError: the part's control flow is not built as `tf.cond` and `tf.while_loop` build it; what was
        added to the function, if anything, is of no use.
    """
    graph_def = uniquely_named(part.graph_def)
    nodes = _needed({node.name: node for node in graph_def.node}, fed, fetched, targets)
    members = find_members(nodes, part.contexts, fed)
    rewrite_arrays(nodes, members, fetched)
    nodes = _needed(nodes, fed, fetched, targets)
    region, items = plan_regions(nodes, members, fed.keys(), fetched, targets)
    values = _Values(fed)
    try:
        results = _Importer(graph_def).region(region, values)
    except (TypeError, ValueError) as error:  # the executor checks less of a graph than control flow v2 does
        raise NotFunctionalError(f"TensorFlow refuses it as control flow v2 ({error})") from error
    return results, [values.op(items[target]) for target in targets]


def _needed(
    nodes: Mapping[str, Any], fed: Collection[str], fetched: Iterable[str], targets: Iterable[str]
) -> dict[str, Any]:
    """Return the nodes that some tensors and nodes need."""
    found: set[str] = set()
    pending = [*map(node_of, fetched), *targets]
    while pending:
        name = pending.pop()
        if name in nodes and name not in found:
            found.add(name)
            pending += [node_of(given) for given in inputs_of(nodes[name]) if given not in fed]
            pending += [node_of(given) for given in nodes[name].input if is_control(given)]
    return {name: node for name, node in nodes.items() if name in found}


class _Values:
    """What the names of a part stand for in a graph; that of an inner graph captures what the outer one has."""

    def __init__(self, tensors: Mapping[str, tf.Tensor], outer: _Values | None = None) -> None:
        self._graph = tf.compat.v1.get_default_graph()
        self._tensors = dict(tensors)
        self._ops: dict[Item, tf.Operation] = {}
        self._outer = outer

    def tensor(self, name: str) -> tf.Tensor:
        """Return a tensor of this graph."""
        if name not in self._tensors:
            op, _, index = name.rpartition(":")
            if op in self._ops:
                self._tensors[name] = self._ops[op].outputs[int(index)]
            elif self._outer is not None:
                self._tensors[name] = _tensorflow.capture(self._graph, self._outer.tensor(name))
            else:
                raise NotFunctionalError(f"{name} has no value where it is used")
        return self._tensors[name]

    def op(self, item: Item) -> tf.Operation:
        """Return an op that has run once an item has."""
        return self._ops[item]

    def add_ops(self, names: Iterable[str], ops: Iterable[tf.Operation]) -> None:
        """Note the ops that nodes became."""
        self._ops.update(zip(names, ops, strict=True))

    def add_construct(self, item: Item, names: Iterable[str], tensors: Sequence[tf.Tensor]) -> None:
        """Note the results of a loop or conditional, of which there is at least one."""
        self._tensors.update(zip(names, tensors, strict=False))
        self._ops[item] = tensors[0].op


class _Importer:
    def __init__(self, graph_def: Any) -> None:
        self._library = graph_def.library
        self._versions = graph_def.versions
        self._functions = {function.signature.name for function in graph_def.library.function}
        self._serial = itertools.count()
        # A loop is traced several times: to find its variables' shapes, and again with the loop around it.
        self._shapes: dict[tuple[Any, ...], list[tf.TensorShape]] = {}

    def region(self, region: Region, values: _Values) -> list[tf.Tensor]:
        """Add a region to the graph that is being built, and return its results."""
        for stage in region.stages:
            self._nodes(stage, values)
            for construct in stage.constructs:
                with tf.control_dependencies([values.op(item) for item in construct.awaited]):
                    self._construct(construct, values)
        with tf.control_dependencies([values.op(item) for item in region.effects]):
            results = [
                values.tensor(result) if isinstance(result, str) else tf.constant(result) for result in region.results
            ]
            return [tf.identity(result) for result in results] if region.effects else results

    def _nodes(self, stage: Stage, values: _Values) -> None:
        if not stage.graph_def.node:
            return
        graph_def = graph_pb2.GraphDef(versions=self._versions)
        graph_def.node.extend(stage.graph_def.node)
        if self._functions and any(self._calls(node) for node in graph_def.node):
            graph_def.library.CopyFrom(self._library)
        names = [node.name for node in graph_def.node]
        given = {name: values.tensor(name) for name in stage.consumed}
        given.update({f"^{name}": _token(values.op(item)) for name, item in stage.awaited.items()})
        # Where a name is taken (by what was captured, say) TensorFlow's importer may give two nodes the same other one.
        scope = "/".join(
            filter(None, [tf.compat.v1.get_default_graph().get_name_scope(), f"stage_{next(self._serial)}"])
        )
        ops = tf.import_graph_def(graph_def, input_map=given, return_elements=names, name=f"{scope}/")
        if graph_def.library.function:
            _tensorflow.describe_variables(ops)
        values.add_ops(names, ops)

    def _calls(self, node: Any) -> bool:
        functions = [func.name for value in node.attr.values() for func in (value.func, *value.list.func)]
        return not self._functions.isdisjoint([node.op, *functions])

    def _construct(self, construct: Construct, values: _Values) -> None:
        if isinstance(construct, Loop):
            self._loop(construct, values)
        else:
            self._conditional(construct, values)

    def _conditional(self, conditional: Conditional, values: _Values) -> None:
        def branch(region: Region) -> list[tf.Tensor]:
            inner = _Values({}, values)
            results = self.region(region, inner)
            # One that is there for its effects alone has no result.
            with tf.control_dependencies([inner.op(item) for item in region.effects]):
                return results or [tf.constant(0)]

        false, true = conditional.branches
        results = tf.cond(values.tensor(conditional.pred), lambda: branch(true), lambda: branch(false))
        values.add_construct(conditional.item, conditional.outputs, results)

    def _loop(self, loop: Loop, values: _Values) -> None:
        inside = [variable.inside for variable in loop.variables]

        def run(region: Region, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            return self.region(region, _Values(dict(zip(inside, tensors, strict=True)), values))

        before = [values.tensor(variable.before) for variable in loop.variables]
        results = tf.while_loop(
            lambda *tensors: run(loop.condition, tensors)[0],
            lambda *tensors: run(loop.body, tensors),
            before,
            shape_invariants=self._invariants(loop, before, values),
            parallel_iterations=loop.parallel_iterations,
            maximum_iterations=_most_turns(loop, values),
        )
        names = [variable.after or "" for variable in loop.variables]
        values.add_construct(loop.item, names, results)

    def _invariants(self, loop: Loop, before: Sequence[tf.Tensor], values: _Values) -> list[tf.TensorShape]:
        """Return what stays the same of the shapes of a loop's variables, found by turning it."""
        shapes = [tensor.shape for tensor in before]
        key = (loop, *(tuple(shape.as_list()) if shape.rank is not None else None for shape in shapes))
        for _ in range(_ROUNDS):
            if key in self._shapes:
                break
            found = [_common(*pair) for pair in zip(shapes, self._turned(loop, before, shapes, values), strict=True)]
            if all(_same(*pair) for pair in zip(shapes, found, strict=True)):
                self._shapes[key] = shapes
            else:
                shapes = found
                self._shapes.clear()  # loops inside may have used the shapes that turned out to change
        return self._shapes.setdefault(key, [_unless_value(tensor) for tensor in before])

    def _turned(
        self, loop: Loop, before: Sequence[tf.Tensor], shapes: Sequence[tf.TensorShape], values: _Values
    ) -> list[tf.TensorShape]:
        """Return the shapes after a turn that begins with `shapes`."""
        with _tensorflow.FuncGraph("turn").as_default() as scratch:
            tensors = {
                variable.inside: _tensorflow.capture(scratch, tensor)  # with what is known of the elements of a list
                if tensor.dtype in (tf.variant, tf.resource)
                else tf.compat.v1.placeholder(tensor.dtype, shape)
                for variable, tensor, shape in zip(loop.variables, before, shapes, strict=True)
            }
            return [tensor.shape for tensor in self.region(loop.body, _Values(tensors, values))]


def _most_turns(loop: Loop, values: _Values) -> int | None:
    """Return how often a loop turns at most, if that is known before it runs."""
    if loop.counter is None:
        return None
    start, limit = (
        tf.get_static_value(values.tensor(each)) if isinstance(each, str) else each for each in loop.counter
    )
    return None if start is None or limit is None else max(1, int(limit) - int(start))


def _token(op: tf.Operation) -> tf.Tensor:
    """Return a tensor of an op; nothing but a tensor can be named as what to wait for."""
    if op.outputs:
        return op.outputs[0]
    with tf.control_dependencies([op]):
        return tf.constant(0)


def _common(one: tf.TensorShape, other: tf.TensorShape) -> tf.TensorShape:
    if one.rank is None or one.rank != other.rank:
        return tf.TensorShape(None)
    return tf.TensorShape([a if a == b else None for a, b in zip(one.as_list(), other.as_list(), strict=True)])


def _same(one: tf.TensorShape, other: tf.TensorShape) -> bool:
    return one.rank == other.rank and (one.rank is None or one.as_list() == other.as_list())


def _unless_value(tensor: tf.Tensor) -> tf.TensorShape:
    """Return the shape that is safe to say of a loop's variable: none, but for resources and lists."""
    return tensor.shape if tensor.dtype in (tf.variant, tf.resource) else tf.TensorShape(None)
