"""From values as they were given to tensors that a signature takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.cli.running.callee import Callee
from modhub.cli.running.exact import array_of_array, array_of_cells, array_of_json, convert_leaf, is_supported
from modhub.cli.running.images import file_contents, read_images
from modhub.cli.running.raw import SPARSE_KEYS, Array, Cells, Files, Json, Raw, SparseArrays, Text

__all__ = ["convert", "show_spec"]

_SPARSE_FORM = '{"indices": [[0, 0], [0, 2]], "values": [1, 2], "dense_shape": [1, 3]}'


def convert(given: Mapping[str | None, Raw], callee: Callee) -> dict[str, Any]:
    """Return the inputs of a signature.

    Args:
      given: values by input name; None stands for the only input.
      callee: the signature.

    Returns:
      NumPy arrays, SparseTensors and RaggedTensors by input name.

    Raises:
      UnknownInputError: there is no such input.
      InvalidInputError: an input is missing, or what is given does not fit it.
    """
    named = _named(given, callee)
    missing = sorted(callee.inputs.keys() - named.keys() - callee.optional)
    if missing:
        wanted = ", ".join(f"{name!r}: {show_spec(callee.inputs[name])}" for name in missing)
        raise errors.InvalidInputError(
            f"{callee.where} takes inputs that are not given: {wanted}. Give them as --input NAME=VALUE."
        )
    return {name: _convert(raw, name, callee) for name, raw in named.items()}


def show_spec(spec: Any) -> str:
    """Return what an input is: "float32 [?, 2]"."""
    if spec is None:
        return "a kind of tensor that this TensorFlow does not know"
    kind = {tf.SparseTensorSpec: "sparse ", tf.RaggedTensorSpec: "ragged "}.get(type(spec), "")
    return f"{kind}{spec.dtype.name} {_show_shape(spec.shape)}"


def _named(given: Mapping[str | None, Raw], callee: Callee) -> dict[str, Raw]:
    found = {name: raw for name, raw in given.items() if name is not None}
    for name in found:
        if name not in callee.inputs:
            raise errors.UnknownInputError(
                f"There is no input {name!r} in {callee.where}. {errors.accepted(name, callee.inputs, 'inputs')} "
                "A text with '=' in it is given as JSON: '\"a=b\"'."
            )
    if None in given:
        free = sorted(callee.inputs.keys() - found.keys())
        needed = [name for name in free if name not in callee.optional]
        candidates = free if len(free) == 1 else needed
        if len(candidates) != 1:
            raise errors.InvalidInputError(
                f"{given[None].where} names no input: write NAME=VALUE. "
                + errors.accepted("", callee.inputs, f"inputs of {callee.where}")
            )
        found[candidates[0]] = given[None]
    return found


def _convert(raw: Raw, name: str, callee: Callee) -> Any:
    spec: Any = callee.inputs[name]
    where = f"the input {name!r} ({raw.where})"
    if not isinstance(spec, tf.TensorSpec | tf.SparseTensorSpec | tf.RaggedTensorSpec) or not is_supported(spec.dtype):
        raise errors.InvalidInputError(f"No value can be given for {where}: {callee.where} takes {show_spec(spec)}.")
    if isinstance(spec, tf.SparseTensorSpec):
        value = _sparse(raw, spec, where)
    elif isinstance(spec, tf.RaggedTensorSpec):
        value = _ragged(raw, spec, where)
    else:
        value = _dense(raw, spec, where, callee.image_size(name))
    if not spec.shape.is_compatible_with(value.shape):
        raise errors.InvalidInputError(
            f"{where} has the shape {_show_shape(tf.TensorShape(value.shape))}, and {callee.where} takes "
            f"{show_spec(spec)}.{_hint(value.shape, spec.shape)}"
        )
    return value


def _dense(raw: Raw, spec: tf.TensorSpec, where: str, size: tuple[int, int] | None) -> np.ndarray[Any, Any]:
    rank = spec.shape.rank
    if isinstance(raw, Files):
        if spec.dtype == tf.string:
            contents = np.array(file_contents(raw.paths), object)
            return contents.reshape(()) if rank == 0 and len(contents) == 1 else contents
        return read_images(raw.paths, spec, size, where)
    if isinstance(raw, Array):
        return array_of_array(raw.value, spec.dtype, where)
    if isinstance(raw, Cells):
        if spec.dtype == tf.string and not raw.is_column:
            raise errors.InvalidInputError(f"{where} is for texts: choose a column, as @FILE.csv:COLUMN.")
        cells = array_of_cells(raw.rows, spec.dtype, where)
        return cells[:, 0] if cells.shape[1] == 1 and (rank == 1 or (raw.is_column and rank != 2)) else cells
    if isinstance(raw, SparseArrays):
        raise errors.InvalidInputError(f"{where} is a sparse value. Expected {show_spec(spec)}.")
    value = _structure(raw, spec.dtype)
    if isinstance(value, dict) and set(value) == set(SPARSE_KEYS):
        raise errors.InvalidInputError(f"{where} is a sparse value. Expected {show_spec(spec)}.")
    found = array_of_json(value, spec.dtype, where)
    is_batch_of_one = isinstance(raw, Text) and spec.dtype == tf.string and rank == 1 and not found.ndim
    return found.reshape(1) if is_batch_of_one else found


def _sparse(raw: Raw, spec: tf.SparseTensorSpec, where: str) -> tf.SparseTensor:
    if isinstance(raw, SparseArrays):
        indices = array_of_array(raw.indices, tf.int64, f"the indices of {where}")
        values = array_of_array(raw.values, spec.dtype, f"the values of {where}")
        shape = array_of_array(raw.dense_shape, tf.int64, f"the dense_shape of {where}")
    else:
        value = _structure(raw, spec.dtype)
        if not isinstance(value, dict) or set(value) != set(SPARSE_KEYS):
            raise errors.InvalidInputError(f"{where} is sparse: write it as {_SPARSE_FORM}, or give an .npz file.")
        shape = array_of_json(value["dense_shape"], tf.int64, f"the dense_shape of {where}")
        values = array_of_json(value["values"], spec.dtype, f"the values of {where}")
        indices = array_of_json(value["indices"], tf.int64, f"the indices of {where}")
        if not indices.size:
            indices = indices.reshape(0, shape.size)
    # Kernels trust them: what lies outside of the shape is refused here.
    if shape.ndim != 1 or values.ndim != 1 or indices.shape != (values.size, shape.size):
        raise errors.InvalidInputError(
            f"{where} has indices {list(indices.shape)}, values {list(values.shape)} and dense_shape "
            f"{list(shape.shape)}: expected [n, rank], [n] and [rank]."
        )
    if (indices < 0).any() or (indices >= shape).any() or (shape < 0).any():
        raise errors.InvalidInputError(f"{where} has indices outside of its dense_shape {shape.tolist()}.")
    return tf.sparse.reorder(tf.SparseTensor(indices, tf.constant(values, spec.dtype), shape))


def _ragged(raw: Raw, spec: Any, where: str) -> tf.RaggedTensor:
    value = _structure(raw, spec.dtype)
    if not isinstance(value, list):
        raise errors.InvalidInputError(f"{where} is ragged: write it as JSON, in lists of any lengths.")
    leaves = _mapped(value, lambda leaf: convert_leaf(leaf, spec.dtype, where))
    try:
        return tf.ragged.constant(
            leaves, spec.dtype, ragged_rank=spec.ragged_rank, row_splits_dtype=spec.row_splits_dtype
        )
    except (ValueError, TypeError) as error:
        raise errors.InvalidInputError(f"{where} cannot be ragged as {show_spec(spec)}: {error}.") from error


def _structure(raw: Raw, dtype: tf.DType) -> Any:
    """Return what is to be read as JSON; a bare word is itself where texts are taken."""
    if isinstance(raw, Text):
        is_word = raw.parsed is None or (dtype == tf.string and not isinstance(raw.parsed, str | list | dict))
        return raw.text if is_word else raw.parsed
    if isinstance(raw, Json):
        return raw.value
    return raw.value.tolist() if isinstance(raw, Array) and raw.value.dtype.kind != "S" else None


def _mapped(value: Any, function: Any, depth: int = 0) -> Any:
    if isinstance(value, list) and depth < 32:
        return [_mapped(each, function, depth + 1) for each in value]
    return function(value)


def _show_shape(shape: tf.TensorShape) -> str:
    if shape.rank is None:
        return "of any shape"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape.as_list()) + "]"


def _hint(given: Any, expected: tf.TensorShape) -> str:
    if len(given) + 1 == expected.rank and expected[1:].is_compatible_with(given):
        return " For a batch of one, put it into brackets."
    return ""
