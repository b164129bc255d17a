"""From what a caller passes to tensors that fit a signature; all is checked before the first op is added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.tensor_info import ParsedTensorInfo, TensorValue

__all__ = ["convert_inputs"]

_KINDS = {tf.TensorSpec: "Tensor", tf.SparseTensorSpec: "SparseTensor", tf.RaggedTensorSpec: "RaggedTensor"}
# The second of each is what sessions give back.
_COMPOSITES = {
    "SparseTensor": (tf.SparseTensor, tf.compat.v1.SparseTensorValue),
    "RaggedTensor": (tf.RaggedTensor, tf.compat.v1.ragged.RaggedTensorValue),
}
_SYMBOLIC = (tf.Tensor, tf.Variable)
_STRUCTURED = (list, tuple, tf.SparseTensor, tf.RaggedTensor)


def convert_inputs(inputs: Any, infos: Mapping[str, ParsedTensorInfo], where: str) -> dict[str, TensorValue]:
    """Convert what a caller passed to tensors that fit a signature.

    Args:
      inputs: a dict by input name, or a single value for a signature of one input, or None for none.
      infos: what the signature says of its inputs, by name.
      where: names the signature, for messages.

    Returns:
      Tensors, SparseTensors and RaggedTensors by input name.

    Raises:
      InvalidInputError: an input is missing, unknown, or of another kind, dtype or shape.
    """
    given = _as_dict(inputs, infos, where)
    missing = sorted(infos.keys() - given.keys())
    extra = sorted(given.keys() - infos.keys(), key=str)
    if missing or extra:
        hint = errors.accepted(extra[0], infos, "inputs") if extra else errors.accepted("", infos, "inputs")
        raise errors.InvalidInputError(
            f"The inputs of {where} do not match: missing {missing}, extra given {extra}. {hint}"
        )
    if tf.executing_eagerly() and all(_fits(given[name], infos[name].type_spec) for name in infos):
        return dict(given)
    # All are checked before the first becomes an op, so that a refused call leaves the graph as it was.
    checked = {name: _check(given[name], infos[name], f"input {name!r} of {where}") for name in sorted(infos)}
    return {name: _as_tensor(value, infos[name]) for name, value in checked.items()}


def _fits(value: Any, spec: Any) -> bool:
    """Tell at little cost whether a value is a tensor that needs neither conversion nor a closer look."""
    return (
        type(spec) is tf.TensorSpec
        and isinstance(value, tf.Tensor)
        and hasattr(value, "numpy")  # not a tensor of some graph
        and value.dtype == spec.dtype
        and spec.shape.is_compatible_with(value.shape)
    )


def _as_dict(inputs: Any, infos: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return inputs
    if len(infos) == 1:
        return dict.fromkeys(infos, inputs)
    if not infos:
        raise errors.InvalidInputError(f"Signature expects no inputs, but {where} was given {_show(inputs)}.")
    raise errors.InvalidInputError(
        f"Signature expects multiple inputs. Use a dict. For {where}: {sorted(infos)}; given: {_show(inputs)}."
    )


def _check(value: Any, expected: ParsedTensorInfo, where: str) -> Any:
    """Return a value that `_as_tensor` can turn into what is expected; no op is added."""
    if not expected.is_supported_type:
        raise errors.InvalidInputError(f"Can't convert {where}: its kind of tensor ({expected}) is not supported.")
    kind = _KINDS[type(expected.type_spec)]
    given = next((name for name, classes in _COMPOSITES.items() if isinstance(value, classes)), "Tensor")
    if type(value).__name__ == "KerasTensor":
        raise errors.InvalidInputError(
            f"Can't convert {where}: Got a symbolic tensor of Keras, {_show(value)}. A layer takes it: "
            "modhub.KerasLayer(module)."
        )
    if given != kind:
        shown = given if given != "Tensor" else _show(value)
        raise errors.InvalidInputError(f"Can't convert {where}: Got {shown}. Expected {kind}.")
    _check_graphs(value, where)
    if kind == "Tensor":
        value = _check_dense(value, expected, where)
    elif isinstance(value, tf.compat.v1.SparseTensorValue):
        value = value._replace(values=_check_dense(np.asarray(value.values), expected, where))
    elif value.dtype != expected.dtype:
        raise errors.InvalidInputError(
            f"Can't convert {where}: Got a {kind} of dtype {tf.as_dtype(value.dtype).name}. "
            f"Expected {expected.dtype.name}."
        )
    shape = _static_shape(value)
    spec = expected.type_spec if isinstance(value, tf.RaggedTensor) else None
    if not (spec.is_compatible_with(value) if spec else shape.is_compatible_with(expected.shape)):
        raise errors.InvalidInputError(
            f"Can't convert {where}: Got a {kind} of shape {shape}. Expected {expected.type_spec}."
        )
    return value


def _check_graphs(value: Any, where: str) -> None:
    """Check that the symbolic tensors in a value are of the default graph, or of one around it."""
    graphs = _tensorflow.graphs_around(tf.compat.v1.get_default_graph())
    leaves = tf.nest.flatten(value, expand_composites=True) if isinstance(value, _STRUCTURED) else [value]
    for leaf in leaves:
        if isinstance(leaf, tf.Tensor) and not hasattr(leaf, "numpy") and leaf.graph not in graphs:
            raise errors.InvalidInputError(
                f"Can't convert {where}: {leaf.name!r} is a tensor of another graph than the one that is being built."
            )


def _check_dense(value: Any, expected: ParsedTensorInfo, where: str) -> Any:
    if isinstance(value, tf.Tensor | tf.Variable):
        if value.dtype.base_dtype != expected.dtype:
            raise errors.InvalidInputError(
                f"Can't convert {where}: Got a tensor of dtype {value.dtype.base_dtype.name}. "
                f"Expected {expected.dtype.name}: use tf.cast."
            )
        return value
    try:
        if isinstance(value, list | tuple) and any(isinstance(each, _SYMBOLIC) for each in tf.nest.flatten(value)):
            return _packed(value, expected, where)
        if isinstance(value, list | tuple) and value and all(isinstance(each, np.ndarray) for each in value):
            value = np.stack(value)  # rows, as users have them
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and expected.dtype != tf.string:
            return value.astype(expected.dtype.as_numpy_dtype, copy=False)
        return tf.make_ndarray(tf.make_tensor_proto(value, dtype=expected.dtype))
    except (TypeError, ValueError, OverflowError) as error:
        raise errors.InvalidInputError(
            f"Can't convert {where}: Got {_show(value)}. Expected {expected.dtype.name} of shape {expected.shape}."
        ) from error


def _packed(value: Any, expected: ParsedTensorInfo, where: str) -> tf.Tensor:
    """Return a list that holds tensors as one tensor; its shape is known only then, so ops come before that check."""
    for leaf in tf.nest.flatten(value):
        if isinstance(leaf, _SYMBOLIC) and leaf.dtype.base_dtype != expected.dtype:
            raise errors.InvalidInputError(
                f"Can't convert {where}: Got a list with a tensor of dtype {leaf.dtype.base_dtype.name}. "
                f"Expected {expected.dtype.name}: use tf.cast."
            )
    return tf.convert_to_tensor(value, dtype=expected.dtype)


def _static_shape(value: Any) -> tf.TensorShape:
    """Return a value's shape, as far as it is known before it is a tensor."""
    if isinstance(value, tf.compat.v1.SparseTensorValue):
        return tf.TensorShape(value.dense_shape)
    return tf.TensorShape(value.shape)


