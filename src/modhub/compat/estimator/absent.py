"""What TensorFlow lost since Estimator was written, as far as Estimator asks for it when it is imported.

Tried on TensorFlow 2.16 to 2.21. TensorFlow itself gets none of this: Estimator's own files are given it, where they
import it.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.compat.estimator import distributed

__all__ = ["stand_ins"]

_TPU = "tensorflow.python.tpu."
_EXPORTING = "tensorflow_estimator.python.estimator.estimator_export"


def stand_ins(importer: str) -> dict[str, ModuleType]:
    """Return the modules that a file of Estimator is given in place of TensorFlow's, by their full names.

    Args:
      importer: the file, as the name of a module.
    """
    return _absent() | (_FOR_EXPORTING if importer == _EXPORTING else {})


@functools.cache
def _absent() -> dict[str, ModuleType]:
    return {name: module for name, module in _MODULES.items() if importlib.util.find_spec(name) is None}


class _Gone(ModuleType):
    """A module of TPU code: its classes are there to be compared with, and say that they are gone when used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (), {"__init__": _refusal(f"{self.__name__}.{name}"), "__module__": self.__name__})
        setattr(self, name, value)
        return value


def _refusal(name: str) -> Callable[..., None]:
    def refuse(*args: object, **kwargs: object) -> None:
        raise errors.NotCoveredError(
            f"Estimator asks for {name}, which TensorFlow {tf.__version__} no longer has: TPUEstimator works with "
            "use_tpu=False only, without embedding_config_spec. Train on a TPU with tf.distribute.TPUStrategy."
        )

    return refuse


class _APIExport:
    """Notes the public names of what it decorates, as `tf_export.api_export` did for the API called 'estimator'."""

    def __init__(self, *names: str, api_name: str, v1: list[str] | None = None) -> None:
        self._names, self._names_v1 = names, names if v1 is None else v1

    def __call__(self, symbol: Any) -> Any:
        symbol._estimator_api_names, symbol._estimator_api_names_v1 = self._names, self._names_v1
        return symbol

    def export_constant(self, module_name: str, name: str) -> None:
        """Do nothing: the lists of constants were read when TensorFlow was built."""


def _module(name: str, **attributes: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(attributes)
    return module


def _as_it_is(*_: object, **__: object) -> Callable[[Any], Any]:
    return lambda symbol: symbol


_MODULES: dict[str, ModuleType] = {
    "tensorflow.python.distribute.estimator_training": distributed,
    f"{_TPU}session_support": _Gone(f"{_TPU}session_support"),
    f"{_TPU}tpu_embedding": _Gone(f"{_TPU}tpu_embedding"),
    f"{_TPU}tpu_embedding_gradient": _Gone(f"{_TPU}tpu_embedding_gradient"),
}
_FOR_EXPORTING = {
    "tensorflow.python.util.tf_export": _module(
        "tensorflow.python.util.tf_export", ESTIMATOR_API_NAME="estimator", api_export=_APIExport
    ),
    # It marks all of Estimator as deprecated, in favour of tf.keras: a line of log for each class and function used,
    # which tells those who installed it on purpose nothing.
    "tensorflow.python.util.deprecation": _module("tensorflow.python.util.deprecation", deprecated=_as_it_is),
}
