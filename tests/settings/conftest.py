"""Each test begins with nothing set: no variable, no file, no call of `configure`, an empty working directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modhub.settings import configure
from modhub.settings.fields import FIELDS


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    for field in FIELDS:
        for variable in field.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("MODHUB_CONFIG", raising=False)
    # Where platformdirs looks, on every system.
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    configure(**dict.fromkeys(field.name for field in FIELDS))  # type: ignore[arg-type]
