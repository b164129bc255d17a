"""tf.contrib: the parts of it that users of modules had, each made when it is first used.

A part with something of its own is a file here. The others are names that have moved, in the table below.
"""

from __future__ import annotations

import functools
import importlib
import operator
from types import ModuleType
from typing import Any

from modhub.compat.tf1.absent import not_an_attribute
from modhub.compat.tf1.contrib.names import names_from

__all__: list[str] = []

_FILES = ("cluster_resolver", "framework", "layers", "lookup", "losses", "metrics", "slim", "tpu", "training")
# By part, where in the v1 API its names are now.
_MOVED = {
    "data": ("data.experimental", "data"),
    "distribute": ("distribute",),
    "distributions": ("distributions",),
    "estimator": ("estimator.experimental", "estimator"),
    "rnn": ("nn.rnn_cell", "nn"),
    "util": ("",),
}


class _Part(ModuleType):
    """A part whose names have moved."""

    def __init__(self, name: str) -> None:
        super().__init__(f"tensorflow.contrib.{name}")
        from modhub.compat.tf1.face import tensorflow_of_scripts

        tf = tensorflow_of_scripts()
        self._find = names_from(name, *(operator.attrgetter(place)(tf) if place else tf for place in _MOVED[name]))

    def __getattr__(self, name: str) -> Any:
        return self._find(name)


def __getattr__(name: str) -> Any:
    if name in _FILES:
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except AttributeError as error:  # who asks for an attribute would take it for a name that is not there
            raise ImportError(f"tf.contrib.{name} cannot be made with this TensorFlow: {error}") from error
    if name == "keras":
        return importlib.import_module("modhub.compat.tf1.face").tensorflow_of_scripts().keras
    if name in _MOVED:
        return _moved(name)
    raise not_an_attribute("tensorflow.contrib", name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES, *_MOVED, "keras"})


@functools.cache
def _moved(name: str) -> ModuleType:
    return _Part(name)
