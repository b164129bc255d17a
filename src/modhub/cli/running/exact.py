"""Numbers and texts as arrays of the dtype that an input has; what would be lost is refused, but for rounding."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors

__all__ = ["array_of_array", "array_of_cells", "array_of_json", "convert_leaf", "is_supported"]

_MOST_DIMENSIONS = 32
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def is_supported(dtype: tf.DType) -> bool:
    """Tell whether values of a dtype can be written as JSON: strings, bools and numbers."""
    known = dtype.is_integer or dtype.is_floating or dtype.is_complex or dtype.is_bool or dtype == tf.string
    return known and not dtype.is_quantized


def array_of_json(value: Any, dtype: tf.DType, where: str) -> np.ndarray[Any, Any]:
    """Return nested lists as an array.

    Args:
      value: numbers, bools or texts, in lists of equal lengths. Bytes are {"b64": "..."}; numbers that JSON lacks
        "NaN", "Infinity", "-Infinity". A whole float is an integer, too; 0 and 1 are bools.
      dtype: that of the result.
      where: what messages call it.

    Raises:
      InvalidInputError: a value is of another kind, out of range, or would be cut off; or the lists differ in length.
    """
    shape: list[int] = []
    level = value
    while isinstance(level, list) and len(shape) < _MOST_DIMENSIONS:
        shape.append(len(level))
        level = level[0] if level else None
    leaves = [convert_leaf(leaf, dtype, where) for leaf in _leaves(value, tuple(shape), where)]
    return _packed(leaves, dtype, where).reshape(shape)


def array_of_cells(rows: list[list[str]], dtype: tf.DType, where: str) -> np.ndarray[Any, Any]:
    """Return cells of a CSV file as an array [rows, cells]; arguments and errors as for JSON."""
    value = [[cell if dtype == tf.string else _number(cell, where) for cell in row] for row in rows]
    return array_of_json(value, dtype, where)


def array_of_array(array: np.ndarray[Any, Any], dtype: tf.DType, where: str) -> np.ndarray[Any, Any]:
    """Return an array in another dtype; errors as for JSON."""
    kind = array.dtype.kind
    if dtype == tf.string:
        if kind not in "US":
            raise _refused(f"an array of dtype {array.dtype}", dtype, where)
        leaves = [each.encode() if isinstance(each, str) else bytes(each) for each in array.reshape(-1).tolist()]
        return _packed(leaves, dtype, where).reshape(array.shape)
    target = dtype.as_numpy_dtype
    if array.dtype == target:
        return array
    accepted = "b" if kind == "b" else "biufc" if dtype.is_complex else "biuf"
    if kind not in accepted or (kind == "b" and not dtype.is_bool):
        raise _refused(f"an array of dtype {array.dtype}", dtype, where)
    with np.errstate(all="ignore"):
        result: np.ndarray[Any, Any] = array.astype(target)
        if dtype.is_bool or dtype.is_integer:
            # Back in Python's own numbers, which compare exactly; a float that was cut off or wrapped differs.
            exact = np.array_equal(array.astype(object), result.astype(object))
        else:
            exact = bool(np.all(np.isfinite(result) | ~np.isfinite(array)))
    if not exact:
        raise errors.InvalidInputError(
            f"{where} holds numbers that {dtype.name} has not: {_first_changed(array, result)!r} would become another."
        )
    return result


def convert_leaf(value: Any, dtype: tf.DType, where: str) -> Any:
    """Return one value of JSON as Python has it for a dtype; errors as for lists."""
    if dtype == tf.string:
        return _as_bytes(value, dtype, where)
    if dtype.is_bool:
        if isinstance(value, bool | int | float) and value in (0, 1):
            return bool(value)
        raise _refused(value, dtype, where)
    if isinstance(value, str) and value in _NOT_FINITE and not dtype.is_integer:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(value, dtype, where)
    if not dtype.is_integer:
        return value
    if isinstance(value, float) and not value.is_integer():
        raise _refused(value, dtype, where)
    if not dtype.min <= int(value) <= dtype.max:
        raise errors.InvalidInputError(f"{where} has {value!r}; {dtype.name} is from {dtype.min} to {dtype.max}.")
    return int(value)


def _leaves(value: Any, shape: tuple[int, ...], where: str) -> Iterator[Any]:
    if not shape:
        if isinstance(value, list):
            raise errors.InvalidInputError(f"{where} has lists of different depths, or of more than 32 levels.")
        yield value
        return
    if not isinstance(value, list):
        raise errors.InvalidInputError(f"{where} has {_short(value)} where a list of {shape[0]} is expected.")
    if len(value) != shape[0]:
        raise errors.InvalidInputError(
            f"{where} has lists of different lengths, {shape[0]} and {len(value)}: a tensor has rows of one length."
        )
    for each in value:
        yield from _leaves(each, shape[1:], where)


def _packed(leaves: list[Any], dtype: tf.DType, where: str) -> np.ndarray[Any, Any]:
    if dtype == tf.string:
        found = np.empty(len(leaves), object)  # np.array would take bytes for its own dtype 'S', which drops zeros
        found[:] = leaves
        return found
    if dtype.is_bool or dtype.is_integer:
        return np.array(leaves, dtype.as_numpy_dtype)
    try:
        wide = np.array(leaves, np.complex128 if dtype.is_complex else np.float64)
    except OverflowError as error:
        raise errors.InvalidInputError(f"{where} has an integer that is too large for {dtype.name}.") from error
    return array_of_array(wide, dtype, where)


def _as_bytes(value: Any, dtype: tf.DType, where: str) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
            return base64.b64decode(value["b64"], validate=True)
    except (UnicodeEncodeError, ValueError, binascii.Error) as error:
        raise errors.InvalidInputError(f"{where} has {_short(value)}: {error}.") from error
    raise _refused(value, dtype, where)


def _number(cell: str, where: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    raise errors.InvalidInputError(
        f"{where} has the cell {_short(cell)}, which is no number. One column is chosen as @FILE.csv:COLUMN."
    )


def _first_changed(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> Any:
    for one, other in zip(before.reshape(-1).tolist(), after.reshape(-1).tolist(), strict=True):
        if one != other:
            return one
    return before.reshape(-1).tolist()[0]


def _refused(value: Any, dtype: tf.DType, where: str) -> errors.InvalidInputError:
    shown = value if isinstance(value, str) and value.startswith("an array") else _short(value)
    hint = " Texts are given as JSON strings." if dtype == tf.string else ""
    return errors.InvalidInputError(f"{where} has {shown}. Expected {dtype.name}.{hint}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
