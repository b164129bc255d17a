"""tf.contrib.cluster_resolver: those of tf.distribute, but none that finds a TPU."""

from __future__ import annotations

from typing import Any, NoReturn

import tensorflow as tf

from modhub import errors
from modhub.compat.tf1.contrib.names import names_from

__all__ = ["TPUClusterResolver"]

__getattr__ = names_from("cluster_resolver", tf.compat.v1.distribute.cluster_resolver)


class TPUClusterResolver:
    """What scripts name, and make where they run on a TPU."""

    def __new__(cls, *args: Any, **options: Any) -> NoReturn:
        """Refuse: there are no TPUs under `modhub run`."""
        raise errors.NotCoveredError(
            "tf.contrib.cluster_resolver.TPUClusterResolver looks for a TPU, and `modhub run` works on CPUs and GPUs. "
            "Run the script without a TPU (most have a flag: --use_tpu=False, and no --tpu_name)."
        )
