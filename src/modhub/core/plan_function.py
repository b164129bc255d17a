"""A plan as a function on a state, for where it is called and not imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from modhub.core import _tensorflow
from modhub.core.control_flow import NotFunctionalError, import_functional, needs_functions
from modhub.core.functions import import_nodes
from modhub.core.gradients import refuse_gradient
from modhub.core.plan import SignaturePlan
from modhub.format.names import split_input

__all__ = ["PlanFunction", "trace_plan"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlanFunction:
    """A plan as a function of its inputs, with the state captured.

    Attributes:
      function: a ConcreteFunction of the tensors of `arguments`; returns those of `results`, and a token that is ready
        once the update ops ran.
      arguments: names of the tensors that inputs feed.
      results: names of the tensors that it computes.
      obstacle: why these cannot be differentiated, if so.
    """

    function: Any
    arguments: tuple[str, ...]
    results: tuple[str, ...]
    obstacle: str

    def __call__(self, feeds: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return the results by name, and the token; `feeds` has the arguments by name."""
        *results, token = _tensorflow.call_flat(self.function, [feeds[name] for name in self.arguments])
        if self.obstacle:
            results = refuse_gradient(results, self.obstacle)
        return dict(zip(self.results, results, strict=True)), token


def trace_plan(
    plan: SignaturePlan,
    arguments: Mapping[str, tf.TensorSpec],
    capture: Callable[[_tensorflow.FuncGraph, str], tf.Tensor],
    *,
    updates: bool,
) -> PlanFunction:
    """Make a function of a plan, in the default graph or under eager execution.

    Args:
      plan: the plan.
      arguments: what the function takes, by the names of the tensors that it feeds.
      capture: brings a piece of state, by its name, into the function's graph.
      updates: whether the update ops run with it.
    """
    obstacle = ""
    wanted = _computed(plan)

    def body(*tensors: tf.Tensor) -> list[tf.Tensor]:
        nonlocal obstacle
        graph = tf.compat.v1.get_default_graph()
        fed = dict(zip(arguments, tensors, strict=True))
        fed |= {name: capture(graph, name) for name in plan.part.captures if name not in fed}
        results, ops, obstacle = _import(plan, fed, wanted, plan.updates if updates else ())
        # Whatever is used of the results, or of intermediate ones for a gradient, the updates run.
        _tensorflow.run_always(graph, ops)
        shaped = _shaped(plan, wanted, results)
        with tf.control_dependencies(ops):
            return [*shaped, tf.constant(0)]

    function = tf.compat.v1.wrap_function(body, list(arguments.values()))
    return PlanFunction(function=function, arguments=tuple(arguments), results=tuple(wanted), obstacle=obstacle)


def _computed(plan: SignaturePlan) -> list[str]:
    """Return the tensors that a plan's nodes compute and the caller wants."""
    computed = {node.name for node in plan.part.graph_def.node}
    fed = {name for names in plan.inputs.values() for name in names}
    wanted = [name for names in plan.outputs.values() for name in names] + list(plan.losses)
    return [name for name in dict.fromkeys(wanted) if name not in fed and split_input(name)[0] in computed]


def _import(
    plan: SignaturePlan, fed: Mapping[str, tf.Tensor], wanted: list[str], updates: tuple[str, ...]
) -> tuple[list[tf.Tensor], list[tf.Operation], str]:
    """Import a plan into the function that is being traced.

    Returns:
      What is wanted; the update ops; and why the former cannot be differentiated, if so.
    """
    graph = tf.compat.v1.get_default_graph()
    obstacle = ""
    with graph.name_scope("signature") as scope:
        if needs_functions(plan.part):
            try:
                return (*import_functional(plan.part, fed, wanted, updates), "")
            except NotFunctionalError as error:
                obstacle = (
                    f"that cannot be rebuilt as one of TensorFlow 2, because {error}; and TensorFlow differentiates no "
                    "other in a function (under eager execution, in a tf.function, a branch of tf.cond, tf.map_fn, "
                    "Dataset.map, ...). Apply modhub.Module in a tf.Graph, outside of functions; or build the graph "
                    "after tf.compat.v1.disable_control_flow_v2()."
                )
        if plan.part.graph_def.node:
            import_nodes(plan.part.graph_def, fed, scope)
    results = [graph.get_tensor_by_name(scope + name) for name in wanted]
    return results, [graph.get_operation_by_name(scope + name) for name in updates], obstacle


def _shaped(plan: SignaturePlan, names: list[str], results: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return tensors of the function's own, with the static shapes that the signature promises."""
    shapes = {
        tensors[0]: info.shape for name, info in plan.output_infos.items() if len(tensors := plan.outputs[name]) == 1
    }
    found = []
    for name, result in zip(names, results, strict=True):
        own = tf.identity(result)
        shape = None if own.dtype in (tf.resource, tf.variant) else shapes.get(name)
        if shape is not None and own.shape.is_compatible_with(shape):
            own.set_shape(shape)
        found.append(own)
    return found
