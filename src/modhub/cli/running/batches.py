"""Computes a signature on a large batch, some rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.cli.running.callee import Callee

__all__ = ["run_in_batches"]


def run_in_batches(callee: Callee, inputs: Mapping[str, Any], batch_size: int | None) -> dict[str, Any]:
    """Compute a signature.

    Args:
      callee: the signature.
      inputs: values that fit it, by name.
      batch_size: rows (of axis 0) to compute at a time; None for all. Scalars go to all parts.

    Returns:
      Tensors by output name, the parts joined along axis 0.

    Raises:
      InvalidInputError: the signature fails on these values; inputs differ in rows; or an output has not as many rows
        as its inputs, so that parts cannot be joined.
    """
    if batch_size is None:
        return _run(callee, inputs)
    split = {name for name, value in inputs.items() if len(value.shape)}
    rows = {name: int(inputs[name].shape[0]) for name in sorted(split)}
    if len(set(rows.values())) != 1:
        raise errors.InvalidInputError(
            f"--batch-size splits inputs that have the same number of rows; here they have {rows}."
        )
    (count,) = set(rows.values())
    parts = []
    # An empty batch is computed too: it says what the outputs are.
    for start in range(0, max(count, 1), batch_size):
        stop = min(start + batch_size, count)
        some = {name: _rows(value, start, stop) if name in split else value for name, value in inputs.items()}
        found = _run(callee, some)
        for name, value in found.items():
            if not len(value.shape) or value.shape[0] != stop - start:
                raise errors.InvalidInputError(
                    f"The output {name!r} of {callee.where} has the shape {list(value.shape)} for {stop - start} rows, "
                    "and cannot be joined from parts: leave out --batch-size."
                )
        parts.append({name: _fetched(value) for name, value in found.items()})
    return {name: _joined([part[name] for part in parts], name) for name in parts[0]}


def _run(callee: Callee, inputs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return callee.run(inputs)
    except errors.ModhubError:
        raise
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise errors.InvalidInputError(
            f"{callee.where} cannot be computed on these inputs: {getattr(error, 'message', None) or error}"
        ) from error


def _rows(value: Any, start: int, stop: int) -> Any:
    if isinstance(value, tf.SparseTensor):
        offsets, sizes = [start], [stop - start]
        rest = value.dense_shape.numpy().tolist()[1:]
        return tf.sparse.slice(value, offsets + [0] * len(rest), sizes + rest)
    return value[start:stop]


def _fetched(value: Any) -> Any:
    """Return a dense value as an array, which is on no accelerator."""
    return value if isinstance(value, tf.SparseTensor | tf.RaggedTensor) else value.numpy()


def _joined(parts: list[Any], name: str) -> Any:
    try:
        if isinstance(parts[0], tf.SparseTensor):
            return tf.sparse.concat(0, parts, expand_nonconcat_dims=True)
        if isinstance(parts[0], tf.RaggedTensor):
            return tf.concat(parts, 0)
        return np.concatenate(parts)
    except (ValueError, tf.errors.OpError) as error:
        raise errors.InvalidInputError(
            f"The parts of the output {name!r} cannot be joined ({error}): leave out --batch-size."
        ) from error
