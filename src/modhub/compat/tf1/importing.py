"""install: `import tensorflow` in a script gives TensorFlow 1, and in installed packages what it gives anyway.

TensorFlow's own files, Keras, Estimator and other packages need the TensorFlow that is installed, under the same name
and in the same process as the script that needs the one of 2018. So the name is not taken over in `sys.modules`.
Instead the two ways to import something by name, the statement (`builtins.__import__`) and `importlib.import_module`,
look at whose code is asking, if the name is `tensorflow` or begins with `tensorflow.`. The same is done for `keras`,
which was Keras 2 then, and is `tf.keras` for scripts. All other names are left alone.

Code is the script's unless its file lies
  * in a folder `site-packages` or `dist-packages`, where installed packages are, TensorFlow among them, or
  * in modhub.
So the packages and modules beside a script are the script's, also where they are imported by what is not. Installed
packages that were written for TensorFlow 1 can be named. Code without a file (`exec`) belongs to the code that runs it,
and Python's own library to the code that calls it, as in `mock.patch("tensorflow.gfile.Exists")`.

What finds modules in other ways finds the installed TensorFlow: `sys.modules["tensorflow"]`,
`importlib.util.find_spec`, and pickles, which hold the names of the modules that define something.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any

import modhub
from modhub import errors

__all__ = ["install", "packages_of_scripts"]

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
_INSTALLED = {"site-packages", "dist-packages"}
# Installed packages that are treated as the script.
_packages: set[str] = set()


def install(packages: Iterable[str] = ()) -> None:
    """Give scripts TensorFlow 1 when they import TensorFlow, and modhub when they import tensorflow_hub.

    TensorFlow is imported when the script asks for it; its v2 behavior is turned off then, in the whole process. With
    TF_USE_LEGACY_KERAS=1 its Keras is Keras 2, which `tf.layers` is made of; that is set here, unless it is set.

    A second call adds packages.

    Args:
      packages: the names of installed packages that are for TensorFlow 1, too.

    Raises:
      GraphError: TensorFlow is there already, with a Keras that is not Keras 2; or tensorflow_hub is.
    """
    from modhub.compat.tensorflow_hub import install_as_tensorflow_hub

    os.environ.setdefault(_LEGACY_KERAS, "1")
    if "tensorflow" in sys.modules and not _has_legacy_keras(sys.modules["tensorflow"]):
        raise errors.GraphError(
            f"TensorFlow was imported before modhub.compat.tf1.install(), without {_LEGACY_KERAS}=1: its Keras is "
            "Keras 3, in which there is no tf.layers. Call install() before TensorFlow is imported, or set that."
        )
    install_as_tensorflow_hub()
    _packages.update(packages)
    _is_of_scripts.cache_clear()
    if not hasattr(builtins.__import__, "of_modhub"):
        builtins.__import__ = _import_statement(builtins.__import__)
        importlib.import_module = _import_module(importlib.import_module)


def packages_of_scripts() -> tuple[str, ...]:
    """Return the installed packages that `install` was told of."""
    return tuple(sorted(_packages))


def _import_statement(python_does: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands for `builtins.__import__`, which import statements call."""

    def __import__(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if not level and _is_replaced(name) and _asked_by_script(sys._getframe(1)):
            # Not at the top: nothing of TensorFlow is touched before a script asks for it.
            from modhub.compat.tf1.face import import_for_script

            return import_for_script(name, fromlist or ())
        if not level and _needs_tensorflow(name) and _asked_by_script(sys._getframe(1)):
            _turn_to_tensorflow_1()
        return python_does(name, globals, locals, fromlist, level)

    __import__.of_modhub = True  # type: ignore[attr-defined] # by which a second install() knows it
    return __import__


def _import_module(python_does: Callable[..., ModuleType]) -> Callable[..., ModuleType]:
    """Return what stands for `importlib.import_module`."""

    @functools.wraps(python_does)
    def import_module(name: str, package: str | None = None) -> ModuleType:
        if _is_replaced(name) and _asked_by_script(sys._getframe(1)):
            from modhub.compat.tf1.face import find_for_script

            return find_for_script(name)
        if _needs_tensorflow(name) and _asked_by_script(sys._getframe(1)):
            _turn_to_tensorflow_1()
        return python_does(name, package)

    return import_module


def _is_replaced(name: str) -> bool:
    return name.partition(".")[0] in ("tensorflow", "keras")


def _needs_tensorflow(name: str) -> bool:
    """Tell whether importing something imported TensorFlow 1 in 2018: then scripts need not do it themselves."""
    return name.partition(".")[0] == "tensorflow_hub"


def _turn_to_tensorflow_1() -> None:
    from modhub.compat.tf1.face import tensorflow_of_scripts

    tensorflow_of_scripts()


def _asked_by_script(frame: FrameType | None) -> bool:
    """Tell whether the code that runs in a frame is the script's."""
    while frame is not None:
        file = frame.f_globals.get("__file__") or frame.f_code.co_filename
        if isinstance(file, str) and not file.startswith("<") and not _is_of_python(file):
            return _is_of_scripts(file)
        frame = frame.f_back  # code of `exec`, or what Python imports for whoever asks it to
    return False


@functools.cache
def _is_of_python(file: str) -> bool:
    path, folder = os.path.abspath(file), sysconfig.get_path("stdlib")
    return path.startswith(folder + os.sep) and not _INSTALLED & set(path.split(os.sep))


@functools.cache
def _is_of_scripts(file: str) -> bool:
    path = os.path.abspath(file)
    folders = path.split(os.sep)
    installed = [at for at, folder in enumerate(folders) if folder in _INSTALLED]
    if installed:
        package = folders[installed[-1] + 1] if installed[-1] + 1 < len(folders) else ""
        return package.partition(".")[0] in _packages
    return not path.startswith(os.path.dirname(os.path.abspath(modhub.__file__)) + os.sep)


def _has_legacy_keras(tensorflow: ModuleType) -> bool:
    keras = getattr(tensorflow, "keras", None)
    return getattr(keras, "__version__", "2").startswith("2")
