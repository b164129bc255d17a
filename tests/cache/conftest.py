"""What the tests of the cache share: a cache, a server, and a handle of what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import modhub
from tests.cache.publishing import Publisher


@pytest.fixture(scope="session")
def running() -> Iterator[Publisher]:
    with Publisher() as publisher:
        yield publisher


@pytest.fixture
def publisher(running: Publisher) -> Iterator[Publisher]:
    """A server, as it is at first."""
    yield running
    running.alter = running.headers = running.pace = None
    running.is_down = False
    running.archives.clear()
    running.served.clear()


@pytest.fixture
def cache_dir(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "cache"
    modhub.configure(cache_dir=directory, lock_file="", retries=0)
    yield directory
    modhub.configure(cache_dir=None, lock_file=None, retries=None, offline=None, mirrors=None)


@pytest.fixture
def offline() -> Iterator[Callable[[], None]]:
    """Goes offline when it is called."""
    yield lambda: modhub.configure(offline=True)
    modhub.configure(offline=None)
