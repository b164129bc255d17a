"""What is in a module directory, read and written without TensorFlow and without a network."""

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
