"""Whether a variable is trained, frozen, or paused: left alone for a while by a layer that is not trainable.

A frozen variable stays so until somebody unfreezes it; a pause ends with what made it, and leaves a freeze as it was.
Both are said by the variable's own `trainable`, which tapes look at.
"""

from __future__ import annotations

import tensorflow as tf

from modhub.core import _tensorflow

__all__ = ["is_frozen", "pause", "resume", "set_frozen"]

_PAUSED = "_modhub_is_paused"


def is_frozen(variable: tf.Variable) -> bool:
    """Tell whether somebody froze a variable."""
    return not variable.trainable and not _is_paused(variable)


def set_frozen(variable: tf.Variable, value: bool) -> None:
    """Freeze a variable, or train it; one that is paused stays paused, and is then one or the other."""
    paused = _is_paused(variable)
    resume(variable)
    _tensorflow.set_trainable(variable, not value)
    if paused:
        pause(variable)


def pause(variable: tf.Variable) -> None:
    """Have tapes leave a variable alone for a while."""
    if variable.trainable:
        _tensorflow.set_trainable(variable, False)
        setattr(variable, _PAUSED, True)


def resume(variable: tf.Variable) -> None:
    """End a pause."""
    if _is_paused(variable):
        _tensorflow.set_trainable(variable, True)
        setattr(variable, _PAUSED, False)


def _is_paused(variable: tf.Variable) -> bool:
    return getattr(variable, _PAUSED, False) and not variable.trainable
