"""What the tests of bundles share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modhub.format import Bundle, BundleEntry, BundleWriter
from modhub.format.bundle import data_path


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """The prefix of a bundle that is not there yet."""
    return tmp_path / "variables" / "variables"


@pytest.fixture
def small_bundle(prefix: Path) -> Path:
    """The prefix of a bundle of every kind of tensor: plain, scalar, empty, string, in slices."""
    with BundleWriter(prefix) as writer:
        writer.add("words", 7, np.array([b"a", b"", b"long " * 40], object))
        writer.add("kernel", 1, np.arange(4, dtype=np.float32).reshape(2, 2))
        writer.add("empty", 2, np.zeros([0, 3]))
        writer.add("step", 9, np.int64(7))
        writer.add_slice("parts", 19, (3, 2), ((2, 1), (0, -1)), np.ones([1, 2], np.float16))
        writer.add_slice("parts", 19, (3, 2), ((0, 2), (0, -1)), np.ones([2, 2], np.float16))
    return prefix


@pytest.fixture(scope="session")
def stored_values() -> Callable[[Bundle, BundleEntry], np.ndarray[Any, np.dtype[np.uint8]]]:
    """Read the bytes of an entry, as an array of uint8."""

    def read(bundle: Bundle, entry: BundleEntry) -> np.ndarray[Any, np.dtype[np.uint8]]:
        path = data_path(bundle.prefix, entry.shard, bundle.num_shards)
        return np.frombuffer(path.read_bytes()[entry.offset :][: entry.size], np.uint8)

    return read
