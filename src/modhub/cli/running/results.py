"""Outputs as values, printed for people or as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modhub.cli.text import shown

__all__ = ["Result", "as_json_values", "as_result", "as_text"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An output.

    Attributes:
      dtype: the name of its dtype, as TensorFlow has it.
      kind: "dense", "sparse" or "ragged".
      arrays: the NumPy arrays that make it up: "values"; of a sparse one "indices", "values" and "dense_shape"; of a
        ragged one "values" (flat) and "row_splits_0", "row_splits_1" ..., from the outside.
      shape: None for the length of ragged rows.
      nested: a ragged one as lists.
    """

    dtype: str
    kind: str
    arrays: Mapping[str, np.ndarray[Any, Any]]
    shape: tuple[int | None, ...]
    nested: Any = None


def as_result(value: Any) -> Result:
    """Return what a tensor or array is."""
    if isinstance(value, tf.SparseTensor):
        arrays = {"indices": value.indices.numpy(), "values": value.values.numpy()}
        arrays["dense_shape"] = value.dense_shape.numpy()
        shape = tuple(arrays["dense_shape"].tolist())
        return Result(dtype=value.dtype.name, kind="sparse", arrays=arrays, shape=shape)
    if isinstance(value, tf.RaggedTensor):
        splits = {f"row_splits_{level}": each.numpy() for level, each in enumerate(value.nested_row_splits)}
        return Result(
            dtype=value.dtype.name,
            kind="ragged",
            arrays={"values": value.flat_values.numpy(), **splits},
            shape=tuple(value.shape.as_list()),
            nested=value.to_list(),
        )
    array = np.asarray(value.numpy() if isinstance(value, tf.Tensor) else value)
    dtype = tf.as_dtype(array.dtype).name if array.dtype.kind not in "OSU" else "string"
    if dtype == "string":
        array = array.astype(object)  # TensorFlow gives a scalar as bytes
    return Result(dtype=dtype, kind="dense", arrays={"values": array}, shape=array.shape)


def as_text(results: Mapping[str, Result]) -> str:
    """Return outputs for people to read: a line for each, and its values, the middle of long ones left out."""
    blocks = []
    for name, result in results.items():
        kind = "" if result.kind == "dense" else f"{result.kind} "
        shape = "[" + ", ".join("?" if dim is None else str(dim) for dim in result.shape) + "]"
        parts = [f"{shown(name)}: {kind}{result.dtype} {shape}"]
        if result.kind == "sparse":
            parts += [f"{part} = {_printed(result.arrays[part])}" for part in ("indices", "values")]
        elif result.kind == "ragged":
            parts.append(repr(_decoded(result.nested)))
        else:
            parts.append(_printed(result.arrays["values"]))
        blocks.append("\n".join(parts))
    return "\n\n".join(blocks)


def as_json_values(result: Result) -> dict[str, Any]:
    """Return an output as `--json` prints it; a sparse one can be given back as an input."""
    if result.kind == "sparse":
        return {"dtype": result.dtype, **{key: plain_list(array) for key, array in result.arrays.items()}}
    values = result.nested if result.kind == "ragged" else plain_list(result.arrays["values"])
    return {"dtype": result.dtype, "shape": list(result.shape), "values": values}


def plain_list(array: np.ndarray[Any, Any]) -> Any:
    """Return an array as lists; narrow floats with no more digits than tell them apart."""
    if array.dtype == np.float32 or array.dtype == np.float16:
        return array.astype(str).astype(np.float64).tolist()
    if array.dtype.kind == "V":  # bfloat16 and the like, which NumPy itself does not know
        return array.astype(np.float32).tolist()
    return array.tolist()


def _printed(array: np.ndarray[Any, Any]) -> str:
    if array.dtype == object:
        # The representation of a text escapes what is not printable.
        texts = np.empty(array.shape, object)
        texts.reshape(-1)[:] = [_decoded(each) for each in array.reshape(-1).tolist()]
        array = texts
    return np.array2string(array, separator=", ") if array.ndim else repr(array.item())


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value
