"""Errors that code written for tensorflow_hub catches as classes of `tf.errors`.

`modhub.errors` knows no TensorFlow; at the border where TensorFlow is present, `with tensorflow_classes():`
turns an error into the subclass that inherits the class of `tf.errors` too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from modhub import errors

__all__ = ["blame_module", "cause_in_graph", "tensorflow_classes"]


class _Bridge(errors.ModhubError):
    """Gives the attributes of `tf.errors.OpError` to an error that no op raised."""

    node_def = None
    op = None
    error_code = tf.errors.NOT_FOUND

    def __init__(self, *args: Any) -> None:
        # Code that adds to an OpError, as Keras does, makes a new one of (node_def, op, message, error_code).
        super().__init__(args[2] if len(args) > 2 else args[0])

    @property
    def experimental_payloads(self) -> dict[bytes, bytes]:
        return {}


class HandleNotFoundError(_Bridge, errors.HandleNotFoundError, tf.errors.NotFoundError):
    """A handle that names nothing, for code that catches `tf.errors.NotFoundError`."""


class NotAModuleError(_Bridge, errors.NotAModuleError, tf.errors.NotFoundError):
    """A directory that is no module, for code that catches `tf.errors.NotFoundError`."""


class UnknownOpError(_Bridge, errors.UnknownOpError, tf.errors.NotFoundError):
    """An op that is not known, for code that catches `tf.errors.NotFoundError`."""


class MissingAssetError(_Bridge, errors.MissingAssetError, tf.errors.NotFoundError):
    """A missing asset, for code that catches `tf.errors.NotFoundError`."""


class CorruptModuleError(_Bridge, errors.CorruptModuleError, tf.errors.DataLossError):
    """Damaged files, for code that catches `tf.errors.DataLossError`."""

    error_code = tf.errors.DATA_LOSS


class ExportExistsError(_Bridge, errors.ExportExistsError, tf.errors.AlreadyExistsError):
    """A target that exists, for code that catches `tf.errors.AlreadyExistsError`."""

    error_code = tf.errors.ALREADY_EXISTS


class UninitializedError(_Bridge, errors.UninitializedError, tf.errors.FailedPreconditionError):
    """A variable without a value, for code that catches `tf.errors.FailedPreconditionError`."""

    error_code = tf.errors.FAILED_PRECONDITION


_SUBCLASSES: dict[type[errors.ModhubError], type[errors.ModhubError]] = {
    errors.HandleNotFoundError: HandleNotFoundError,
    errors.NotAModuleError: NotAModuleError,
    errors.MissingAssetError: MissingAssetError,
    errors.UnknownOpError: UnknownOpError,
    errors.CorruptModuleError: CorruptModuleError,
    errors.ExportExistsError: ExportExistsError,
    errors.UninitializedError: UninitializedError,
}


@contextlib.contextmanager
def tensorflow_classes() -> Iterator[None]:
    """Raise an error of `modhub.errors` from the body as its subclass that is also of `tf.errors`."""
    try:
        yield
    except errors.ModhubError as error:
        subclass = _SUBCLASSES.get(type(error))
        if subclass is None:
            raise
        raise subclass(error.message).with_traceback(error.__traceback__) from error.__cause__


_STUMBLES = (ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError, RuntimeError)


@contextlib.contextmanager
def blame_module(what: str) -> Iterator[None]:
    """Raise what TensorFlow and protobuf say of a module's own data as a CorruptModuleError.

    Nothing checksums a graph, so a damaged one is found where it is used, by whoever stumbles over it. The caller's
    data must have been checked before.
    """
    try:
        yield
    except errors.ModhubError:
        raise
    except (*_STUMBLES, DecodeError, tf.errors.OpError) as error:
        raise errors.CorruptModuleError(f"TensorFlow refuses {what}: {type(error).__name__}: {error}") from error


def cause_in_graph(error: Exception) -> str:
    r"""Return the line that says what is wrong, of a session's message with pages of calls around it.

    Example:
      >>> cause_in_graph(ValueError("Graph execution error:\nNode: 'save'\nx; File too large\n [[{{node save}}]]"))
      'x; File too large'
    """
    return str(error).partition("[[{{node")[0].strip().rpartition("\n")[2].rstrip(".")
