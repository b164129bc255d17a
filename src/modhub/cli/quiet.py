"""Imports TensorFlow without what its C++ libraries say on stderr."""

from __future__ import annotations

import importlib
import os

from modhub.compat.silence import without_stderr

__all__ = ["import_tensorflow_quietly"]

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def import_tensorflow_quietly() -> None:
    """Import TensorFlow, silent unless the user set TF_CPP_MIN_LOG_LEVEL.

    TF_ENABLE_ONEDNN_OPTS, which a message recommends, is left alone: it changes results.

    Raises:
      ImportError: it is not installed, or is broken.
    """
    if _LEVEL in os.environ:
        importlib.import_module("tensorflow")
        return
    os.environ[_LEVEL] = "3"
    # While they are loaded the libraries of 2.21 do not look at the level yet.
    with without_stderr():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
