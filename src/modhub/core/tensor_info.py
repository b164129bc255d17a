"""What a signature says of its inputs and outputs, and the tensors that make them up."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.tensorflow_errors import blame_module
from modhub.format.names import tensor_name

__all__ = [
    "ParsedTensorInfo",
    "TensorValue",
    "describe_tensor",
    "from_components",
    "parse",
    "tensor_names",
    "to_components",
]

TensorValue = Any  # a tf.Tensor, SparseTensor or RaggedTensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ParsedTensorInfo:
    """What a signature says of one input or output.

    Attributes:
      dtype: the tf.DType of its elements.
      shape: the static tf.TensorShape, as far as it is known.
      type_spec: a tf.TensorSpec, tf.SparseTensorSpec, tf.RaggedTensorSpec or other tf.TypeSpec; None where this
        TensorFlow does not know the kind of tensor.
    """

    dtype: tf.DType
    shape: tf.TensorShape
    type_spec: tf.TypeSpec | None

    def get_shape(self) -> tf.TensorShape:
        """Return the static shape."""
        return self.shape

    @property
    def is_sparse(self) -> bool:
        """Whether it is a SparseTensor."""
        return isinstance(self.type_spec, tf.SparseTensorSpec)

    @property
    def is_composite(self) -> bool:
        """Whether it is made of several tensors, and is no SparseTensor."""
        return not isinstance(self.type_spec, tf.TensorSpec | tf.SparseTensorSpec)

    @property
    def is_supported_type(self) -> bool:
        """Whether values of it can be fed and returned: a Tensor, SparseTensor or RaggedTensor."""
        return isinstance(self.type_spec, tf.TensorSpec | tf.SparseTensorSpec | tf.RaggedTensorSpec)

    def __repr__(self) -> str:
        return f"<hub.ParsedTensorInfo shape={self.shape} dtype={self.dtype.name} is_sparse={self.is_sparse}>"


def parse(info: Any) -> ParsedTensorInfo:
    """Return what a TensorInfo message says.

    Raises:
      CorruptModuleError: no tensor can be as it says.
    """
    spec: tf.TypeSpec | None = None
    dtype, shape = tf.variant, tf.TensorShape(None)
    with blame_module("the description of a tensor in a signature"):
        if info.WhichOneof("encoding") == "composite_tensor":
            # Its own dtype and shape are often not set; those of a ragged tensor are in the spec.
            with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
                spec = _tensorflow.decode_type_spec(info.composite_tensor.type_spec)
            if isinstance(spec, tf.RaggedTensorSpec):
                dtype, shape = spec.dtype, spec.shape
        else:
            dtype, shape = tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)
            sparse = info.WhichOneof("encoding") == "coo_sparse"
            spec = tf.SparseTensorSpec(shape, dtype) if sparse else tf.TensorSpec(shape, dtype)
    if shape.rank and any(dim is not None and dim < 0 for dim in shape.as_list()):
        raise errors.CorruptModuleError(f"A signature describes a tensor of the impossible shape {shape}.")
    return ParsedTensorInfo(dtype=dtype, shape=shape, type_spec=spec)


def tensor_names(info: Any) -> tuple[str, ...]:
    """Return the names of the tensors that make up what a TensorInfo describes, as `tf.nest.flatten` orders them."""
    encoding = info.WhichOneof("encoding")
    names: tuple[str, ...]
    if encoding == "coo_sparse":
        sparse = info.coo_sparse
        names = (sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name)
    elif encoding == "composite_tensor":
        names = tuple(component.name for component in info.composite_tensor.components)
    else:
        names = (info.name,)
    return tuple(tensor_name(name) for name in names)


def describe_tensor(value: TensorValue) -> Any:
    """Return the TensorInfo of a value."""
    info = meta_graph_pb2.TensorInfo(dtype=value.dtype.as_datatype_enum)
    info.tensor_shape.CopyFrom(value.shape.as_proto())
    if isinstance(value, tf.SparseTensor):
        info.coo_sparse.indices_tensor_name = value.indices.name
        info.coo_sparse.values_tensor_name = value.values.name
        info.coo_sparse.dense_shape_tensor_name = value.dense_shape.name
    elif isinstance(value, tf.RaggedTensor):
        info.composite_tensor.type_spec.CopyFrom(_tensorflow.encode_type_spec(tf.type_spec_from_value(value)))
        for component in to_components(value):
            info.composite_tensor.components.append(describe_tensor(component))
    else:
        info.name = value.name
    return info


def to_components(value: TensorValue) -> list[tf.Tensor]:
    """Return the tensors that make up a value."""
    return list(tf.nest.flatten(value, expand_composites=True))


def from_components(parsed: ParsedTensorInfo, components: Sequence[tf.Tensor], *, promise_shape: bool) -> TensorValue:
    """Return the value that is described, made of `components`; if asked, of the static shape that is promised."""
    if isinstance(parsed.type_spec, tf.TensorSpec):
        (tensor,) = components
        if (
            promise_shape
            and tensor.dtype not in (tf.resource, tf.variant)
            and tensor.shape.is_compatible_with(parsed.shape)
        ):
            tensor.set_shape(parsed.shape)
        return tensor
    if parsed.is_sparse:
        return tf.SparseTensor(*components)
    if parsed.type_spec is None:
        raise errors.InvalidInputError(f"This TensorFlow does not know the kind of tensor of an output: {parsed}.")
    return tf.nest.pack_sequence_as(parsed.type_spec, components, expand_composites=True)
