from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import modhub
import modhub.format


def test_the_face_has_these_names() -> None:
    assert sorted(modhub.format.__all__) == [
        "ASSETS", "BUNDLE", "Bundle", "BundleEntry", "BundleWriter", "ImageModuleInfo", "MAX_CONSTANT_BYTES",
        "MODULE_DEF", "MODULE_DEF_BYTES", "ModuleAttachment", "ModuleDef", "SAVED_MODEL", "Slice", "VARIABLES",
        "asset_names", "check_constants", "new_module_directory", "read_bundle", "read_module_def",
        "read_saved_model", "read_table", "verify_bundle", "write_table",
    ]  # fmt: skip
    assert all(hasattr(modhub.format, name) for name in modhub.format.__all__)


def test_it_needs_no_tensorflow() -> None:
    script = "import sys, modhub.format; print(*{name.partition('.')[0] for name in sys.modules})"
    source = str(Path(modhub.__file__).parents[1])
    imported = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": source}, check=True, capture_output=True, text=True
    ).stdout.split()
    assert {"tensorflow", "keras", "ml_dtypes"}.isdisjoint(imported)
