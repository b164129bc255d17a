"""Functions of Estimator that are mended once their file is imported: those that meet what a user made with Keras."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from modhub import errors

__all__ = ["mend"]

_ESTIMATOR = "tensorflow_estimator.python.estimator."


def mend(module: ModuleType) -> None:
    """Replace functions of a file of Estimator, if it is one of two.

    Models and optimizers of Keras 3 are refused in words, where Estimator would fail on the first attribute that it
    misses. Models of Keras 2 are trained without the warnings that tf_keras gives of what Estimator calls, and has to.

    Args:
      module: any file of Estimator, imported.
    """
    for mended, name, mending in _MENDINGS:
        if module.__name__ == f"{_ESTIMATOR}{mended}":
            setattr(module, name, mending(getattr(module, name)))


def _taking_a_model(model_to_estimator: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(model_to_estimator)
    def mended(keras_model: Any = None, *args: Any, **kwargs: Any) -> Any:
        _check_family(keras_model, "a tf_keras.Model, given to tf_keras.estimator.model_to_estimator")
        with _without_warnings():
            return model_to_estimator(keras_model, *args, **kwargs)

    return mended


def _taking_an_optimizer(get_optimizer_instance: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(get_optimizer_instance)
    def mended(opt: Any, *args: Any, **kwargs: Any) -> Any:
        made = opt() if callable(opt) else opt  # as Estimator does next
        _check_family(made, "an optimizer of tf_keras.optimizers.legacy, or its name, such as 'Adam'")
        return get_optimizer_instance(made, *args, **kwargs)

    return mended


def _making_a_model_fn(create_model_fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(create_model_fn)
    def mended(*args: Any, **kwargs: Any) -> Any:
        model_fn = create_model_fn(*args, **kwargs)

        @functools.wraps(model_fn)
        def quiet(features: Any, labels: Any, mode: str) -> Any:
            with _without_warnings():
                return model_fn(features, labels, mode)

        return quiet

    return mended


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"tf_keras\.")
        yield


def _check_family(given: object, instead: str) -> None:
    if any(base.__module__.startswith("keras.") for base in type(given).__mro__):
        raise errors.InvalidArgumentError(f"Estimator works with Keras 2, and {given!r} is of Keras 3. Use {instead}.")


_MENDINGS = (
    ("keras_lib", "model_to_estimator", _taking_a_model),
    ("keras_lib", "_create_keras_model_fn", _making_a_model_fn),
    ("canned.optimizers", "get_optimizer_instance_v2", _taking_an_optimizer),
)
