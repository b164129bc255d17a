from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import modhub
import modhub.settings
from modhub.settings import Settings
from modhub.settings.fields import FIELDS
from modhub.settings.layers import Changes


def test_the_face_has_these_names() -> None:
    assert sorted(modhub.settings.__all__) == ["Settings", "configure", "current"]
    assert all(hasattr(modhub.settings, name) for name in modhub.settings.__all__)


def test_each_setting_can_be_set_everywhere() -> None:
    names = [field.name for field in fields(Settings)]
    assert [field.name for field in FIELDS] == names
    assert list(get_type_hints(Changes)) == names
    assert all(field.variables for field in FIELDS)


def test_it_imports_little() -> None:
    script = """
import sys, modhub.settings
heavy = ("tomllib", "platformdirs", "json", "logging", "importlib.metadata", "requests", "numpy", "rich")
print(*[name for name in heavy if name in sys.modules])
modhub.settings.current()
print(*[name for name in heavy if name in sys.modules])
"""
    # Isolated from the site, whose start-up files may import anything.
    path = [str(Path(modhub.__file__).parents[1]), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    printed = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path += {path}\n{script}"],
        env={"TFHUB_CACHE_DIR": "/cache", "MODHUB_CONFIG": ""},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed == "\n\n"
