"""TensorFlow as Estimator sees it: with Keras 2 where it had Keras 2, whatever `tf.keras` is for everyone else.

Estimator's own layers, models, optimizers and heads are made of `tf.keras` and `tf.compat.v1.layers` of Keras 2. Since
TensorFlow 2.16 these are Keras 3 or nothing, unless TF_USE_LEGACY_KERAS was set before TensorFlow was imported. The
places below lead to tf_keras instead; they are those that TensorFlow itself leads there when that variable is set.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import tensorflow as tf

__all__ = ["View", "tensorflow_view"]

_V1, _V2 = "tf_keras.api._v1.keras", "tf_keras.api._v2.keras"
# TensorFlow's names for parts of Keras.
_ALIASES = ("losses", "metrics", "optimizers", "initializers")


class View(ModuleType):
    """A module with some of its attributes replaced, for whoever is given this and not the module."""

    def __init__(self, module: ModuleType, instead: Mapping[str, Callable[[], Any]]) -> None:
        """Make a view.

        Args:
          module: what is looked at.
          instead: by the name of an attribute, what makes its value; called once, when it is first used.
        """
        super().__init__(module.__name__, module.__doc__)
        self._module, self._instead = module, instead

    def __getattr__(self, name: str) -> Any:
        make = self._instead.get(name)
        if make is None:
            return getattr(self._module, name)
        value = make()
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._module), *self._instead})


def tensorflow_view() -> View:
    """Return TensorFlow with Keras 2, of which nothing is imported before it is used."""
    view = View(
        tf,
        {
            "keras": _of(_V2),
            **{alias: _of(f"{_V2}.{alias}") for alias in _ALIASES},
            "compat": lambda: View(tf.compat, {"v1": _v1, "v2": lambda: view}),
        },
    )
    return view


def _v1() -> View:
    legacy = f"{_V1}.__internal__.legacy"
    return View(
        tf.compat.v1,
        {
            "keras": _of(_V1),
            "layers": _of(f"{legacy}.layers"),
            "nn": lambda: View(tf.compat.v1.nn, {"rnn_cell": _of(f"{legacy}.rnn_cell")}),
        },
    )


def _of(name: str) -> Callable[[], ModuleType]:
    return lambda: importlib.import_module(name)
