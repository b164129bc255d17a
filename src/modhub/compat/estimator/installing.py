"""install: makes the package tensorflow_estimator importable, by giving its files what TensorFlow no longer has."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

from modhub import errors
from modhub.compat.estimator.absent import stand_ins
from modhub.compat.estimator.mended import mend
from modhub.compat.estimator.versions import check_versions
from modhub.compat.estimator.view import View, tensorflow_view

__all__ = ["LOCK", "V1_API", "V2_API", "install"]

_PACKAGE = "tensorflow_estimator"
V1_API, V2_API = f"{_PACKAGE}._api.v1.estimator", f"{_PACKAGE}._api.v2.estimator"
LOCK = threading.RLock()


def install() -> ModuleType:
    """Make `import tensorflow_estimator` work, of tensorflow-estimator 2.15.0 on TensorFlow 2.16 to 2.21.

    Estimator was written for the TensorFlow of its own version. Its files are given what that had and this one has
    not, when they import it; TensorFlow itself stays as it is. `tf.keras` stays what it was, too: where that is
    Keras 3, Estimator's own files have Keras 2 (tf_keras) all the same, so that canned estimators work.

    What does not work:
      * `tf.compat.v1.layers`, `tf.compat.v1.nn.rnn_cell` and `tf.compat.v1.keras` in a model_fn of your own need
        TF_USE_LEGACY_KERAS=1, set before TensorFlow is imported; without it, use `tf_keras` itself or TensorFlow's ops.
      * Optimizers, models and feature layers of Keras 3: canned estimators take `tf.compat.v1.train` optimizers and
        those of `tf_keras.optimizers.legacy`, and `model_to_estimator` takes models of tf_keras.
      * TPUs, and a tf.distribute strategy across processes. With one in one process (MirroredStrategy) modules and
        their columns can be used, and not be trained: that fails in the optimizer, as it did with tensorflow_hub.

    A second call does nothing. A call that fails leaves nothing behind.

    Returns:
      The module that was `tf.compat.v1.estimator`: `Estimator`, `RunConfig`, `DNNClassifier`, `train_and_evaluate`, ...

    Raises:
      MissingDependencyError: tensorflow-estimator or tf_keras is not installed, or a version was not tried.
      GraphError: tensorflow_estimator was imported before this, by means of something else.

    Example:
      >>> from modhub.compat import estimator
      >>> tf_estimator = estimator.install()
      >>> tf_estimator.ModeKeys.TRAIN
      'train'
    """
    with LOCK:
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            _check_not_imported()
            check_versions()
            _import_it()
        return importlib.import_module(V1_API)


def _check_not_imported() -> None:
    there = sys.modules.get(_PACKAGE)
    # An import that failed leaves files that were read until then, and not the package.
    if there is not None:
        raise errors.GraphError(
            f"There is a module {_PACKAGE} already, which something else has made importable, or put in its place: "
            f"{there!r}. Call modhub.compat.estimator.install() before that, or do without one of them."
        )


def _import_it() -> None:
    # What an import that failed has left was given TensorFlow as it is.
    for name in _loaded():
        del sys.modules[name]
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        for name in (V1_API, V2_API):
            importlib.import_module(name)
    except BaseException:
        sys.meta_path.remove(finder)
        for name in _loaded():
            del sys.modules[name]
        raise
    for name, module in _loaded().items():
        # Each name of the v1 API would tell, once, that it has another in the v2 API.
        if name.startswith(f"{_PACKAGE}._api"):
            module.__dict__["_tfmw_print_deprecation_warnings"] = False


def _loaded() -> dict[str, ModuleType]:
    return {name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] == _PACKAGE}


class _Finder(MetaPathFinder):
    """Finds the files of Estimator where they are, and has them loaded by `_Loader`."""

    def __init__(self) -> None:
        self._tensorflow = tensorflow_view()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path, self._tensorflow)
        return spec


class _Loader(SourceFileLoader):
    """Loads a file of Estimator as Python does, but for what `import tensorflow...` gives it."""

    def __init__(self, fullname: str, path: str, tensorflow: View) -> None:
        super().__init__(fullname, path)
        self._tensorflow = tensorflow

    def exec_module(self, module: ModuleType) -> None:
        # Python looks up what an `import` statement calls here, and keeps what it finds.
        importing = _importing(self._tensorflow, stand_ins(module.__name__))
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importing}
        super().exec_module(module)
        mend(module)


def _importing(tensorflow: View, instead: Mapping[str, ModuleType]) -> Callable[..., Any]:
    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if level or name.partition(".")[0] != "tensorflow":
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if name in instead:
            return instead[name]
        given = {each: instead[f"{name}.{each}"] for each in fromlist or () if f"{name}.{each}" in instead}
        rest = tuple(each for each in fromlist or () if each not in given)
        module = builtins.__import__(name, globals, locals, rest, 0)
        if name == "tensorflow" or not fromlist:
            return tensorflow
        if not given:
            return module
        return View(sys.modules[name], {each: _giving(value) for each, value in given.items()})

    return import_


def _giving(module: ModuleType) -> Callable[[], ModuleType]:
    return lambda: module
