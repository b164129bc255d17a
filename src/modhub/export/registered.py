"""register_module_for_export: modules that a graph names for whoever exports them later."""

from __future__ import annotations

import tensorflow as tf

from modhub import errors
from modhub.export.timestamped import check_export_name
from modhub.module import Module

__all__ = ["register_module_for_export", "registered_modules"]

# TensorFlow writes the collections whose key is a string into the graphs that it saves; this one is not for that.
_COLLECTION = ("modhub", "modules to export")


def register_module_for_export(module: Module, export_name: str) -> None:
    """Name a module of the default graph, to be exported by `LatestModuleExporter` or `ModuleExportHook`.

    Args:
      module: the module.
      export_name: the directory, inside that of an export, that it will be written to. Variables are not named by it.

    Raises:
      InvalidArgumentError: a module is registered under that name in this graph, or an argument is of the wrong kind.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=2.0 * x)
      >>> with tf.Graph().as_default():
      ...     hub.register_module_for_export(hub.Module(hub.create_module_spec(module_fn)), "double")
      ...     registered_modules()
      {'double': <hub.Module 'module', tags {}, trainable=False>}
    """
    if not isinstance(module, Module):
        raise errors.InvalidArgumentError(
            f"A hub.Module can be registered for export; {module!r} was given. What hub.load returns, and a KerasLayer "
            "of it, are exported by hub.export_latest or hub.ModuleExportCallback."
        )
    name = check_export_name(export_name)
    if name in registered_modules():
        raise errors.InvalidArgumentError(
            f"There is already a module registered to be exported as {name!r} in this graph: give this one another "
            "name."
        )
    tf.compat.v1.add_to_collection(_COLLECTION, (name, module))


def registered_modules(graph: tf.Graph | None = None) -> dict[str, Module]:
    """Return the modules that were registered in a graph, by name, in the order of registration.

    Args:
      graph: the default graph if left out.
    """
    return dict((graph or tf.compat.v1.get_default_graph()).get_collection(_COLLECTION))
