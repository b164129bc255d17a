"""The module that a script gets for `import tensorflow`, and those of its parts.

It is `tf.compat.v1`, with v2 behavior turned off, and with what had been there and was taken out: `tf.estimator`,
`tf.contrib`, and the ways to import parts of TensorFlow by name (`import tensorflow.contrib.slim as slim`).
`tf.__version__` is that of the TensorFlow that runs: 2.18 and later.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from modhub.compat.silence import without_stderr
from modhub.compat.tf1.absent import not_a_module, not_an_attribute
from modhub.compat.tf1.numpy_names import restore_numpy_names

__all__ = ["find_for_script", "import_for_script", "tensorflow_of_scripts"]

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_CONTRIB = "modhub.compat.tf1.contrib"
_LOCK = threading.RLock()
# What TensorFlow logs, as a format; and what Keras 2 warns of for each `tf.layers`, and of itself in `fit`.
_DEPRECATED = re.compile(r"From %s: .*deprecated")
_DEPRECATED_IN_KERAS = r"`(tf\.|layer|Model\.state_updates)[^`]*` (is deprecated and )?will be removed"


def import_for_script(name: str, wanted: Iterable[str]) -> ModuleType:
    """Do what `import NAME` or `from NAME import WANTED` does.

    Args:
      name: "tensorflow" or "keras", or a part of it, with dots.
      wanted: what follows "import" after "from"; empty without "from".

    Returns:
      The module `tensorflow` or `keras` without `wanted`, else the module `name`, which then has what is wanted.

    Raises:
      NotCoveredImportError: there is no such thing.
    """
    module = find_for_script(name)
    if not wanted:
        return find_for_script(name.partition(".")[0])
    for part in wanted:
        if part != "*" and not hasattr(module, part):
            found = find_for_script(f"{name}.{part}")  # a module in a package, which has it now
            if not hasattr(module, part) and found.__name__.endswith(f".{part}"):
                module = _with(module, part, found)
            if not hasattr(module, part):  # Python would raise an ImportError of its own, without advice
                raise not_a_module(f"{name}.{part}")
    return module


def find_for_script(name: str) -> ModuleType:
    """Return the module that a script gets for a name such as "tensorflow.contrib.slim".

    Raises:
      NotCoveredImportError: there is none.
    """
    if name.partition(".")[0] == "keras":
        name = f"tensorflow.python.{name}"
    face, names, target = tensorflow_of_scripts(), name.split(".")[1:], name
    found = None
    if names[:2] == ["python", "keras"]:  # it was `tf.keras`; what is left of it there does not go with that
        found = _by_attributes(face, names[1:])
        target = name.replace("tensorflow.python.keras", "tf_keras.src", 1)
    elif names[:2] == ["python", "estimator"]:
        _estimator()
        target = name.replace("tensorflow.", "tensorflow_estimator.", 1)
    elif names[:1] == ["contrib"]:
        found = _of_contrib(face, names)
    else:
        found = _by_attributes(face, names)
    if found is not None:
        return found
    try:
        if names[0] != "contrib":
            return importlib.import_module(target)
    except ModuleNotFoundError as error:
        if not f"{target}.".startswith(f"{error.name}."):
            raise  # it is there, and lacks something else
    raise not_a_module(name) from None


def _with(module: ModuleType, part: str, found: ModuleType) -> ModuleType:
    """Return a module with a part that lies elsewhere, as what was in tensorflow.python.keras does."""
    from modhub.compat.estimator.view import View

    return View(module, {part: lambda: found})


def tensorflow_of_scripts() -> ModuleType:
    """Return the module `tensorflow` of scripts, one for all threads; v2 behavior is off from now on."""
    with _LOCK:
        return _made()


@functools.cache
def _made() -> ModuleType:
    tf = _import_tensorflow()
    from modhub.compat.tf1.hub_flags import define_hub_flags

    _say_nothing_of_deprecation(tf.get_logger())
    tf.compat.v1.disable_v2_behavior()
    define_hub_flags()
    restore_numpy_names()
    return _Face(tf)


def _import_tensorflow() -> ModuleType:
    """Import TensorFlow without what its C++ libraries tell of the processor, unless TF_CPP_MIN_LOG_LEVEL is set."""
    if _LOG_LEVEL in os.environ:
        return importlib.import_module("tensorflow")
    os.environ[_LOG_LEVEL] = "1"  # warnings, such as that of a GPU that cannot be used, are shown
    with without_stderr():
        return importlib.import_module("tensorflow")


class _Face(ModuleType):
    """TensorFlow 1: `tf.compat.v1`, and what is not in it any more."""

    def __init__(self, tensorflow: ModuleType) -> None:
        super().__init__("tensorflow", tensorflow.__doc__)
        self.__file__, self.__path__, self.__spec__ = tensorflow.__file__, tensorflow.__path__, tensorflow.__spec__
        self._v1 = tensorflow.compat.v1

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return [known for known in dir(self._v1) if not known.startswith("_")]
        try:
            value = _ADDED[name]() if name in _ADDED else getattr(self._v1, name)
        except AttributeError:
            raise not_an_attribute("tensorflow", name) from None
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._v1), *_ADDED})


def _estimator() -> ModuleType:
    from modhub.compat.estimator import attach

    return attach()


def _compat() -> ModuleType:
    """Return `tf.compat`, in which v1 is the same TensorFlow 1, with tf.estimator."""
    import tensorflow as tf

    from modhub.compat.estimator.view import View

    return View(tf.compat, {"v1": tensorflow_of_scripts})


def _keras() -> ModuleType:
    """Return `tf.keras`, with a version: that of tf_keras says none."""
    import tensorflow as tf

    from modhub.compat.estimator.view import View

    def version() -> Any:
        return getattr(tf.keras, "__version__", None) or importlib.import_module("tf_keras").__version__

    return View(tf.compat.v1.keras, {"__version__": version})


@functools.cache
def _private_parts() -> ModuleType:
    from modhub.compat.tf1.private_parts import private_parts

    return private_parts()


_ADDED: dict[str, Callable[[], ModuleType]] = {
    "compat": _compat,
    "contrib": lambda: importlib.import_module(_CONTRIB),
    "core": lambda: importlib.import_module("tensorflow.core"),
    "estimator": _estimator,
    "keras": _keras,
    "python": _private_parts,
    "pywrap_tensorflow": lambda: _private_parts().pywrap_tensorflow,
}


def _say_nothing_of_deprecation(logger: logging.Logger) -> None:
    """Leave out the warnings that what a script of TensorFlow 1 uses will be removed: that is why it is run so."""
    logger.addFilter(lambda record: not _DEPRECATED.match(str(record.msg)))
    warnings.filterwarnings("ignore", _DEPRECATED_IN_KERAS, UserWarning)


def _by_attributes(module: ModuleType, names: list[str]) -> ModuleType | None:
    """Return the module that attributes lead to, as `tf.contrib.slim` does; None if there is none."""
    for name in names:
        found = getattr(module, name, None)
        if not isinstance(found, ModuleType):
            return None
        module = found
    return module


def _of_contrib(face: ModuleType, names: list[str]) -> ModuleType | None:
    """Return a part of tf.contrib, or what stands for a file in it.

    The files of a part `X` were in folders of X/python, such as X/python/ops/arg_scope.py. Here the part itself stands
    for the folder, and for a file too, unless there is a module in the part that is called as the file was.
    """
    if "python" not in names:
        return _by_attributes(face, names)
    place = names.index("python")
    module = _by_attributes(face, names[:place])
    for name in names[place + 2 :]:
        inside = getattr(module, name, None)
        module = inside if isinstance(inside, ModuleType) else module
    return module
