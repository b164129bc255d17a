"""Which variables a layer trains: what the publisher allows and nobody froze, while the layer is trainable.

Whether a variable is frozen is said by its own `trainable`, which `LoadedModule.freeze` sets. A layer that is not
trainable has tapes leave the variables of its module alone by the same attribute: they are paused, and noted as such,
so that the layer can undo just that; whatever was frozen, before or meanwhile, stays so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Protocol

import tensorflow as tf

from modhub import errors
from modhub.core import set_trainable
from modhub.loaded import LoadedModule

__all__ = [
    "OwnedModule",
    "check_trainable",
    "check_unfrozen",
    "freeze",
    "frozen",
    "is_frozen",
    "own",
    "set_frozen",
    "watch",
]

_PAUSED = "_modhub_is_paused"


class OwnedModule(LoadedModule):
    """A module of which a layer may have paused variables: it can be frozen meanwhile."""

    def _set_trainable(self, patterns: Iterable[str], *, value: bool) -> None:
        paused = [variable for variable in self.variables if _is_paused(variable)]
        for variable in paused:
            set_frozen(variable, False)
        try:
            super()._set_trainable(patterns, value=value)
        finally:
            for variable in paused:
                _pause(variable)


class Trained(Protocol):
    """What is used of a `Callee` here."""

    @property
    def target(self) -> Any:
        """The object that was loaded."""

    @property
    def variables(self) -> Any:
        """The variables by name."""

    @property
    def trainable(self) -> Collection[str]:
        """The names of those that the publisher made trainable."""


def is_frozen(variable: tf.Variable) -> bool:
    """Tell whether someone froze a variable, which no layer undoes."""
    return not variable.trainable and not _is_paused(variable)


def set_frozen(variable: tf.Variable, value: bool) -> None:
    """Freeze a variable, or train it."""
    set_trainable(variable, not value)
    setattr(variable, _PAUSED, False)


def _is_paused(variable: tf.Variable) -> bool:
    return getattr(variable, _PAUSED, False) and not variable.trainable


def _pause(variable: tf.Variable) -> None:
    if variable.trainable:
        set_trainable(variable, False)
        setattr(variable, _PAUSED, True)


def frozen(callee: Trained) -> list[str]:
    """Return the names of the variables that are frozen though the publisher made them trainable."""
    return sorted(name for name in callee.trainable if is_frozen(callee.variables[name]))


def freeze(callee: Trained, names: Collection[str]) -> None:
    """Freeze some variables, those that there are."""
    for name in set(names).intersection(callee.trainable):
        set_frozen(callee.variables[name], True)


def own(callee: Trained) -> None:
    """Train what the publisher made trainable; SavedModels list variables that say otherwise of themselves."""
    if type(callee.target) is LoadedModule:
        callee.target.__class__ = OwnedModule
    for name in callee.trainable:
        set_frozen(callee.variables[name], False)


def watch(callee: Trained, trainable: bool) -> None:
    """Have tapes watch the variables that are not frozen, or leave them alone.

    Without that, ops that have no gradient could not be under a tape even when the layer is not trainable.
    """
    for name in callee.trainable:
        variable = callee.variables[name]
        if not trainable:
            _pause(variable)
        elif _is_paused(variable):
            set_frozen(variable, False)


def check_trainable(callee: Trained) -> None:
    """Check that there is something to train.

    Raises:
      InvalidArgumentError: there is not.
    """
    if callee.trainable:
        check_unfrozen(callee)
        return
    if callee.variables or hasattr(callee.target, "variables"):
        why = "has no trainable variables: its publisher made none"
    else:
        why = "does not say what its variables are: pass a tf.Module that is callable, or a concrete function"
    raise errors.InvalidArgumentError(
        f"trainable=True was asked for, and {callee.target!r} {why}. Leave the argument out to use it as it is."
    )


def check_unfrozen(callee: Trained) -> None:
    """Check that some of what the publisher made trainable is not frozen.

    Raises:
      InvalidArgumentError: all is.
    """
    if callee.trainable and all(is_frozen(callee.variables[name]) for name in callee.trainable):
        raise errors.InvalidArgumentError(
            f"The layer is trainable, and all variables of {callee.target!r} are frozen, so that it has nothing to "
            "train: unfreeze some (layer.resolved_object.unfreeze), or set layer.trainable = False."
        )
