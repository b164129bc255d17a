"""What a signature says of a tensor, and how values become tensors that fit it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.names import tensor_name
from modhub.core.tensorflow_errors import blame_module

__all__ = [
    "ParsedTensorInfo",
    "convert_inputs",
    "describe_tensor",
    "from_components",
    "parse",
    "tensor_names",
    "to_components",
]

Value = Any  # a tf.Tensor, SparseTensor or RaggedTensor

_KINDS = {tf.TensorSpec: "Tensor", tf.SparseTensorSpec: "SparseTensor", tf.RaggedTensorSpec: "RaggedTensor"}
# The second of each is what sessions give back.
_COMPOSITES = {
    "SparseTensor": (tf.SparseTensor, tf.compat.v1.SparseTensorValue),
    "RaggedTensor": (tf.RaggedTensor, tf.compat.v1.ragged.RaggedTensorValue),
}
_SYMBOLIC = (tf.Tensor, tf.Variable)
_STRUCTURED = (list, tuple, tf.SparseTensor, tf.RaggedTensor)


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


def describe_tensor(value: Value) -> Any:
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


def to_components(value: Value) -> list[tf.Tensor]:
    """Return the tensors that make up a value."""
    return list(tf.nest.flatten(value, expand_composites=True))


def from_components(info: Any, components: Sequence[tf.Tensor], *, promise_shape: bool) -> Value:
    """Return the value that a TensorInfo describes, made of `components`; if asked, of the static shape it promises."""
    parsed = parse(info)
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
        raise errors.InvalidInputError(
            f"This TensorFlow does not know the kind of tensor of an output: {info.composite_tensor.type_spec}"
        )
    return tf.nest.pack_sequence_as(parsed.type_spec, components, expand_composites=True)


def convert_inputs(inputs: Any, infos: Mapping[str, Any], where: str) -> dict[str, Value]:
    """Convert what a caller passed to tensors that fit a signature.

    Args:
      inputs: a dict by input name, or a single value for a signature of one input, or None for none.
      infos: TensorInfos by input name.
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
    # All are checked before the first becomes an op, so that a refused call leaves the graph as it was.
    checked = {name: _check(given[name], parse(infos[name]), f"input {name!r} of {where}") for name in sorted(infos)}
    return {name: _as_tensor(value, parse(infos[name])) for name, value in checked.items()}


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


def _as_tensor(value: Any, expected: ParsedTensorInfo) -> Value:
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
    if is_eager and not tf.compat.v1.get_default_graph().building_function:
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
