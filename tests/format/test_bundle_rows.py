from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import InvalidArgumentError
from modhub.format import Bundle, BundleEntry, BundleWriter, read_bundle, verify_bundle
from modhub.format.bundle import data_path, index_path

_ReadValues = Callable[[Bundle, BundleEntry], np.ndarray[Any, np.dtype[np.uint8]]]


@settings(max_examples=50)  # each example writes files
@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 3), st.sampled_from([(1, "f4"), (19, "f2"), (9, "i8")]))
def test_pieces_make_the_bundle_that_the_whole_makes(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], width: int, type_: tuple[int, str]
) -> None:
    number, name = type_
    pieces = [
        np.random.default_rng(row).integers(0, 99, (count, width)).astype(name) for row, count in enumerate(counts)
    ]
    whole = np.concatenate([np.zeros((0, width), name), *pieces])
    folder = tmp_path_factory.mktemp("bundle")
    with BundleWriter(folder / "pieces") as writer:
        writer.add("before", 1, np.ones(3, np.float32))
        with writer.rows("w", number, width) as rows:
            for piece in pieces:
                rows.write(piece)
        assert rows.count == len(whole)
        writer.add("z", 1, np.ones(3, np.float32))
    with BundleWriter(folder / "whole") as writer:
        writer.add("before", 1, np.ones(3, np.float32))
        writer.add("w", number, whole)
        writer.add("z", 1, np.ones(3, np.float32))
    verify_bundle(read_bundle(folder / "pieces"))
    for path_of in (index_path, lambda prefix: data_path(prefix, 0, 1)):
        assert path_of(folder / "pieces").read_bytes() == path_of(folder / "whole").read_bytes()


def test_rows_that_do_not_lie_together_are_written(prefix: Path, stored_values: _ReadValues) -> None:
    array = np.arange(24, dtype=">f4").reshape(6, 4)
    with BundleWriter(prefix) as writer, writer.rows("w", 1, 2) as rows:
        rows.write(array[::2, ::2])
        rows.write(array[:2, 2:].T)
    bundle = read_bundle(prefix)
    expected = np.concatenate([array[::2, ::2], array[:2, 2:].T]).astype("<f4")
    assert stored_values(bundle, bundle.entries["w"]).tobytes() == expected.tobytes()


@pytest.mark.parametrize("array", [np.zeros([2], np.float32), np.zeros([2, 4], np.float32), np.zeros([2, 3])])
def test_what_are_no_such_rows_is_refused(prefix: Path, array: np.ndarray[Any, Any]) -> None:
    with BundleWriter(prefix) as writer, writer.rows("w", 1, 3) as rows:
        rows.write(np.ones([1, 3], np.float32))
        with pytest.raises(InvalidArgumentError, match="'w'"):
            rows.write(array)
    assert read_bundle(prefix).entries["w"].shape == (1, 3)


def test_nothing_comes_between_rows(prefix: Path) -> None:
    one = np.ones([1, 3], np.float32)
    with BundleWriter(prefix) as writer:
        with writer.rows("w", 1, 3) as rows:
            with pytest.raises(InvalidArgumentError, match="'v' cannot come between the rows of 'w'"):
                writer.add("v", 1, one)
            with pytest.raises(InvalidArgumentError, match="between"):
                writer.add_slice("v", 1, (2, 3), ((0, 1), (0, -1)), one)
            with pytest.raises(InvalidArgumentError, match="between"), writer.rows("v", 1, 3):
                pass
            rows.write(one)
        writer.add("v", 1, one)
        with pytest.raises(InvalidArgumentError, match="'w' is complete"):
            rows.write(one)
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    assert sorted(bundle.entries) == ["v", "w"]


@pytest.mark.parametrize(
    ("name", "dtype", "width", "message"),
    [
        ("", 1, 3, "cannot be the name"),
        ("there", 1, 3, "'there' is there already"),
        ("parts", 1, 3, "'parts' is there already"),
        ("w", 7, 3, "type number 7"),
        ("w", 999, 3, "type number 999"),
        ("w", 1, -1, "cannot have -1 values"),
    ],
)
def test_rows_that_cannot_be_written_are_refused(prefix: Path, name: str, dtype: int, width: int, message: str) -> None:
    with BundleWriter(prefix) as writer:
        writer.add("there", 1, np.ones(3, np.float32))
        for start in range(2):
            writer.add_slice("parts", 1, (2,), ((start, 1),), np.ones(1, np.float32))
        with pytest.raises(InvalidArgumentError, match=message), writer.rows(name, dtype, width):
            pass
    assert sorted(read_bundle(prefix).entries) == ["parts", "there"]


def test_an_exception_between_rows_leaves_no_bundle(prefix: Path) -> None:
    def fail() -> None:
        with BundleWriter(prefix) as writer, writer.rows("w", 1, 3) as rows:
            rows.write(np.ones([1, 3], np.float32))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(prefix.parent.iterdir()) == []


def test_rows_that_failed_are_not_in_the_bundle(prefix: Path) -> None:
    with BundleWriter(prefix) as writer:
        with contextlib.suppress(RuntimeError), writer.rows("w", 1, 3) as rows:
            rows.write(np.ones([1, 3], np.float32))
            raise RuntimeError
        writer.add("v", 1, np.ones(3, np.float32))
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    assert list(bundle.entries) == ["v"]
