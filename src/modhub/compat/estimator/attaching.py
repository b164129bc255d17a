"""attach: Estimator under the names that it had, `tf.estimator` and `tf.compat.v1.estimator`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from modhub import errors
from modhub.compat.estimator.installing import LOCK, V1_API, V2_API, install

__all__ = ["attach"]

# `import tensorflow.compat.v1` makes a module of its own of what `tf.compat.v1` is until then.
_PLACES = {
    "tensorflow._api.v2.compat.v1": V1_API,
    "tensorflow.compat.v1": V1_API,
    "tensorflow": V2_API,
    "tensorflow._api.v2.compat.v2": V2_API,
    "tensorflow.compat.v2": V2_API,
}


def attach() -> ModuleType:
    """Make `tf.compat.v1.estimator` and `tf.estimator` be Estimator again, after `install`.

    They are there under every name of TensorFlow: `import tensorflow as tf`, `import tensorflow.compat.v1 as tf`,
    `from tensorflow.compat.v1.estimator import Estimator` and so on. A second call does nothing.

    Returns:
      The v1 API, as `install` does.

    Raises:
      MissingDependencyError: as `install` does.
      GraphError: something else has put an `estimator` there, or as `install` does.

    Example:
      >>> from modhub.compat import estimator
      >>> v1_api = estimator.attach()
      >>> import tensorflow as tf
      >>> tf.compat.v1.estimator is v1_api, tf.estimator.Estimator.__name__
      (True, 'EstimatorV2')
    """
    with LOCK:
        # Before anything is imported: that may put a new module in place of one that someone has changed.
        for place, api in _PLACES.items():
            _check_free(place, sys.modules.get(api))
        v1_api = install()
        for place, api in _PLACES.items():
            importlib.import_module(place).estimator = sys.modules[api]  # type: ignore[attr-defined] # what it is for
            sys.modules[f"{place}.estimator"] = sys.modules[api]
        return v1_api


def _check_free(place: str, api: ModuleType | None) -> None:
    there = getattr(sys.modules.get(place), "estimator", sys.modules.get(f"{place}.estimator"))
    if there is not None and there is not api:
        raise errors.GraphError(
            f"{place} has an attribute 'estimator' that modhub did not put there: {there!r}. Attach one or the other."
        )
