"""export_latest: modules written into a new directory beside earlier ones, of which the newest stay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.export.timestamped import as_base_dir, check_export_name, check_exports_to_keep, write_export
from modhub.loaded import LoadedModule
from modhub.module import Module

__all__ = ["as_modules", "export_latest"]


def export_latest(
    modules: Mapping[str, Any],
    base_dir: str | os.PathLike[str],
    exports_to_keep: int | None = 5,
    *,
    session: Any = None,
) -> str:
    """Publish modules to `<base_dir>/<10 digits>/<name>`, and remove the oldest of such directories.

    The digits are the seconds since 1970, or the next number that is larger than those that are there: the export with
    the largest number is the latest, as TensorFlow Serving expects. All modules appear at once, by one rename. A
    process that is killed at any moment leaves earlier exports whole, and at most one hidden directory, which the next
    export removes. Any number of processes may export to one directory.

    Args:
      modules: what to publish, by the name of the directory to write it to. A `hub.Module` has the values of a session;
        a `hub.LoadedModule`, or a `hub.KerasLayer` that holds one, has those of its variables.
      base_dir: the directory that the exports go to, on this machine; made if it is missing. Anything in it whose name
        is not of exactly 10 digits stays.
      exports_to_keep: how many exports stay, the newest; None keeps all.
      session: for `hub.Module`s, a session of their graph; the default session if left out. A `MonitoredSession` is
        taken too; its hooks do not see the export. See also `ModuleExportHook`.

    Returns:
      The path of the new directory.

    Raises:
      InvalidArgumentError: an argument is of the wrong kind, or no module is given.
      GraphError: there is no session, or it is of another graph.
      UninitializedError: a variable is not initialized.
      ExportError: a file could not be written. After any error the exports are as they were.

    Example:
      >>> import modhub as hub, tempfile, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      ...         module = hub.Module(hub.create_module_spec(module_fn))
      ...         session.run(tf.compat.v1.global_variables_initializer())
      ...         latest = hub.export_latest({"triple": module}, folder)
      ...     hub.load(f"{latest}/triple")([1.0, 2.0]).numpy().tolist()
      [3.0, 6.0]
    """
    keep, base, named = check_exports_to_keep(exports_to_keep), as_base_dir(base_dir), as_modules(modules)
    if not any(isinstance(module, Module) for module in named.values()):
        return _write(named, base, keep, None)
    session = _checked(tf.compat.v1.get_default_session() if session is None else session)
    if isinstance(session, (tf.compat.v1.train.MonitoredSession, tf.compat.v1.train.SingularMonitoredSession)):
        # TensorFlow asks for this name of the argument.
        return str(session.run_step_fn(lambda step_context: _write(named, base, keep, step_context.session)))
    return _write(named, base, keep, session)


def as_modules(modules: object) -> dict[str, Any]:
    """Return the `hub.Module`s and `hub.LoadedModule`s that are to be exported, by name; of a layer the one in it.

    Raises:
      InvalidArgumentError: it is no mapping, or empty, or a name or module is none.
    """
    if not isinstance(modules, Mapping):
        raise errors.InvalidArgumentError(
            f"Modules to export are given as a dict, by the name of the directory to write each to; {modules!r} was "
            "given. Pass {'name': module}."
        )
    if not modules:
        raise errors.InvalidArgumentError("There is no module to export: the dict of modules is empty.")
    named = {check_export_name(name): _as_module(name, module) for name, module in modules.items()}
    for name in named:
        inside = next((other for other in named if other.startswith(f"{name}/")), None)
        if inside is not None:
            raise errors.InvalidArgumentError(
                f"The module {inside!r} would be written into the directory of the module {name!r}: give it another "
                "name."
            )
    return named


def _as_module(name: str, given: Any) -> Any:
    module = given if isinstance(given, Module | LoadedModule) else getattr(given, "resolved_object", None)
    if isinstance(module, Module | LoadedModule):
        return module
    raise errors.InvalidArgumentError(
        f"What is to be exported as {name!r} has to be a hub.Module, a hub.LoadedModule, or a hub.KerasLayer of one; "
        f"{given!r} was given. "
        + (
            "It is a layer of something else: tf.saved_model.save writes a TF2 SavedModel, hub.export_module makes a "
            "module of a function or model."
            if hasattr(given, "resolved_object")
            else "hub.load makes a module of a path; hub.export_module publishes functions and models of TF2."
        )
    )


def _checked(session: Any) -> Any:
    if session is None:
        raise errors.GraphError(
            "A hub.Module has its values in a session, and there is none: pass session=, or call export_latest in a "
            "`with session.as_default():`. In a MonitoredTrainingSession pass that, or use hub.ModuleExportHook."
        )
    if isinstance(getattr(session, "graph", None), tf.Graph):
        return session
    if hasattr(session, "run_step_fn"):
        raise errors.GraphError("The session is closed: export before, or with a hub.ModuleExportHook.")
    raise errors.InvalidArgumentError(f"session has to be a tf.compat.v1.Session; {session!r} was given.")


def _write(modules: Mapping[str, Any], base: Path, keep: int | None, session: Any) -> str:
    def write(directory: Path) -> None:
        for name, module in modules.items():
            if isinstance(module, Module):
                with session.graph.as_default():
                    module.export(directory / name, session)
            else:
                module.export(directory / name)

    return str(write_export(base, keep, write))
