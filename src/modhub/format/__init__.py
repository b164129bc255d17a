"""What is in a module directory, read and written without TensorFlow and without a network.

The names below arrive on first use (PEP 562): few who read a digest or a path need protobuf.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modhub.format.bundle import Bundle, BundleEntry, read_bundle
    from modhub.format.bundle_verify import verify_bundle
    from modhub.format.bundle_writer import BundleWriter
    from modhub.format.directory import asset_names, new_module_directory
    from modhub.format.layout import (
        ASSETS,
        BUNDLE,
        MODULE_DEF,
        MODULE_DEF_BYTES,
        SAVED_MODEL,
        VARIABLES,
        read_module_def,
    )
    from modhub.format.protos import ImageModuleInfo, ModuleAttachment, ModuleDef
    from modhub.format.saved_model import MAX_CONSTANT_BYTES, check_constants, read_saved_model
    from modhub.format.slices import Slice
    from modhub.format.table import read_table, write_table

__all__ = [
    "ASSETS",
    "BUNDLE",
    "MAX_CONSTANT_BYTES",
    "MODULE_DEF",
    "MODULE_DEF_BYTES",
    "SAVED_MODEL",
    "VARIABLES",
    "Bundle",
    "BundleEntry",
    "BundleWriter",
    "ImageModuleInfo",
    "ModuleAttachment",
    "ModuleDef",
    "Slice",
    "asset_names",
    "check_constants",
    "new_module_directory",
    "read_bundle",
    "read_module_def",
    "read_saved_model",
    "read_table",
    "verify_bundle",
    "write_table",
]

_FILE_OF = {
    "ASSETS": "layout",
    "BUNDLE": "layout",
    "Bundle": "bundle",
    "BundleEntry": "bundle",
    "BundleWriter": "bundle_writer",
    "ImageModuleInfo": "protos",
    "MAX_CONSTANT_BYTES": "saved_model",
    "MODULE_DEF": "layout",
    "MODULE_DEF_BYTES": "layout",
    "ModuleAttachment": "protos",
    "ModuleDef": "protos",
    "SAVED_MODEL": "layout",
    "Slice": "slices",
    "VARIABLES": "layout",
    "asset_names": "directory",
    "check_constants": "saved_model",
    "new_module_directory": "directory",
    "read_bundle": "bundle",
    "read_module_def": "layout",
    "read_saved_model": "saved_model",
    "read_table": "table",
    "verify_bundle": "bundle_verify",
    "write_table": "table",
}

# A type checker has the imports above; seeing this too, it would believe in any name.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _FILE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        value = getattr(importlib.import_module(f"{__name__}.{_FILE_OF[name]}"), name)
        globals()[name] = value
        return value
