"""ModuleExportCallback: exports the modules of a Keras model while it is trained."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.export.latest import as_modules, export_latest
from modhub.export.timestamped import as_base_dir, check_exports_to_keep
from modhub.loaded import LoadedModule
from modhub.module import Module

__all__ = ["ModuleExportCallback"]

_MODES = ("auto", "min", "max")


# Of Keras 3, or with TF_USE_LEGACY_KERAS=1 of tf_keras: the one that hub.KerasLayer is a layer of.
class ModuleExportCallback(tf.keras.callbacks.Callback):  # type: ignore[misc] # Any, without Keras's types
    """Publishes the modules of a model after each epoch, or after those that were the best so far.

    What is written, and which exports stay, is as for `export_latest`. With `save_best_only` the rules are those of
    `keras.callbacks.ModelCheckpoint`, and the latest export is the best; but a value that is not a number is never
    better, and once a value was seen, an epoch without one (`validation_freq=2`) is not exported. Until then it is,
    with a warning. The best value is kept from one `fit` to the next.

    Attributes:
      last_export: the path of the latest export, None before the first.
      best: the best value so far, None before the first.

    Example:
      >>> import keras, modhub as hub, numpy as np, tempfile, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None, 1])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     hub.create_module_spec(module_fn).export(f"{folder}/triple")
      ...     model = keras.Sequential([hub.KerasLayer(f"{folder}/triple", trainable=True, name="scale")])
      ...     model.compile(keras.optimizers.SGD(0.5), "mse")
      ...     callback = hub.ModuleExportCallback(f"{folder}/exports", save_best_only=True, monitor="loss")
      ...     history = model.fit(np.ones([8, 1]), np.ones([8, 1]), verbose=0, callbacks=[callback])
      ...     hub.load(f"{callback.last_export}/scale")([[1.0]]).numpy().round(3).tolist()
      [[1.0]]
    """

    def __init__(
        self,
        base_dir: str | os.PathLike[str],
        modules: Mapping[str, Any] | None = None,
        *,
        exports_to_keep: int | None = 5,
        save_best_only: bool = False,
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        initial_value_threshold: float | None = None,
    ) -> None:
        """Say what to export, where and when.

        Args:
          base_dir: the directory that the exports go to; see `export_latest`.
          modules: `hub.KerasLayer`s or `hub.LoadedModule`s by name; if left out, the KerasLayers in `model.layers`, and
            in the models in it, by their names. A layer inside a layer of another kind has to be given.
          exports_to_keep: how many exports stay, the newest; None keeps all.
          save_best_only: whether to export only if the monitored value is better than those before.
          monitor: what of the logs is monitored, e.g. "val_loss" or "val_accuracy".
          mode: whether less ("min") or more ("max") is better; "auto" goes by what the metric says of itself.
          initial_value_threshold: the value that the first export has to be better than.

        Raises:
          InvalidArgumentError: an argument is of the wrong kind.
        """
        super().__init__()
        self._base_dir = as_base_dir(base_dir)
        self._exports_to_keep = check_exports_to_keep(exports_to_keep)
        self._given = None if modules is None else _check_modules(modules)
        if mode not in _MODES:
            raise errors.InvalidArgumentError(f"There is no mode {mode!r}. {errors.accepted(mode, _MODES, 'modes')}")
        if not isinstance(monitor, str) or not monitor:
            raise errors.InvalidArgumentError(f"monitor has to be the name of a value in the logs; {monitor!r} is not.")
        if not isinstance(save_best_only, bool):
            raise errors.InvalidArgumentError(f"save_best_only={save_best_only!r} is neither True nor False.")
        self._save_best_only, self._monitor, self._mode = save_best_only, monitor, mode
        self._threshold = _check_threshold(initial_value_threshold)
        self._modules: Mapping[str, Any] = {}
        self.best: float | None = None
        self.last_export: str | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Find the modules.

        Raises:
          InvalidArgumentError: the model has none, or two of the same name.
        """
        self._modules = _modules_in(self.model) if self._given is None else self._given

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Export, if every epoch is to be, or this one was the best.

        Raises:
          InvalidArgumentError: what is monitored is no number, or does not say whether more of it is better.
          ExportError: a file could not be written.
        """
        if not self._save_best_only or self._is_wanted(logs or {}):
            self.last_export = export_latest(self._modules, self._base_dir, self._exports_to_keep)

    def _is_wanted(self, logs: Mapping[str, Any]) -> bool:
        value = _as_number(logs.get(self._monitor), self._monitor)
        if value is None:
            if self.best is not None:
                return False
            warnings.warn(
                f"ModuleExportCallback cannot tell whether an epoch was the best: {self._monitor!r} is not in the "
                f"logs, so the epoch is exported. {errors.accepted(self._monitor, logs, 'values')}",
                stacklevel=2,
            )
            return True
        if self._mode == "auto":
            self._mode = _direction(self.model, self._monitor)
        reference = self._threshold if self.best is None else self.best
        if np.isnan(value) or not (
            reference is None or (value < reference if self._mode == "min" else value > reference)
        ):
            return False
        self.best = value
        return True


def _modules_in(model: Any) -> dict[str, LoadedModule]:
    """Return the modules of the KerasLayers of a model, by the names of the layers."""
    found: dict[str, LoadedModule] = {}
    for layer in _layers(model, set()):
        module = getattr(layer, "resolved_object", None)
        if isinstance(module, LoadedModule):
            if layer.name in found:
                raise errors.InvalidArgumentError(
                    f"The model {model.name!r} has two layers called {layer.name!r}: say which module is exported "
                    "under which name, by modules={'name': layer}."
                )
            found[layer.name] = module
    if not found:
        names = [layer.name for layer in getattr(model, "layers", ())]
        raise errors.InvalidArgumentError(
            f"There is no module to export: of the layers {names} of the model {model.name!r} none is a hub.KerasLayer "
            "of a module. Pass modules={'name': layer}; a TF2 SavedModel is saved by tf.saved_model.save."
        )
    return found


def _layers(model: Any, seen: set[int]) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield layer
            yield from _layers(layer, seen)


def _direction(model: Any, monitor: str) -> Literal["min", "max"]:
    """Return which values of a metric are better."""
    name = monitor.removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return "min"
    metrics = [each for one in model.metrics for each in [one, *getattr(one, "metrics", ())]]
    # Keras 3 has it for its own callbacks; without it there is no way to know.
    said = {getattr(metric, "_direction", None) for metric in metrics if metric.name == name}
    if said == {"up"} or (said <= {None} and name in ("accuracy", "acc")):
        return "max"
    if said == {"down"}:
        return "min"
    raise errors.InvalidArgumentError(
        f"Whether more or less of {monitor!r} is better cannot be told from the model's metrics: pass mode='max' or "
        "mode='min'."
    )


def _as_number(value: Any, monitor: str) -> float | None:
    if value is None:
        return None
    if np.ndim(value) == 0:
        with contextlib.suppress(TypeError, ValueError):
            return float(value)
    raise errors.InvalidArgumentError(
        f"The best epoch is told by one number, and {monitor!r} of the logs is {value!r}: monitor another value."
    )


def _check_modules(modules: object) -> dict[str, Any]:
    named = as_modules(modules)
    for name, module in named.items():
        if isinstance(module, Module):
            raise errors.InvalidArgumentError(
                f"A Keras model trains a hub.KerasLayer or what hub.load returns; {name!r} is {module!r}, which has "
                "its values in a session. Use hub.ModuleExportHook or hub.export_latest."
            )
    return named


def _check_threshold(value: object) -> float | None:
    # Nothing is better than a nan: there would never be an export.
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and not np.isnan(value)):
        return value
    raise errors.InvalidArgumentError(f"initial_value_threshold has to be a number or None; {value!r} was given.")
