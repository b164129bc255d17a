"""install_as_tensorflow_hub: `import tensorflow_hub` gives modhub, for scripts and libraries that import that name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import modhub
from modhub import errors

__all__ = ["install_as_tensorflow_hub"]

_NAME = "tensorflow_hub"
# The one whose API modhub has: the last one with all of it.
_API_VERSION = "0.12.0"
_PUBLIC = (
    "ImageModuleInfo",
    "KerasLayer",
    "LatestModuleExporter",
    "Module",
    "ModuleSpec",
    "add_signature",
    "attach_image_module_info",
    "attach_message",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "get_expected_image_size",
    "get_num_image_channels",
    "image_embedding_column",
    "load",
    "load_module_spec",
    "register_module_for_export",
    "resolve",
    "sparse_text_embedding_column",
    "text_embedding_column",
    "text_embedding_column_v2",
)
# Where its files had them, for code that imports from there.
_PARTS = {
    "estimator": ("LatestModuleExporter", "register_module_for_export"),
    "feature_column": ("image_embedding_column", "sparse_text_embedding_column", "text_embedding_column"),
    "feature_column_v2": ("text_embedding_column_v2",),
    "image_module_info_pb2": ("ImageModuleInfo",),
    "image_util": (
        "ImageModuleInfo",
        "attach_image_module_info",
        "get_expected_image_size",
        "get_image_module_info",
        "get_num_image_channels",
    ),
    "keras_layer": ("KerasLayer",),
    "module": ("Module", "eval_function_for_module", "load_module_spec"),
    "module_spec": ("ModuleSpec",),
    "module_v2": ("load", "resolve"),
    "native_module": ("add_signature", "attach_message", "create_module_spec"),
    "saved_model_module": ("create_module_spec_from_saved_model",),
    "tensor_info": ("ParsedTensorInfo",),
    "version": ("__version__",),
}
_ELSEWHERE = {
    "LatestModuleExporter": "modhub.compat.latest_module_exporter",
    "ParsedTensorInfo": "modhub.module",
    "get_image_module_info": "modhub.authoring",
}
_CACHE = (
    "modhub.resolve fetches modules; hub.configure and the environment (TFHUB_CACHE_DIR, ...) say how and to where."
)
_ADVICE = {
    "compressed_module_resolver": _CACHE,
    "file_utils": _CACHE,
    "registry": "A package can add ways to fetch modules to modhub by an entry point; see docs/fetching.md.",
    "resolver": _CACHE,
    "tools": "make_image_classifier and make_nearest_neighbour_index are programs of tensorflow_hub, which it has.",
    "uncompressed_module_resolver": _CACHE,
}


def install_as_tensorflow_hub() -> ModuleType:
    """Make `import tensorflow_hub` give modhub, everywhere in this process.

    All ways to import it work: `import tensorflow_hub as hub`, `from tensorflow_hub import Module`, and the files that
    tensorflow_hub had, with what is public of them: `from tensorflow_hub.keras_layer import KerasLayer`. All public
    names of modhub are there. Whatever else was in tensorflow_hub is an error that says so.

    `tensorflow_hub.__version__` is "0.12.0+modhub." and the version of modhub: libraries compare it with the version
    whose API they need, and 0.12.0 is the one that modhub has the API of. `importlib.metadata` knows nothing of this,
    as nothing was installed. A tensorflow_hub that is installed is not touched, and cannot be imported in this process.

    A second call does nothing. What is pickled has the names of modhub in it.

    Returns:
      The module `tensorflow_hub`.

    Raises:
      GraphError: tensorflow_hub itself was imported before; its modules and those of modhub do not go together.

    Example:
      >>> from modhub.compat import install_as_tensorflow_hub
      >>> _ = install_as_tensorflow_hub()
      >>> import tensorflow_hub
      >>> tensorflow_hub.load_module_spec is modhub.load_module_spec
      True
    """
    there = sys.modules.get(_NAME)
    if there is not None and not isinstance(there, _Stand):
        where = getattr(there, "__file__", None) or "an unknown place"
        raise errors.GraphError(
            f"tensorflow_hub was imported before, from {where}, and would be two libraries in one process. Call "
            "install_as_tensorflow_hub() before anything imports it."
        )
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return importlib.import_module(_NAME)


class _Stand(ModuleType):
    """What stands for tensorflow_hub, or for a file of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python asks for such names itself, and reads no message
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name)
        part = self.__name__.partition(".")[2]
        if not part and name in _PARTS:  # it imported its files itself
            return importlib.import_module(f"{_NAME}.{name}")
        if name not in (_PARTS[part] if part else (*_PUBLIC, *modhub.__all__)):
            error = errors.NotCoveredNameError(_message(f"{self.__name__}.{name}", self.__all__))
            error.name = name
            raise error
        value = getattr(importlib.import_module(_ELSEWHERE.get(name, "modhub")), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__all__})


class _Finder(Loader):
    """Finds tensorflow_hub and its files, before those that are installed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, part = name.partition(".")
        if package != _NAME:
            return None
        if part and part not in _PARTS:
            # Its `name` is left out: by that Python would know its own error, and say less after "from".
            raise errors.NotCoveredImportError(_message(name, {*_PUBLIC, *_PARTS}))
        return ModuleSpec(name, self, origin=modhub.__file__, is_package=not part)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Stand(spec.name, modhub.__doc__)

    def exec_module(self, module: ModuleType) -> None:
        part = module.__name__.partition(".")[2]
        names = list(_PARTS[part] if part else _PUBLIC)
        # So that `import *` works without the extra `estimator`, too.
        if not part and not _is_there("tensorflow_estimator"):
            names.remove("LatestModuleExporter")
        module.__all__ = names  # type: ignore[attr-defined] # a module takes any
        module.__version__ = f"{_API_VERSION}+modhub.{modhub.__version__}"  # type: ignore[attr-defined]


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of a finder that says so
        return False


def _message(name: str, there: Iterable[str]) -> str:
    part = name.split(".")[1]
    advice = _ADVICE.get(part, "modhub has the public names of tensorflow_hub 0.12, and its own; this is neither.")
    return f"{name} is not there under modhub. {advice} {errors.accepted(name.rpartition('.')[2], there, 'names')}"
