"""Gradients of ops for which TensorFlow's own fail in an imported graph.

* `TensorArrayV3` and its relatives (any LSTM of TF1): TensorFlow's gradient functions build a TensorArray of the
  current behaviour, and assert where that is TF2's. Ours use the V3 ops that the forward graph uses.
* Calls of functions (a `tf.function` in a module_fn): the gradient is registered in the process that traced the
  function, under a number. Ours differentiates the function's body.

An op finds its gradient through its attribute `_gradient_op_type`, which `part` sets from `GRADIENTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.core import _tensorflow

__all__ = ["GRADIENTS", "refuse_gradient"]

GRADIENTS = {
    "TensorArrayReadV3": "modhub.TensorArrayRead",
    "TensorArrayWriteV3": "modhub.TensorArrayWrite",
    "TensorArrayGatherV3": "modhub.TensorArrayGather",
    "TensorArrayScatterV3": "modhub.TensorArrayScatter",
    "TensorArrayConcatV3": "modhub.TensorArrayConcat",
    "TensorArraySplitV3": "modhub.TensorArraySplit",
    "PartitionedCall": "modhub.Call",
    "StatefulPartitionedCall": "modhub.Call",
}
# The stateful ops that a second run neither changes nor is changed by: they read, check, or call others.
_REPEATABLE = frozenset(
    {
        "VarHandleOp", "ReadVariableOp", "VarIsInitializedOp", "ResourceGather", "ResourceGatherNd", "Assert", "If",
        "While", "Case", "StatefulPartitionedCall",
    }
)  # fmt: skip

_raw = tf.raw_ops


class _GradientArray:
    """The array of gradients that TensorFlow keeps beside a TensorArray."""

    def __init__(self, op: tf.Operation, flow: tf.Tensor) -> None:
        handle = op.inputs[0]
        # All ops of one tf.gradients call must share one array, those of two calls must not.
        self.handle, _ = _raw.TensorArrayGradV3(handle=handle, flow_in=flow, source=_gradients_scope(op))
        with tf.control_dependencies([self.handle]):
            self.flow = tf.identity(flow)


def _gradients_scope(op: tf.Operation) -> str:
    """Return the scope of the tf.gradients call under way: gradient functions run in "<scope>/<op name>_grad"."""
    scope: str = op.graph.get_name_scope()
    return scope.partition(f"{op.name}_grad")[0].rstrip("/") or scope


def _after(op: tf.Operation, flow: tf.Tensor) -> tf.Tensor:
    """Return `flow`, ready only once the forward op has written: its array's size is known then."""
    with tf.control_dependencies([tf.identity(op.outputs[0])]):
        return tf.identity(flow)


@tf.RegisterGradient("modhub.TensorArrayRead")
def _read(op: tf.Operation, grad: tf.Tensor) -> list[tf.Tensor | None]:
    with op.graph.gradient_override_map(GRADIENTS):
        array = _GradientArray(op, op.inputs[2])
        flow = _raw.TensorArrayWriteV3(handle=array.handle, index=op.inputs[1], value=grad, flow_in=array.flow)
    return [None, None, flow]


@tf.RegisterGradient("modhub.TensorArrayWrite")
def _write(op: tf.Operation, flow: tf.Tensor) -> list[tf.Tensor | None]:
    with op.graph.gradient_override_map(GRADIENTS):
        flow = _after(op, flow)
        array = _GradientArray(op, flow)
        grad = _raw.TensorArrayReadV3(
            handle=array.handle, index=op.inputs[1], flow_in=array.flow, dtype=op.get_attr("T")
        )
    grad.set_shape(op.inputs[2].shape)
    return [None, None, grad, flow]


@tf.RegisterGradient("modhub.TensorArrayGather")
def _gather(op: tf.Operation, grad: tf.Tensor) -> list[tf.Tensor | None]:
    with op.graph.gradient_override_map(GRADIENTS):
        array = _GradientArray(op, op.inputs[2])
        flow = _raw.TensorArrayScatterV3(handle=array.handle, indices=op.inputs[1], value=grad, flow_in=array.flow)
    return [None, None, flow]


