"""Imports TensorFlow without what its C++ libraries say on stderr."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator

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
    with _without_stderr():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Send what the process writes to file descriptor 2, not what Python writes to it, to nowhere."""
    try:
        saved = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
