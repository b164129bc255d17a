"""What the tests of word vectors share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.export.text import vectors_text


@pytest.fixture(params=["pyarrow", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with pyarrow, and as where it is not installed."""
    if request.param == "python":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow")
    return str(request.param)


@pytest.fixture(params=[2**20, 64], ids=["one block", "many blocks"])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the test with blocks that hold all of it, and with small ones."""
    monkeypatch.setattr(vectors_text, "_BLOCK_BYTES", request.param)
    return int(request.param)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write a file of word vectors."""

    def write(data: bytes) -> Path:
        path = tmp_path / "vectors.txt"
        path.write_bytes(data)
        return path

    return write
