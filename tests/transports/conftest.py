"""What the tests of transports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transports.http_cases import Place

_OTHERS = ("NETRC", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_ENDPOINT")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the proxies and credentials of whoever runs the tests out of them."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty place for downloads."""
    root = tmp_path / "cache"
    root.mkdir()
    return Place(root=root)
