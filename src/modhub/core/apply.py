"""Applies a plan: imports it into the graph that is being built, on a module's state.

In the v1 graph of the state the nodes are imported as they are, with their control-flow contexts. In a function
(a tf.function, Dataset.map, a branch of tf.cond or a body of tf.while_loop in control flow v2) the plan is a
function of its own, which is called: tapes record calls and not imports.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.contexts import recreate_contexts
from modhub.core.functions import import_nodes
from modhub.core.plan import SignaturePlan
from modhub.core.plan_function import PlanFunction, trace_plan
from modhub.core.scope import new_name_scope
from modhub.core.state import GraphState
from modhub.core.tensor_info import from_components, to_components
from modhub.core.tensorflow_errors import blame_module
from modhub.format.names import split_input

__all__ = ["Applied", "apply_plan", "check_graph"]

# What no name scope may hold; "classify:image" is a legal signature and no legal scope.
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.\\/>-]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an application gives.

    Attributes:
      outputs: Tensors, SparseTensors and RaggedTensors by output name.
      updates: ops that update state; nothing runs them unless the caller does.
      losses: scalar regularization losses that depend on the inputs.
    """

    outputs: dict[str, Any]
    updates: list[tf.Operation]
    losses: list[tf.Tensor]


def check_graph(state: GraphState) -> None:
    """Check that the default graph can reach a state: it is the state's graph, or a function inside it.

    Raises:
      GraphError: it cannot.
    """
    graph = tf.compat.v1.get_default_graph()
    if tf.executing_eagerly():
        raise errors.GraphError(
            "Module must be applied in the graph it was instantiated for, and eager execution has no graph: "
            "apply it inside `with graph.as_default():`, or get a module for eager execution with modhub.load(handle)."
        )
    if state.graph not in _tensorflow.graphs_around(graph):
        raise errors.GraphError(
            "Module must be applied in the graph it was instantiated for, or in a function inside that graph. "
            "Make the call within the same `with graph.as_default():` as the constructor, or make another "
            "hub.Module here."
        )
    if graph.finalized:
        raise errors.GraphError("The graph is finalized, so no module can be applied in it: apply it before.")


def apply_plan(plan: SignaturePlan, state: GraphState, inputs: Mapping[str, Any], scope: str) -> Applied:
    """Apply a plan in the default graph.

    Args:
      plan: the signature.
      state: the module's state.
      inputs: tensors by input name, as `convert_inputs` gives them.
      scope: a name scope for the ops, made unique below the current one.

    Raises:
      CorruptModuleError: the graph is one that TensorFlow refuses.
    """
    scope = _ILLEGAL.sub("_", scope).strip("/")
    with blame_module(plan.where):
        feeds: dict[str, tf.Tensor] = {}
        for name, value in inputs.items():
            feeds.update(zip(plan.inputs[name], to_components(value), strict=True))
        if tf.compat.v1.get_default_graph() is state.graph:
            return _import(plan, state, feeds, scope)
        return _call(plan, state, feeds, scope)


def _import(plan: SignaturePlan, state: GraphState, feeds: Mapping[str, tf.Tensor], scope: str) -> Applied:
    graph = state.graph
    bound = {**state.tensors, **feeds}
    fed = {name: _tensorflow.enter_context(graph, bound[name]) for name in plan.part.captures}
    prefix = new_name_scope(graph, scope)
    if plan.part.graph_def.node:
        import_nodes(plan.part.graph_def, fed, f"{prefix}/")
    recreate_contexts(graph, plan.part.contexts, plan.part.frames, fed, prefix)
    _recreate_colocations(plan, bound, prefix, graph)

    def tensor(name: str) -> tf.Tensor:
        return bound[name] if name in bound else graph.get_tensor_by_name(f"{prefix}/{name}")

    return Applied(
        outputs=_pack(plan, tensor, feeds),
        updates=[graph.get_operation_by_name(f"{prefix}/{name}") for name in plan.updates],
        losses=[tensor(name) for name in plan.losses],
    )


def _recreate_colocations(plan: SignaturePlan, bound: Mapping[str, tf.Tensor], prefix: str, graph: tf.Graph) -> None:
    """Place ops with what took the place of the state and inputs that they were colocated with."""
    if not plan.part.colocated:
        return
    by_node: dict[str, list[tf.Operation]] = defaultdict(list)
    for name, tensor in bound.items():
        by_node[split_input(name)[0]].append(tensor.op)
    for name, neighbours in plan.part.colocated.items():
        op = graph.get_operation_by_name(f"{prefix}/{name}")
        others = [other for neighbour in neighbours for other in by_node[neighbour]]
        groups = dict.fromkeys(group for other in (*others, op) for group in other.colocation_groups())
        groups.pop(b"loc:@" + op.name.encode(), None)  # what an op without constraints gives
        if groups:
            device = next((other.device for other in others if other.device), "")
            _tensorflow.colocate(op, list(groups), device)


def _call(plan: SignaturePlan, state: GraphState, feeds: Mapping[str, tf.Tensor], scope: str) -> Applied:
    graph = tf.compat.v1.get_default_graph()
    # Where stateful ops run by themselves one call does both; elsewhere updates must wait to be asked for.
    together = _tensorflow.runs_stateful_ops_by_itself(graph)
    with graph.name_scope(scope):
        results, token = _function(plan, state, feeds, updates=together)(feeds)
        if plan.updates and not together:
            _, token = _function(plan, state, feeds, updates=True)(feeds)
    bound = {name: _tensorflow.capture(graph, tensor) for name, tensor in _direct(plan, state).items()}
    bound.update(feeds)
    bound.update(results)
    return Applied(
        outputs=_pack(plan, bound.__getitem__, feeds),
        updates=[token.op] if plan.updates else [],
        losses=[bound[name] for name in plan.losses],
    )


def _function(plan: SignaturePlan, state: GraphState, feeds: Mapping[str, tf.Tensor], *, updates: bool) -> PlanFunction:
    """Return a plan as a function on a state; made once for each."""
    key = (plan, updates)
    if key not in state.functions:
        arguments = {
            name: tf.TensorSpec(None, tensor.dtype) for name, tensor in feeds.items() if name in plan.part.captures
        }
        with state.graph.as_default(), tf.control_dependencies(None):
            state.functions[key] = trace_plan(
                plan, arguments, lambda graph, name: _tensorflow.capture(graph, state.tensors[name]), updates=updates
            )
    function: PlanFunction = state.functions[key]
    return function


def _direct(plan: SignaturePlan, state: GraphState) -> dict[str, tf.Tensor]:
    """Return the outputs that are state themselves (the path of a vocabulary, say)."""
    return {name: state.tensors[name] for names in plan.outputs.values() for name in names if name in state.tensors}


def _pack(plan: SignaturePlan, tensor: Callable[[str], tf.Tensor], feeds: Mapping[str, tf.Tensor]) -> dict[str, Any]:
    return {
        name: from_components(
            plan.output_infos[name],
            [tensor(part) for part in parts],
            # An output that is an input is the caller's own tensor, and stays as it is.
            promise_shape=not any(part in feeds for part in parts),
        )
        for name, parts in plan.outputs.items()
    }
