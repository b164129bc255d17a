"""Variables of a module as weights of Keras 3."""

from __future__ import annotations

import re

import keras
import tensorflow as tf

from modhub import errors
from modhub.core import set_trainable

__all__ = ["Weight"]

# Optimizers make names of scopes of the names of weights.
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")


class Weight(keras.Variable):
    """A variable of a module as a weight of Keras; both are the same `tf.Variable`."""

    def __init__(self, variable: tf.Variable, name: str, *, trainable: bool, owned: bool) -> None:
        self._owned = owned
        super().__init__(
            initializer=variable,
            dtype=variable.dtype.base_dtype.name,
            trainable=trainable,
            autocast=False,
            aggregation=variable.aggregation.name.lower(),
            synchronization=variable.synchronization.name.lower(),
            name=_ILLEGAL.sub("_", name.replace("/", ".")),
        )
        if self.value is not variable:
            raise errors.GraphError(
                f"Keras {keras.__version__} copies variables instead of adopting them: a newer Keras is needed."
            )

    @property
    def trainable(self) -> bool:
        """Whether the weight is trained."""
        return bool(self._trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        # Else tapes would watch it, and ops that have no gradient could not be under a tape even when frozen.
        if self._owned:
            set_trainable(self.value, bool(value))
