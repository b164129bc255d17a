"""LatestModuleExporter: an Exporter of Estimator that publishes the modules of a model_fn while it trains.

Importing this file makes Estimator importable (`modhub.compat.estimator.install`), whose class is the base of ours.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.compat.estimator import install
from modhub.core import cause_in_graph
from modhub.export.latest import export_latest
from modhub.export.registered import registered_modules
from modhub.export.timestamped import as_base_dir, check_export_name, check_exports_to_keep

__all__ = ["LatestModuleExporter"]

_LOG = logging.getLogger("modhub")


class LatestModuleExporter(install().Exporter):  # type: ignore[misc] # Estimator asks for this base, which has no types
    """Publishes modules at each evaluation to `<model_dir>/export/<name>/<10 digits>/<export_name>`.

    Which modules, a model_fn says by `hub.register_module_for_export`. Directories appear whole, and the oldest go, as
    with `hub.export_latest`.

    Args:
      name: of this exporter among those of an EvalSpec, and of its directory.
      serving_input_fn: a function without arguments that returns a ServingInputReceiver (`tf.estimator.export`). The
        model_fn is called with its features in PREDICT mode, to learn which modules it registers; nothing is computed.
      exports_to_keep: how many exports stay, the newest; None keeps all.

    Raises:
      InvalidArgumentError: an argument is of the wrong kind, or exports_to_keep is not positive.

    Example:
      >>> import modhub as hub, tempfile, tensorflow as tf
      >>> from modhub.compat import estimator
      >>> tf_estimator = estimator.install()
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None, 1])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=1.0))
      >>> def model_fn(features, labels, mode):
      ...     module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
      ...     hub.register_module_for_export(module, "double")
      ...     predicted = module(features["x"])
      ...     if mode == "infer":
      ...         return tf_estimator.EstimatorSpec(mode, predictions=predicted)
      ...     loss = tf.reduce_mean(tf.square(predicted - labels))
      ...     step = tf.compat.v1.train.get_or_create_global_step()
      ...     train_op = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
      ...     return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)
      >>> def input_fn():
      ...     return tf.data.Dataset.from_tensors(({"x": [[1.0]]}, [[2.0]])).repeat(50)
      >>> def serving_input_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None, 1])
      ...     return tf_estimator.export.ServingInputReceiver({"x": x}, x)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     trained = tf_estimator.Estimator(model_fn, folder).train(input_fn)
      ...     exporter = LatestModuleExporter("modules", serving_input_fn)
      ...     latest = exporter.export(trained, folder + "/export").decode()
      ...     hub.load(latest + "/double")([[3.0]]).numpy().round(3).tolist()
      [[6.0]]
    """

    def __init__(self, name: str, serving_input_fn: Callable[[], Any], exports_to_keep: int | None = 5) -> None:
        self._name = check_export_name(name)
        if not callable(serving_input_fn):
            raise errors.InvalidArgumentError(
                "serving_input_fn has to be a function without arguments that returns a ServingInputReceiver; "
                f"{serving_input_fn!r} was given."
            )
        self._serving_input_fn = serving_input_fn
        self._exports_to_keep = check_exports_to_keep(exports_to_keep)

    @property
    def name(self) -> str:
        """The name among the exporters of an EvalSpec, and of the directory in `<model_dir>/export`."""
        return self._name

    def export(
        self,
        estimator: Any,
        export_path: str | os.PathLike[str],
        checkpoint_path: str | None = None,
        eval_result: Any = None,
        is_the_final_export: bool | None = None,
    ) -> bytes | None:
        """Publish the modules that the model_fn registers, with the values of a checkpoint.

        Args:
          estimator: the Estimator.
          export_path: the directory that the exports go to, on this machine.
          checkpoint_path: the checkpoint; the Estimator's latest if left out.
          eval_result: not used.
          is_the_final_export: not used.

        Returns:
          The path of the new directory as bytes, like Estimator's exporters; None, and a warning in the log, if no
          module is registered.

        Raises:
          InvalidArgumentError: serving_input_fn does not return what has features, or export_path is no local path.
          CheckpointError: there is no such checkpoint, or it lacks what the model has.
          ExportError: a file could not be written. After any error the exports are as they were.
        """
        base = as_base_dir(export_path, "export_path")
        checkpoint = _checkpoint(estimator, checkpoint_path)
        with tf.Graph().as_default():
            saver = _saver(estimator, self._serving_input_fn)
            modules = registered_modules()
            if not modules:
                _LOG.warning(
                    "LatestModuleExporter %r found no module to export: call hub.register_module_for_export in the "
                    "model_fn, in PREDICT mode too.",
                    self._name,
                )
                return None
            with tf.compat.v1.Session(config=_config(estimator)) as session:
                _restore(saver, session, checkpoint)
                return os.fsencode(export_latest(modules, base, self._exports_to_keep, session=session))


def _checkpoint(estimator: Any, given: str | None) -> str:
    if not hasattr(estimator, "latest_checkpoint"):
        raise errors.InvalidArgumentError(f"What is exported has to be an Estimator; {estimator!r} was given.")
    if given is None:
        checkpoint = estimator.latest_checkpoint()
        if checkpoint is None:
            raise errors.CheckpointError(
                f"There is no checkpoint in {estimator.model_dir!r} to export from: train first, or pass "
                "checkpoint_path."
            )
        return str(checkpoint)
    if not isinstance(given, str | bytes | os.PathLike):
        raise errors.InvalidArgumentError(f"checkpoint_path has to be the path of a checkpoint; {given!r} was given.")
    checkpoint = os.fsdecode(given)
    if not checkpoint or not tf.compat.v1.train.checkpoint_exists(checkpoint):
        raise errors.CheckpointError(
            f"There is no checkpoint {checkpoint!r}. Pass its path without '.index', such as "
            "'model_dir/model.ckpt-100', or what tf.train.latest_checkpoint(model_dir) returns."
        )
    return checkpoint


def _saver(estimator: Any, serving_input_fn: Callable[[], Any]) -> Any:
    """Build the model that serves, in the default graph; return what restores it."""
    tf.compat.v1.train.create_global_step()
    tf.compat.v1.set_random_seed(estimator.config.tf_random_seed)
    receiver = serving_input_fn()
    if not hasattr(receiver, "features"):
        raise errors.InvalidArgumentError(
            f"serving_input_fn has to return a ServingInputReceiver; it returned {receiver!r}. See "
            "tf.compat.v1.estimator.export.ServingInputReceiver(features, receiver_tensors)."
        )
    built = estimator.model_fn(
        features=receiver.features, labels=None, mode=install().ModeKeys.PREDICT, config=estimator.config
    )
    return built.scaffold.saver or tf.compat.v1.train.Saver(sharded=True)


def _restore(saver: Any, session: tf.compat.v1.Session, checkpoint: str) -> None:
    try:
        saver.restore(session, checkpoint)
    except (tf.errors.OpError, ValueError) as error:  # ValueError: it was removed meanwhile
        raise errors.CheckpointError(
            f"The checkpoint {checkpoint!r} does not fit the model that model_fn builds in PREDICT mode: "
            f"{cause_in_graph(error)}. Train it with this model_fn, or name another by checkpoint_path."
        ) from error


def _config(estimator: Any) -> tf.compat.v1.ConfigProto:
    # Without one, Estimator runs what a device of the model_fn cannot run elsewhere.
    return estimator.config.session_config or tf.compat.v1.ConfigProto(allow_soft_placement=True)
