"""Lets tensorflow_hub 0.15.0 be imported on TensorFlow >= 2.16, to time modhub beside it on the same TensorFlow."""

import types
from typing import Any

__all__ = ["import_peer"]


def import_peer() -> Any:
    """Import tensorflow_hub behind the one attribute that it misses, and return it.

    tensorflow_hub 0.15.0 derives `LatestModuleExporter` from `tf.compat.v1.estimator.Exporter` when it is imported.
    TensorFlow 2.16 removed Estimator; nothing that `hub.Module` does needs it, so an empty base class is enough.

    Returns:
      The module `tensorflow_hub`.
    """
    import tensorflow.compat.v1 as v1  # by this path: `tf.compat.v1` is another object until it has been imported

    if not hasattr(v1, "estimator"):
        v1.estimator = types.SimpleNamespace(Exporter=object)
    import tensorflow_hub

    return tensorflow_hub
