"""tf.contrib.training: HParams; training and evaluation loops of tf_slim."""

from __future__ import annotations

from modhub.compat.tf1.contrib import hparam
from modhub.compat.tf1.contrib.hparam import HParams
from modhub.compat.tf1.contrib.names import names_from
from modhub.compat.tf1.contrib.slim import tf_slim

__all__ = ["HParams", "hparam"]

_training, _evaluation = tf_slim.training, tf_slim.train_eval

__getattr__ = names_from("training", _training, _evaluation)
