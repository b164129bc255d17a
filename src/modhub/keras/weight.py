"""Variables of a module as weights of Keras 3."""

from __future__ import annotations

import itertools
import re
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from modhub import errors
from modhub.core import set_frozen

__all__ = ["Weight", "share_losses", "weight_of"]

# Optimizers make names of scopes of the names of weights.
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")


class Weight(keras.Variable):
    """A variable of a module as a weight of Keras; both are the same `tf.Variable`.

    Keras knows regularization losses of one variable, and a publisher's depend on several. They are dealt out among
    the weights that are trained, so that a model has each once, however many of its layers use the module.
    """

    def __init__(self, variable: tf.Variable, name: str, *, trainable: bool) -> None:
        self._losses: _Losses | None = None
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
        """Whether the weight is trained; `LoadedModule.freeze` changes it too."""
        return bool(self._trainable and self._value.trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if self._trainable:
            set_frozen(self._value, not value)

    @property
    def regularizer(self) -> Callable[[Any], tf.Tensor] | None:
        """The weight's share of the regularization losses of its module."""
        return None if self._losses is None else self._losses.of(self)

    def take_share(self, losses: _Losses) -> None:
        """Have a share of some losses."""
        self._losses = losses


class _Losses:
    """Regularization losses of a module, dealt out among its weights."""

    def __init__(self, losses: Sequence[Callable[[], tf.Tensor]], weights: Sequence[Weight]) -> None:
        self._losses = losses
        self._weights = weights

    def of(self, weight: Weight) -> Callable[[Any], tf.Tensor] | None:
        trained = list(itertools.islice((each for each in self._weights if each.trainable), len(self._losses)))
        for position, each in enumerate(trained):
            if each is weight:
                share = self._losses[position :: len(trained)]
                return lambda _: tf.add_n([loss() for loss in share])
        return None


_weights: weakref.WeakValueDictionary[tuple[int, bool], Weight] = weakref.WeakValueDictionary()


def weight_of(variable: tf.Variable, name: str, *, trainable: bool) -> Weight:
    """Return the one weight for a variable: layers that share a module share it, and models know it by identity.

    A layer that is not trainable has others than one that is, so that the one does not train what the other trains.
    """
    found = _weights.get((id(variable), trainable))  # alive as long as the weight is, which has it
    if found is None:
        found = _weights[id(variable), trainable] = Weight(variable, name, trainable=trainable)
    return found


def share_losses(losses: Sequence[Callable[[], tf.Tensor]], weights: Sequence[Weight]) -> None:
    """Deal out a module's regularization losses among its weights."""
    if losses:
        shared = _Losses(losses, weights)
        for weight in weights:
            weight.take_share(shared)
