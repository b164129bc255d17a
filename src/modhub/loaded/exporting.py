"""Publishes a module with the values that its variables have under eager execution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from modhub.authoring import ModuleSpec, Value, publish, published_variant, write_values
from modhub.core import EagerState, paused_collection, tensorflow_classes

__all__ = ["export_state"]

_VIEWED = (tf.float32, tf.float64, tf.int32, tf.int64)


def export_state(spec: ModuleSpec, state: EagerState, path: str) -> None:
    """Publish a module.

    Args:
      spec: its definition.
      state: its variables.
      path: the new directory.

    Raises:
      ExportExistsError: the path exists.
      ExportError: a file could not be written.
    """
    description = spec.description
    with paused_collection(), tensorflow_classes():
        publish(
            description,
            published_variant(description),
            path,
            lambda prefix: write_values(prefix, _values(state)),
        )


def _values(state: EagerState) -> Iterator[Value]:
    for described, variable in state.variables.values():
        value = tf.convert_to_tensor(variable)
        yield Value(
            key=described.key,
            dtype=described.dtype,
            # A view where there can be one: what it shows is written at once, and a copy may be large.
            array=np.asarray(memoryview(value)) if described.dtype in _VIEWED else value.numpy(),
            full_shape=() if described.extent is None else tuple(described.shape.as_list()),
            extent=described.extent,
        )
