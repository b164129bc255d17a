"""Which variables a layer trains: what the publisher allows and nobody froze, while the layer is trainable.

A layer that is not trainable pauses the variables of its module, so that tapes leave them alone; see `core.freezing`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from modhub import errors
from modhub.core import is_frozen, pause, resume, set_frozen

__all__ = [
    "check_trainable",
    "check_unfrozen",
    "freeze",
    "frozen",
    "own",
    "watch",
]


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


def frozen(callee: Trained) -> list[str]:
    """Return the names of the variables that are frozen though the publisher made them trainable."""
    return sorted(name for name in callee.trainable if is_frozen(callee.variables[name]))


def freeze(callee: Trained, names: Collection[str]) -> None:
    """Freeze some variables, those that there are."""
    for name in set(names).intersection(callee.trainable):
        set_frozen(callee.variables[name], True)


def own(callee: Trained) -> None:
    """Train what the publisher made trainable; SavedModels list variables that say otherwise of themselves."""
    for name in callee.trainable:
        set_frozen(callee.variables[name], False)


def watch(callee: Trained, trainable: bool) -> None:
    """Have tapes watch the variables that are not frozen, or leave them alone.

    Without that, ops that have no gradient could not be under a tape even when the layer is not trainable.
    """
    for name in callee.trainable:
        variable = callee.variables[name]
        (resume if trainable else pause)(variable)


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
