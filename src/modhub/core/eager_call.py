"""Calls plans under eager execution, and in functions that are traced there, on a module's eager state."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.description import Variant
from modhub.core.eager_state import EagerState
from modhub.core.gradients import refuse_gradient
from modhub.core.plan import SignaturePlan
from modhub.core.plan_function import PlanFunction, trace_plan
from modhub.core.resources import captured_tensor
from modhub.core.scope import paused_collection
from modhub.core.tensor_info import TensorValue, from_components, to_components
from modhub.core.tensorflow_errors import blame_module
from modhub.format.names import node_of

__all__ = ["SingleCall", "call_plan", "check_eager", "single_call", "traced_for_saving"]

# Where no replica runs, or functions are traced for a SavedModel, these take the place of a replica's number.
_OUTSIDE = -1
_SAVING = -2
_saving: contextvars.ContextVar[bool] = contextvars.ContextVar("modhub_saving", default=False)


def check_eager(call: str, instead: str) -> None:
    """Check that the outermost context is eager execution, not a `tf.Graph`.

    Args:
      call: what the caller did, for the message.
      instead: what to do in a graph.

    Raises:
      GraphError: it is a graph.
    """
    if tf.executing_eagerly():
        return
    with tf.init_scope():
        if tf.executing_eagerly():
            return
    raise errors.GraphError(
        f"{call} works under eager execution and in functions traced there, and this is a tf.Graph: {instead}"
    )


@contextlib.contextmanager
def traced_for_saving() -> Iterator[None]:
    """Trace functions, in the body, on the variables that a SavedModel has: one for those of all replicas."""
    token = _saving.set(True)
    try:
        yield
    finally:
        _saving.reset(token)


def call_plan(
    state: EagerState, variant: Variant, plan: SignaturePlan, inputs: Mapping[str, TensorValue]
) -> tuple[dict[str, TensorValue], list[tf.Tensor]]:
    """Compute a plan's outputs, and run its update ops.

    Args:
      state: the module's state.
      variant: the variant that was planned.
      plan: what to compute.
      inputs: tensors by input name, as `convert_inputs` gives them.

    Returns:
      The outputs by name, and the regularization losses that depend on the inputs.

    Raises:
      CorruptModuleError: the graph is one that TensorFlow refuses.
      GraphError: it is to be compiled by XLA and cannot be, or it updates variables across replicas.
    """
    feeds: dict[str, tf.Tensor] = {}
    for name, value in inputs.items():
        if isinstance(value, tf.Tensor):
            feeds[plan.inputs[name][0]] = value
        else:
            feeds.update(zip(plan.inputs[name], to_components(value), strict=True))
    place = _place(state)
    if place == _OUTSIDE and plan.updates:
        raise errors.GraphError(
            f"{plan.where} updates variables that each replica has its own of: apply it with training=True inside "
            "strategy.run(), as a training step does."
        )
    key = (plan, place)
    function: PlanFunction | None = state.memo.get(key)
    if function is None:
        with paused_collection(), blame_module(plan.where):
            function = state.memo[key] = _function(state, variant, plan, place)
    if place == _OUTSIDE:
        _merge(state)
    results, _ = function(feeds)
    if not tf.executing_eagerly() and _tensorflow.in_xla_context(tf.compat.v1.get_default_graph()):
        results = _compiled(plan, results)
    bound = {**feeds, **results}
    outputs = {}
    for name, parts in plan.outputs.items():
        tensors = [bound[part] if part in bound else _state_itself(state, variant, part) for part in parts]
        info = plan.output_infos.get(name)
        if info is None or isinstance(info.type_spec, tf.TensorSpec):
            (outputs[name],) = tensors
        else:
            outputs[name] = from_components(info, tensors, promise_shape=False)
    return outputs, [bound[name] for name in plan.losses]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SingleCall:
    """A plan of one tensor to one tensor, ready to be called eagerly without a look at anything else.

    What `call_plan` looks at takes as long as a small module.
    """

    function: Any
    dtype: tf.DType
    shape: tf.TensorShape

    def takes(self, value: Any) -> bool:
        """Tell whether a value needs no conversion."""
        return (
            isinstance(value, tf.Tensor)
            and hasattr(value, "numpy")
            and value.dtype == self.dtype
            and self.shape.is_compatible_with(value.shape)
        )

    def __call__(self, value: tf.Tensor) -> tf.Tensor:
        """Return the output."""
        return _tensorflow.call_flat(self.function, [value])[0]


def single_call(state: EagerState, plan: SignaturePlan) -> SingleCall | None:
    """Return a plan that was called before as a SingleCall, if it is one."""
    function: PlanFunction | None = state.memo.get((plan, 0))
    if function is None or state.distributed or function.obstacle or plan.losses or len(plan.outputs) != 1:
        return None
    (output,) = plan.outputs.values()
    infos = [*plan.input_infos.values(), *plan.output_infos.values()]
    dense = all(isinstance(info.type_spec, tf.TensorSpec) for info in infos)
    if not dense or len(infos) != 2 or len(function.arguments) != 1 or function.results != output:
        return None
    given = infos[0]
    return SingleCall(function=function.function, dtype=given.dtype, shape=given.shape)


def _state_itself(state: EagerState, variant: Variant, tensor: str) -> tf.Tensor:
    """Return a piece of state that is an output (the path of a vocabulary, say)."""
    return captured_tensor(state.sources[variant.tags][node_of(tensor)])


def _function(state: EagerState, variant: Variant, plan: SignaturePlan, place: int) -> PlanFunction:
    sources = state.sources[variant.tags]
    arguments = {
        tensor: spec
        for name, tensors in plan.inputs.items()
        for tensor, spec in zip(tensors, _component_specs(plan.input_infos[name].type_spec), strict=True)
        if tensor in plan.part.captures
    }
    # Which replica's variables these are is known here, and not where the function is traced.
    captured = {
        name: _captured(state, sources[node_of(name)], place) for name in plan.part.captures if name not in arguments
    }

    def capture(graph: _tensorflow.FuncGraph, name: str) -> tf.Tensor:
        handle, variable = captured[name]
        if variable is not None:
            _tensorflow.watch_variable(graph, variable)
        return _tensorflow.capture(graph, handle)

    with tf.init_scope(), tf.control_dependencies(None):
        return trace_plan(plan, arguments, capture, updates=True)


def _component_specs(spec: Any) -> list[tf.TensorSpec]:
    """Return the specs of the tensors that make up an input, without names, which may not be legal ones."""
    parts = tf.nest.flatten(spec, expand_composites=True)
    return [tf.TensorSpec(part.shape, part.dtype) for part in parts]


def _place(state: EagerState) -> int:
    """Return the replica whose variables are to be used, if the call is in one."""
    if not state.distributed:
        return 0
    if _saving.get():
        return _SAVING
    context = tf.distribute.get_replica_context() if tf.distribute.get_strategy() is state.strategy else None
    return _OUTSIDE if context is None else int(tf.get_static_value(context.replica_id_in_sync_group))


def _captured(state: EagerState, source: Any, place: int) -> tuple[tf.Tensor, tf.Variable | None]:
    """Return what a function captures for a piece of state, and the variable if it is one."""
    if not isinstance(source, tf.Variable):
        return captured_tensor(source), None
    if not state.distributed:
        return source.handle, source
    first, *others = state.strategy.experimental_local_results(source)
    if place == _OUTSIDE:
        if (merged := _merged(state).get(id(source))) is not None:
            # Made in the scope of the strategy, it is mirrored too; all its copies are equal.
            first = state.strategy.experimental_local_results(merged)[0]
    elif place != _SAVING:
        handle = source.handle  # that of the replica which the call is in
        first = next((each for each in others if each.handle is handle), first)
    return first.handle, first


def _merged(state: EagerState) -> dict[int, tf.Variable]:
    """Return, for each variable that the replicas update apart, one that is to hold what they are together."""
    if "merged" not in state.memo:
        apart = [state.variables[identity][1] for identity in state.assigned]
        with tf.init_scope():
            state.memo["merged"] = {
                id(variable): tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)
                for variable in apart
                if variable.synchronization == tf.VariableSynchronization.ON_READ
            }
    merged: dict[int, tf.Variable] = state.memo["merged"]
    return merged


def _merge(state: EagerState) -> None:
    merged = _merged(state)
    for identity in state.assigned:
        _, variable = state.variables[identity]
        if id(variable) in merged:
            merged[id(variable)].assign(variable)


def _compiled(plan: SignaturePlan, results: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Check that XLA, which is to compile the function that is being traced, knows the ops of a plan.

    Returns:
      The results; those of loops cannot be differentiated.
    """
    nodes = plan.part.graph_def.node
    unfit = sorted({node.op for node in nodes if _tensorflow.needs_host(node)})
    growing = {node.op for node in nodes if "dynamic_size" in node.attr and node.attr["dynamic_size"].b}
    unfit += sorted(f"{op} of no fixed size" for op in growing)
    if unfit:
        raise errors.GraphError(
            f"The function that is being traced has jit_compile=True, and XLA cannot compile {unfit} of {plan.where}: "
            "apply the module outside that function, and pass it the result."
        )
    if not plan.part.frames:
        return results
    reason = (
        "and is compiled by XLA (jit_compile=True), which this version does not differentiate: leave jit_compile out, "
        "or apply the module outside of the compiled function."
    )
    return dict(zip(results, refuse_gradient(results.values(), reason), strict=True))
