"""tf.contrib.framework.nest: functions on nested tuples, lists and dicts."""

from __future__ import annotations

from modhub.compat.tf1._tensorflow import nest
from modhub.compat.tf1.contrib.names import names_from

__all__ = ["is_sequence"]

is_sequence = nest.is_nested

__getattr__ = names_from("framework.nest", nest)
