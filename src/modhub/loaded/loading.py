"""hub.load: a handle as an object of TF2."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec, module_spec_of, saved_model_as_it_is
from modhub.core import as_tag_set, check_eager, tensorflow_classes
from modhub.format import MODULE_DEF, SAVED_MODEL, read_module_def
from modhub.handles import find_directory
from modhub.inspection.trust import check_trust
from modhub.loaded.loaded_module import LoadedModule
from modhub.loaded.trainable import Patterns

__all__ = ["load"]

_SERVE = frozenset({tf.saved_model.SERVING})


@tf.autograph.experimental.do_not_convert
def load(
    handle: str | os.PathLike[str] | ModuleSpec,
    tags: Iterable[str] | None = None,
    options: tf.saved_model.LoadOptions | None = None,
    *,
    trainable: Patterns = None,
    trust: bool | None = None,
) -> Any:
    """Load a module or a SavedModel for eager execution.

    Args:
      handle: of a published module, of a TF1 SavedModel or of a TF2 SavedModel: a directory, an archive or a URL, see
        `modhub.resolve`; or a `ModuleSpec`.
      tags: of a module, the tags of the one graph variant to use, as a set or a list. Without any it is the variant
        without tags, of a TF1 SavedModel {"serve"}, and in calls with `training=True` {"train"} where there is one.
        Of a TF2 SavedModel what `tf.saved_model.load` takes.
      options: for a TF2 SavedModel, `tf.saved_model.LoadOptions`; the others have no use for it.
      trainable: of a module, which of the variables that its publisher made trainable are to be trained: True or
        None for all, False for none, or a pattern of names, or a list of patterns, with the wildcards of `fnmatch`
        ("block4/*"). With True it is an error if there are none. Variables that are not trained can be
        `unfreeze`d later.
      trust: whether to load what a scan refuses (see docs/scan.md): True loads it, False refuses it, None refuses it
        from a URL and warns of it from a local path.

    Returns:
      A `LoadedModule`; for a TF2 SavedModel what `tf.saved_model.load` returns.

    Raises:
      GraphError: the call is in a `tf.Graph` of TF1, where `modhub.Module` is used; or in a function that is traced.
      HandleNotFoundError: the handle names nothing.
      NotAModuleError: it names a directory of another kind.
      UnknownVariantError: the module has no variant with these tags.
      InvalidArgumentError: an argument is of the wrong kind, or matches nothing.
      UntrustedModuleError: it can do more than compute, and is not trusted.
      CorruptModuleError: a file is altered; see `load_module_spec` and `modhub.resolve` for the others.

    Example:
      >>> import modhub as hub, tempfile, tensorflow as tf
      >>> def module_fn():
      ...     x = tf.compat.v1.placeholder(tf.float32, [None])
      ...     hub.add_signature(inputs=x, outputs=x * tf.compat.v1.get_variable("w", initializer=3.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     hub.create_module_spec(module_fn).export(f"{folder}/triple")
      ...     hub.load(f"{folder}/triple")([1.0, 2.0]).numpy().tolist()
      [3.0, 6.0]
    """
    check_eager("modhub.load", "use modhub.Module(handle) there.")
    if not tf.executing_eagerly():
        raise errors.GraphError(
            "modhub.load was called in a function that is being traced, where it would make the variables anew at each "
            "trace: load the module outside, once, and call it in the function."
        )
    if isinstance(handle, ModuleSpec):
        return LoadedModule(handle, tags, trainable)
    if not isinstance(handle, str | os.PathLike):
        raise errors.InvalidArgumentError(f"Expected a string or a path as a handle, got {handle!r}.")
    with tensorflow_classes():
        directory = find_directory(handle)
        spec = module_spec_of(directory, handle=handle, trust=trust) if (directory / MODULE_DEF).exists() else None
    if spec is not None:
        return LoadedModule(spec, tags, trainable)
    spec = _tf1_saved_model(directory, handle, trust)
    if spec is not None:
        wanted = as_tag_set(tags)
        if not wanted and _SERVE in spec.get_tags():
            wanted = _SERVE
        return LoadedModule(spec, wanted, trainable)
    if trainable is not None:
        raise errors.InvalidArgumentError(
            f"{str(directory)!r} is a TF2 SavedModel, which says itself what is trainable: trainable={trainable!r} is "
            "for modules. Choose from its variables when you make the gradients."
        )
    check_trust(handle, directory, trust)
    return tf.saved_model.load(str(directory), tags=sorted(as_tag_set(tags)) or None, options=options)


def _tf1_saved_model(directory: Path, handle: str | os.PathLike[str], trust: bool | None) -> ModuleSpec | None:
    """Return the spec of a TF1 SavedModel; None for a TF2 SavedModel, and for one in text form."""
    with tensorflow_classes():
        if not (directory / SAVED_MODEL).exists():
            if (directory / SAVED_MODEL).with_suffix(".pbtxt").exists():
                return None
            read_module_def(directory)  # says what the directory looks like
        try:
            return saved_model_as_it_is(directory, handle=handle, trust=trust)
        except errors.UnsupportedFormatError:
            return None
