"""tf.contrib.tpu: what scripts for TPUs need where there is none, with `use_tpu=False`."""

from __future__ import annotations

import tensorflow as tf

from modhub.compat.estimator import attach
from modhub.compat.tf1.contrib.names import names_from

__all__: list[str] = []

# TPUEstimator and its kin; CrossShardOptimizer, bfloat16_scope and so on.
__getattr__ = names_from("tpu", attach().tpu, tf.compat.v1.tpu)