def _as_tensor(value: Any, expected: ParsedTensorInfo) -> TensorValue:
    if isinstance(value, tf.SparseTensor | tf.RaggedTensor):
        return tf.nest.map_structure(_of_this_graph, value, expand_composites=True)
    if isinstance(value, tf.compat.v1.SparseTensorValue):
        return tf.SparseTensor.from_value(value)
    if isinstance(value, tf.compat.v1.ragged.RaggedTensorValue):
        return _ragged(value)
    return tf.convert_to_tensor(_of_this_graph(value), dtype=expected.dtype)


def _of_this_graph(value: Any) -> Any:
    """Make a constant of an eager tensor, which cannot enter a v1 graph."""
    is_eager = isinstance(value, tf.Tensor) and hasattr(value, "numpy")
    if is_eager and not tf.executing_eagerly() and not tf.compat.v1.get_default_graph().building_function:
        return tf.constant(value.numpy(), dtype=value.dtype)
    return value


def _ragged(value: Any) -> tf.RaggedTensor:
    """Return the RaggedTensor of what a session gave for one."""
    if not isinstance(value, tf.compat.v1.ragged.RaggedTensorValue):
        return tf.convert_to_tensor(value)
    return tf.RaggedTensor.from_row_splits(_ragged(value.values), value.row_splits)


def _show(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 100 else text[:100] + '...'}"
