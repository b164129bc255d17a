"""tf.contrib.metrics: metrics that go on from batch to batch; of tf_slim."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from modhub.compat.tf1.contrib.names import names_from
from modhub.compat.tf1.contrib.slim import tf_slim

__all__ = ["confusion_matrix"]

__getattr__ = names_from("metrics", tf_slim.metrics)


def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    dtype: Any = tf.int32,
    name: Any = None,
    weights: Any = None,
) -> Any:
    """Return the matrix of how often each label (row) was predicted as each (column)."""
    return tf.compat.v1.confusion_matrix(labels, predictions, num_classes, dtype, name, weights)
