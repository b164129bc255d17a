"""ModuleExportHook: exports modules while a MonitoredTrainingSession trains them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.export.latest import as_modules, export_latest
from modhub.export.registered import registered_modules
from modhub.export.timestamped import as_base_dir, check_exports_to_keep
from modhub.module import Module

__all__ = ["ModuleExportHook"]


class ModuleExportHook(tf.compat.v1.train.SessionRunHook):  # type: ignore[misc] # Any, without TensorFlow's types
    """Publishes modules every so many steps or seconds, and when training has ended, as `export_latest` does.

    For a `tf.compat.v1.train.MonitoredTrainingSession`, and for the `train` of an Estimator. Where several workers
    train, it belongs to `chief_only_hooks`. It counts by the global step, as `CheckpointSaverHook` does. An error of an
    export ends the training; after any other error there is no last export, since TensorFlow calls no hook then.

    Attributes:
      last_export: the path of the latest export, None before the first.

    Example:
      >>> import modhub as hub, tempfile, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     hook = hub.ModuleExportHook(folder, every_steps=100)
      ...     with tf.Graph().as_default():
      ...         step = tf.compat.v1.train.get_or_create_global_step()
      ...         module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
      ...         hub.register_module_for_export(module, "scale")
      ...         loss = tf.reduce_sum(module([1.0]))
      ...         train = tf.compat.v1.train.GradientDescentOptimizer(0.5).minimize(loss, global_step=step)
      ...         with tf.compat.v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
      ...             for _ in range(3):
      ...                 session.run(train)
      ...     hub.load(f"{hook.last_export}/scale")([1.0]).numpy().tolist()
      [1.5]
    """

    def __init__(
        self,
        base_dir: str | os.PathLike[str],
        modules: Mapping[str, Module] | None = None,
        *,
        every_steps: int | None = None,
        every_secs: float | None = None,
        exports_to_keep: int | None = 5,
        at_end: bool = True,
    ) -> None:
        """Say what to export, where and when.

        Args:
          base_dir: the directory that the exports go to; see `export_latest`.
          modules: what to publish, by name; those of `register_module_for_export` if left out, also those that are
            registered only when the session is made.
          every_steps: after how many global steps to export again.
          every_secs: after how many seconds. Only one of both; with neither there is the export at the end.
          exports_to_keep: how many exports stay, the newest; None keeps all.
          at_end: whether to export when the session is closed, unless that step was exported already.

        Raises:
          InvalidArgumentError: an argument is of the wrong kind, or there would never be an export.
        """
        self._base_dir = as_base_dir(base_dir)
        self._exports_to_keep = check_exports_to_keep(exports_to_keep)
        self._given = None if modules is None else _check_modules(modules)
        self._every_steps, self._every_secs = _check_interval(every_steps, every_secs)
        if every_steps is None and every_secs is None and not at_end:
            raise errors.InvalidArgumentError(
                "The hook would never export: pass every_steps= or every_secs=, or leave at_end=True."
            )
        if not isinstance(at_end, bool):
            raise errors.InvalidArgumentError(f"at_end={at_end!r} is neither True nor False.")
        self._at_end = at_end
        self._modules: Mapping[str, Any] = {}
        self._global_step: Any = None
        self._counted_from, self._counted_from_s = 0, 0.0
        self._exported_step: int | None = None
        self.last_export: str | None = None

    def begin(self) -> None:
        """Find the modules and the global step of the graph.

        Raises:
          GraphError: no module is registered in it, or it has no global step.
        """
        self._modules = registered_modules() if self._given is None else self._given
        if not self._modules:
            raise errors.GraphError(
                "There is no module to export: no module is registered in this graph. Call "
                "hub.register_module_for_export(module, name) before the session is made, or pass modules= to the hook."
            )
        step = tf.compat.v1.train.get_global_step()
        if step is None:
            raise errors.GraphError(
                "ModuleExportHook counts by the global step, and this graph has none: call "
                "tf.compat.v1.train.get_or_create_global_step(), and pass it to the optimizer's minimize()."
            )
        self._global_step = step

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Count from here; the step is an earlier one where a session was lost and made again."""
        self._counted_from, self._counted_from_s = self._step(session), time.monotonic()
        self._exported_step = None

    def before_run(self, run_context: Any) -> Any:
        """Ask for the global step beside what is run."""
        return tf.compat.v1.train.SessionRunArgs(self._global_step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Export when it is time."""
        if self._every_secs is not None and time.monotonic() - self._counted_from_s < self._every_secs:
            return
        if self._every_steps is not None:
            # What came with the run may have been read before the step was counted, so it may be one behind.
            if run_values.results + 1 - self._counted_from < self._every_steps:
                return
            if self._step(run_context.session) - self._counted_from < self._every_steps:
                return
        if self._every_steps is not None or self._every_secs is not None:
            self._export(run_context.session)

    def end(self, session: Any) -> None:
        """Export what the last steps have made."""
        if self._at_end and self._step(session) != self._exported_step:
            self._export(session)

    def _step(self, session: Any) -> int:
        return int(session.run(self._global_step))

    def _export(self, session: Any) -> None:
        self.last_export = export_latest(self._modules, self._base_dir, self._exports_to_keep, session=session)
        self._exported_step = self._counted_from = self._step(session)
        self._counted_from_s = time.monotonic()


def _check_modules(modules: object) -> Mapping[str, Module]:
    named = as_modules(modules)
    found = {name: module for name, module in named.items() if isinstance(module, Module)}
    other = next((name for name in named if name not in found), None)
    if other is not None:
        raise errors.InvalidArgumentError(
            f"ModuleExportHook exports hub.Modules of the graph that it is in; {other!r} is {named[other]!r}. Use "
            "hub.export_latest, or in Keras hub.ModuleExportCallback."
        )
    return found


def _check_interval(steps: object, secs: object) -> tuple[int | None, float | None]:
    if steps is not None and secs is not None:
        raise errors.InvalidArgumentError(
            f"every_steps={steps!r} and every_secs={secs!r} were both given: pass one of them."
        )
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps <= 0):
        raise errors.InvalidArgumentError(f"every_steps has to be a positive whole number; {steps!r} was given.")
    if secs is not None and (isinstance(secs, bool) or not isinstance(secs, int | float) or not secs > 0):
        raise errors.InvalidArgumentError(f"every_secs has to be a positive number of seconds; {secs!r} was given.")
    return steps, secs