@tf.RegisterGradient("modhub.TensorArrayScatter")
def _scatter(op: tf.Operation, flow: tf.Tensor) -> list[tf.Tensor | None]:
    with op.graph.gradient_override_map(GRADIENTS):
        flow = _after(op, flow)
        array = _GradientArray(op, flow)
        grad = _raw.TensorArrayGatherV3(
            handle=array.handle,
            indices=op.inputs[1],
            flow_in=array.flow,
            dtype=op.get_attr("T"),
            element_shape=op.inputs[2].shape[1:],
        )
    return [None, None, grad, flow]


@tf.RegisterGradient("modhub.TensorArrayConcat")
def _concat(op: tf.Operation, grad: tf.Tensor, _: Any) -> list[tf.Tensor | None]:
    with op.graph.gradient_override_map(GRADIENTS):
        array = _GradientArray(op, op.inputs[1])
        flow = _raw.TensorArraySplitV3(handle=array.handle, value=grad, lengths=op.outputs[1], flow_in=array.flow)
    return [None, flow]


@tf.RegisterGradient("modhub.TensorArraySplit")
def _split(op: tf.Operation, flow: tf.Tensor) -> list[tf.Tensor | None]:
    with op.graph.gradient_override_map(GRADIENTS):
        flow = _after(op, flow)
        array = _GradientArray(op, flow)
        grad, _ = _raw.TensorArrayConcatV3(
            handle=array.handle,
            flow_in=array.flow,
            dtype=op.get_attr("T"),
            element_shape_except0=op.inputs[1].shape[1:],
        )
    return [None, grad, None, flow]


def refuse_gradient(tensors: Iterable[tf.Tensor], reason: str) -> list[tf.Tensor]:
    """Return results of a function with v1 control flow in it, which say when differentiated that they cannot be.

    Without its control-flow contexts, which a function has none of, TensorFlow stumbles over it.

    Args:
      tensors: the results.
      reason: the rest of a sentence that begins with "The module has a v1 loop or conditional".
    """

    @tf.custom_gradient
    def guarded(tensor: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradient(*_: Any) -> Any:
            raise errors.GraphError(f"The module has a v1 loop or conditional {reason}")

        return tf.identity(tensor), gradient

    return [guarded(tensor) if tensor.dtype.is_floating else tensor for tensor in tensors]


def _check_repeatable(op: tf.Operation) -> None:
    """Check that a function gives the same results, and changes nothing, when it is run a second time."""
    for function in _tensorflow.functions_called(op):
        for node in function.node_def:
            definition = _tensorflow.op_def(node.op)
            if definition is not None and definition.is_stateful and node.op not in _REPEATABLE:
                raise errors.GraphError(
                    f"The module has a tf.function with the op {node.op} in it ({node.name}), whose gradient would run "
                    "it a second time: draw random numbers and assign variables outside of tf.functions, or call their "
                    "Python functions (f.python_function) in the module_fn."
                )


@tf.RegisterGradient("modhub.Call")
def _call(op: tf.Operation, *grads: tf.Tensor | None) -> list[tf.Tensor | None]:
    """Differentiate a function's body, run once more: the forward call keeps no intermediate results."""
    _check_repeatable(op)
    inputs = list(op.inputs)
    wanted = [
        index for index, tensor in enumerate(inputs) if tensor.dtype.is_floating or tensor.dtype.is_complex
        or tensor.dtype == tf.resource
    ]  # fmt: skip
    given = [index for index, grad in enumerate(grads) if grad is not None]
    found: list[int] = []

    def gradients() -> list[tf.Tensor]:
        graph = tf.compat.v1.get_default_graph()
        arguments = [_tensorflow.capture(graph, tensor) for tensor in inputs]
        outputs = _tensorflow.inline_call(op, arguments)
        results = tf.gradients(
            [outputs[index] for index in given],
            [arguments[index] for index in wanted],
            grad_ys=[_tensorflow.capture(graph, grads[index]) for index in given],
        )
        found.extend(index for index, result in zip(wanted, results, strict=True) if result is not None)
        return [tf.convert_to_tensor(result) for result in results if result is not None]

    body = tf.compat.v1.wrap_function(gradients, signature=[])
    flat: list[tf.Tensor | None] = [None] * len(inputs)
    for index, result in zip(found, body() if found else [], strict=True):
        flat[index] = result
    return flat
