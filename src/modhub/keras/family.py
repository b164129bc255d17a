"""Chooses the layer for the Keras that runs: Keras 3, or Keras 2, which is called tf_keras."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import tensorflow as tf

from modhub import errors

__all__ = ["KerasLayer"]

if TYPE_CHECKING:
    from modhub.keras.keras3 import KerasLayer
else:
    try:
        # TensorFlow decides it once, by TF_USE_LEGACY_KERAS, when tf.keras is first used.
        _is_legacy = tf.keras.layers.Layer.__module__.startswith("tf_keras")
    except (ImportError, AttributeError) as error:
        if importlib.util.find_spec("keras") is None:
            raise ImportError(
                "modhub.KerasLayer needs Keras, which is not installed: pip install keras (or, for "
                "TF_USE_LEGACY_KERAS=1, pip install tf_keras)",
                name="keras",
            ) from error
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        if backend != "tensorflow":
            raise errors.GraphError(
                f"Keras cannot be imported with KERAS_BACKEND={backend} ({error}), and a module needs TensorFlow: set "
                "KERAS_BACKEND=tensorflow before Keras is imported."
            ) from error
        raise
    if _is_legacy:
        from modhub.keras.keras2 import KerasLayer
    else:
        from modhub.keras.keras3 import KerasLayer
