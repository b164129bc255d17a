"""tf.contrib.losses: losses whose first argument are the predictions, unlike tf.losses; of tf_slim."""

from __future__ import annotations

from modhub.compat.tf1.contrib.names import names_from
from modhub.compat.tf1.contrib.slim import tf_slim

__all__: list[str] = []

__getattr__ = names_from("losses", tf_slim.losses, modules=("metric_learning",))
