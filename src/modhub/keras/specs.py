"""Tensors and their TypeSpecs, whichever Keras they come from."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = [
    "cast_like",
    "is_symbolic",
    "is_tensor",
    "module_of",
    "set_shapes",
    "spec_of",
    "spec_with_shape",
    "with_batch",
]

_TENSORS = (tf.Tensor, tf.Variable, tf.SparseTensor, tf.RaggedTensor)


def module_of(value: Any) -> str:
    """Return the package that a value's class is of."""
    return type(value).__module__.partition(".")[0]


def is_symbolic(value: Any) -> bool:
    """Tell whether a value is a KerasTensor, of either Keras, or has some in it."""
    return any(type(leaf).__name__.endswith("KerasTensor") for leaf in tf.nest.flatten(value))


def is_tensor(value: Any) -> bool:
    """Tell whether a value is a tensor of TensorFlow."""
    return isinstance(value, _TENSORS)


def cast_like(value: Any, dtype: tf.DType) -> Any:
    """Cast floats to other floats and integers to other integers, as mixed precision and NumPy need; else nothing."""
    given = value.dtype.base_dtype
    if given == dtype:
        return value
    if (given.is_floating and dtype.is_floating) or (given.is_integer and dtype.is_integer):
        return tf.cast(value, dtype)
    return value


def spec_of(value: Any) -> Any:
    """Return the TypeSpec of a tensor or KerasTensor; None of anything else."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return None
    if isinstance(value, tf.TypeSpec):
        return value
    if is_tensor(value):
        return tf.type_spec_from_value(value)
    shape, dtype = tf.TensorShape(value.shape), tf.as_dtype(value.dtype)
    if getattr(value, "sparse", False):
        return tf.SparseTensorSpec(shape, dtype)
    if getattr(value, "ragged", False):
        rank = getattr(value, "ragged_rank", None)
        splits = getattr(value, "row_splits_dtype", None)
        return tf.RaggedTensorSpec(shape, dtype, 1 if rank is None else rank, tf.as_dtype(splits or "int64"))
    return tf.TensorSpec(shape, dtype)


def spec_with_shape(spec: Any, shape: Any) -> Any:
    """Return a TypeSpec with another shape."""
    if isinstance(spec, tf.SparseTensorSpec):
        return tf.SparseTensorSpec(shape, spec.dtype)
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensorSpec(shape, spec.dtype, spec.ragged_rank, spec.row_splits_dtype)
    return tf.TensorSpec(shape, spec.dtype)


def with_batch(spec: Any, batch: int | None) -> Any:
    """Return a TypeSpec with a batch size, if it has none of its own."""
    if batch is None or not spec.shape.rank or spec.shape.as_list()[0] is not None:
        return spec
    return spec_with_shape(spec, [batch, *spec.shape[1:]])


def set_shapes(outputs: Any, shapes: Any) -> None:
    """Tell tensors their shapes, given without the batch dimension."""
    if shapes is None:
        return
    if isinstance(shapes, dict):
        for key, shape in shapes.items():
            set_shapes(outputs[key], shape)
    elif isinstance(shapes, list):
        for output, shape in zip(outputs, shapes, strict=True):
            set_shapes(output, shape)
    elif isinstance(outputs, tf.Tensor):
        outputs.set_shape([outputs.shape[0] if outputs.shape.rank else None, *shapes])
