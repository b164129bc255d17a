"""Publish, load, apply and fine-tune TF1 Hub modules on today's TensorFlow.

    import modhub as hub

The names below arrive on first use (PEP 562), so that `import modhub` costs milliseconds and no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from modhub._version import __version__

if TYPE_CHECKING:
    from modhub import cache, compat, errors
    from modhub.authoring import (
        ModuleSpec,
        add_signature,
        attach_image_module_info,
        attach_message,
        create_module_spec,
        create_module_spec_from_saved_model,
        get_expected_image_size,
        get_num_image_channels,
        load_module_spec,
    )
    from modhub.authoring.from_tf2 import export_module
    from modhub.columns import (
        image_embedding_column,
        sparse_text_embedding_column,
        text_embedding_column,
        text_embedding_column_v2,
    )
    from modhub.compat.latest_module_exporter import LatestModuleExporter as LatestModuleExporter  # re-exported
    from modhub.evaluate import eval_function_for_module
    from modhub.export.callback import ModuleExportCallback
    from modhub.export.hook import ModuleExportHook
    from modhub.export.latest import export_latest
    from modhub.export.registered import register_module_for_export
    from modhub.export.text.exporting import export_text_embeddings
    from modhub.format import ImageModuleInfo
    from modhub.handles import resolve
    from modhub.inspection.diff import diff
    from modhub.inspection.inspect import inspect
    from modhub.inspection.lint import lint
    from modhub.inspection.scan.scanning import scan
    from modhub.keras import KerasLayer
    from modhub.loaded import LoadedModule, load
    from modhub.module import Module
    from modhub.settings import configure

# Not here is LatestModuleExporter, which needs the extra `estimator`: `from modhub import *` has to work without.
__all__ = [
    "ImageModuleInfo",
    "KerasLayer",
    "LoadedModule",
    "Module",
    "ModuleExportCallback",
    "ModuleExportHook",
    "ModuleSpec",
    "__version__",
    "add_signature",
    "attach_image_module_info",
    "attach_message",
    "cache",
    "compat",
    "configure",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "diff",
    "errors",
    "eval_function_for_module",
    "export_latest",
    "export_module",
    "export_text_embeddings",
    "get_expected_image_size",
    "get_num_image_channels",
    "image_embedding_column",
    "inspect",
    "lint",
    "load",
    "load_module_spec",
    "register_module_for_export",
    "resolve",
    "scan",
    "sparse_text_embedding_column",
    "text_embedding_column",
    "text_embedding_column_v2",
]

_ROOM_OF = {
    "ImageModuleInfo": "modhub.format",
    "KerasLayer": "modhub.keras",
    "LatestModuleExporter": "modhub.compat.latest_module_exporter",
    "LoadedModule": "modhub.loaded",
    "Module": "modhub.module",
    "ModuleExportCallback": "modhub.export.callback",
    "ModuleExportHook": "modhub.export.hook",
    "ModuleSpec": "modhub.authoring",
    "add_signature": "modhub.authoring",
    "attach_image_module_info": "modhub.authoring",
    "attach_message": "modhub.authoring",
    "configure": "modhub.settings",
    "create_module_spec": "modhub.authoring",
    "create_module_spec_from_saved_model": "modhub.authoring",
    "diff": "modhub.inspection.diff",
    "eval_function_for_module": "modhub.evaluate",
    "export_latest": "modhub.export.latest",
    "export_module": "modhub.authoring.from_tf2",
    "export_text_embeddings": "modhub.export.text.exporting",
    "get_expected_image_size": "modhub.authoring",
    "get_num_image_channels": "modhub.authoring",
    "image_embedding_column": "modhub.columns",
    "inspect": "modhub.inspection.inspect",
    "lint": "modhub.inspection.lint",
    "load": "modhub.loaded",
    "load_module_spec": "modhub.authoring",
    "register_module_for_export": "modhub.export.registered",
    "resolve": "modhub.handles",
    "scan": "modhub.inspection.scan.scanning",
    "sparse_text_embedding_column": "modhub.columns",
    "text_embedding_column": "modhub.columns",
    "text_embedding_column_v2": "modhub.columns",
}


# A type checker has the imports above; seeing this too, it would believe in any name.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name in ("cache", "compat", "errors"):
            return importlib.import_module(f"modhub.{name}")
        if name not in _ROOM_OF:
            raise _no_such_attribute(name)
        try:
            room = importlib.import_module(_ROOM_OF[name])
        except ModuleNotFoundError as error:
            if error.name != "tensorflow":
                raise
            # `from None`: the message says all that "No module named 'tensorflow'" would.
            raise ImportError(
                f"modhub.{name} needs TensorFlow, which is not installed: pip install 'modhub[tf]' "
                "(or 'modhub[cpu]', which is smaller and leaves out the GPU)",
                name="tensorflow",
            ) from None
        value = getattr(room, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOM_OF})


def _no_such_attribute(name: str) -> AttributeError:
    message = f"module 'modhub' has no attribute {name!r}."
    # Python itself asks for names such as __path__ and __wrapped__, and reads no message.
    if not name.startswith("__"):
        message += " " + importlib.import_module("modhub.errors").accepted(name, {*__all__, *_ROOM_OF}, "names")
    # With `name` given, and no `obj`, a traceback leaves out Python's own suggestion, the same one once more.
    return AttributeError(message, name=name)
