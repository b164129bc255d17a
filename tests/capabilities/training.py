"""Training steps that are the same for every library, and what must hold after them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tests.capabilities.kinds import Kind
from tests.capabilities.libraries import Library

__all__ = ["FailedCheck", "check", "check_changed", "check_equal", "gradients_of", "step", "trained", "values_of"]


class FailedCheck(Exception):
    """What a library gave is not what it should be."""


def check(holds: bool, what: str) -> None:
    """Raise `FailedCheck` of `what` unless it holds."""
    if not holds:
        raise FailedCheck(what)


def check_equal(found: Any, expected: Any, what: str, *, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Check that two values are, up to rounding."""
    found, expected = np.asarray(found), np.asarray(expected)
    same = found.shape == expected.shape and np.allclose(found, expected, rtol=rtol, atol=atol)
    check(same, what)


def trained(loaded: Any) -> list[tf.Variable]:
    """Return the variables that are to be trained."""
    return [variable for variable in loaded.variables if variable.trainable]


def values_of(variables: Any) -> list[np.ndarray]:
    """Return the values of variables."""
    return [np.array(tf.convert_to_tensor(variable)) for variable in variables]


def check_changed(before: list[np.ndarray], after: list[np.ndarray], *, changed: bool, what: str) -> None:
    """Check that values are finite, and that some of them changed, or none."""
    check(all(np.isfinite(value).all() for value in after), f"{what} are not finite")
    moved = any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    check(moved == changed, f"{what} {'did not change' if changed else 'changed'}")


def gradients_of(library: Library, loaded: Any, kind: Kind, inputs: Any, *, training: bool) -> tuple[Any, list[Any]]:
    """Return the loss, and the gradients of the trained variables, dense."""
    variables = trained(loaded)
    with tf.GradientTape() as tape:
        outputs = library.call(loaded, inputs, kind.signature, training)
        penalties = [penalty() for penalty in library.losses(loaded)] if training else []
        loss = tf.add_n([tf.reduce_mean(tf.square(outputs[kind.output])), *penalties])
    gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]


def step(library: Library, loaded: Any, kind: Kind) -> float:
    """Take a step of SGD in training mode, and return the loss before it."""
    loss, gradients = gradients_of(library, loaded, kind, kind.inputs, training=True)
    check(any(np.any(gradient) for gradient in gradients), "there are no gradients")
    check(all(np.isfinite(gradient).all() for gradient in gradients), "gradients are not finite")
    for variable, gradient in zip(trained(loaded), gradients, strict=True):
        variable.assign_sub(kind.rate * gradient)
    return float(loss)
