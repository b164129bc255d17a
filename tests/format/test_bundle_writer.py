from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modhub.errors import ExportError, ExportExistsError, InvalidArgumentError
from modhub.format import Bundle, BundleEntry, BundleWriter, Slice, read_bundle, verify_bundle
from modhub.format.bundle import data_path, index_path
from modhub.format.dtypes import NUMPY_NAMES

_ReadValues = Callable[[Bundle, BundleEntry], np.ndarray[Any, np.dtype[np.uint8]]]

_NAMES = st.text(min_size=1, max_size=12).filter(lambda name: max(name) < "\ud800" and name[0] != "\x00")


@st.composite
def _tensors(draw: st.DrawFn) -> tuple[int, np.ndarray[Any, Any]]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    dtype = draw(st.sampled_from([7, *NUMPY_NAMES]))
    if dtype != 7:
        return dtype, draw(hnp.arrays(NUMPY_NAMES[dtype], shape))
    strings = np.empty(shape, object)
    for index in np.ndindex(*shape):
        strings[index] = draw(st.binary(max_size=200))
    return dtype, strings


@settings(max_examples=50)  # each example writes files
@given(st.dictionaries(_NAMES, _tensors(), max_size=8))
def test_what_is_written_reads_and_verifies(
    tmp_path_factory: pytest.TempPathFactory,
    stored_values: _ReadValues,
    tensors: dict[str, tuple[int, np.ndarray[Any, Any]]],
) -> None:
    prefix = tmp_path_factory.mktemp("bundle") / "b"
    with BundleWriter(prefix) as writer:
        for name, (dtype, array) in tensors.items():
            writer.add(name, dtype, array)
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    assert set(bundle.entries) == set(tensors)
    for name, (dtype, array) in tensors.items():
        entry = bundle.entries[name]
        assert (entry.dtype, entry.shape) == (dtype, array.shape)
        stored = stored_values(bundle, entry).tobytes()
        if dtype == 7:
            assert stored.endswith(b"".join(array.ravel()))
        else:
            assert stored == array.tobytes()


@settings(max_examples=50)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(0, 2), st.randoms(use_true_random=False))
def test_slices_read_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, stored_values: _ReadValues, lengths: list[int], width: int, random: Any
) -> None:
    whole = np.arange(sum(lengths) * width, dtype=np.float32).reshape(sum(lengths), width)
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    slices: list[Slice] = [((start, length), (0, -1)) for start, length in zip(starts, lengths, strict=True)]
    random.shuffle(slices)
    prefix = tmp_path_factory.mktemp("bundle") / "b"
    with BundleWriter(prefix) as writer:
        for slice_ in slices:
            start, length = slice_[0]
            writer.add_slice("w", 1, whole.shape, slice_, whole[start:][:length])
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    # One slice that is the whole is an ordinary tensor.
    assert bundle.entries["w"].slices == (tuple(slices) if len(slices) > 1 else ())
    for piece, slice_ in zip(bundle.pieces.get("w", ()), slices, strict=len(slices) > 1):
        start, length = slice_[0]
        assert stored_values(bundle, piece).tobytes() == whole[start:][:length].tobytes()


@pytest.mark.parametrize(
    ("dtype", "array", "shape", "stored"),
    [
        (1, np.arange(6, dtype=np.float32).reshape(2, 3).T, None, np.array([0, 3, 1, 4, 2, 5], "<f4").tobytes()),
        (3, np.array([1, 2], ">i4"), None, b"\x01\x00\x00\x00\x02\x00\x00\x00"),
        (9, np.arange(10)[::5], None, np.array([0, 5], "<i8").tobytes()),
        (14, np.array([[0x3F80]], np.uint16), None, b"\x80\x3f"),
        (14, b"\x80\x3f\x00\x00", [2], b"\x80\x3f\x00\x00"),
        (1, memoryview(np.ones([2, 2], np.float32)), [2, 2], np.ones(4, "<f4").tobytes()),
        (11, np.zeros(2, [("qint8", "i1")]), None, b"\x00\x00"),
        (10, np.bool_(True), None, b"\x01"),
        (1, bytearray(), [0, 3], b""),
        (7, b"scalar", None, b"\x06scalar"),
        (2, np.ones(4), [2, 2], np.ones(4).tobytes()),
    ],
)
def test_arrays_of_any_layout_are_written(
    prefix: Path, stored_values: _ReadValues, dtype: int, array: Any, shape: list[int] | None, stored: bytes
) -> None:
    with BundleWriter(prefix) as writer:
        writer.add("t", dtype, array, shape)
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    entry = bundle.entries["t"]
    assert entry.shape == (tuple(shape) if shape is not None else np.shape(array))
    found = stored_values(bundle, entry).tobytes()
    # A string is its length, a checksum of 4 bytes, itself.
    assert (found[:1] + found[5:] if dtype == 7 else found) == stored


def test_an_array_is_not_copied(prefix: Path) -> None:
    array = np.zeros([2**22], np.float32)
    tracemalloc.start()
    with BundleWriter(prefix) as writer:
        writer.add("t", 1, array)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 8


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_no_bundle(prefix: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with BundleWriter(prefix) as writer:
            writer.add("t", 1, np.zeros(3, np.float32))
            raise error

    with pytest.raises(error):
        fail()
    assert list(prefix.parent.iterdir()) == []


def test_missing_slices_leave_no_bundle(prefix: Path) -> None:
    with pytest.raises(ExportError, match="'w' is incomplete: the slices hold 1 elements"), BundleWriter(prefix) as w:
        w.add_slice("w", 1, (2,), ((0, 1),), np.zeros(1, np.float32))
    assert list(prefix.parent.iterdir()) == []


@pytest.mark.parametrize("path_of", [index_path, lambda prefix: data_path(prefix, 0, 1)])
def test_a_bundle_is_not_overwritten(prefix: Path, path_of: Callable[[Path], Path]) -> None:
    prefix.parent.mkdir()
    path_of(prefix).write_bytes(b"mine")
    with pytest.raises(ExportExistsError, match="is not overwritten"), BundleWriter(prefix):
        pass
    assert [path.read_bytes() for path in prefix.parent.iterdir()] == [b"mine"]


@pytest.mark.parametrize(
    ("name", "dtype", "array", "shape", "message"),
    [
        ("", 1, np.zeros(1, np.float32), None, "cannot be the name"),
        ("\x00w", 1, np.zeros(1, np.float32), None, "cannot be the name"),
        ("t", 1, np.zeros(1), None, "float64 is not of type 1"),
        ("t", 1, np.zeros(1, np.int32), None, "int32 is not of type 1"),
        ("t", 14, np.zeros(1, np.uint8), None, "uint8 is not of type 14"),
        ("t", 1, np.array([None]), None, "object is not of type 1"),
        ("t", 21, np.zeros(1), None, "type number 21 cannot be written"),
        ("t", 1, np.zeros(4, np.float32), [3], r"16 bytes are not a tensor of shape \[3\]"),
        ("t", 1, bytes(4), None, "needs the argument `shape`"),
        ("t", 7, np.array([b"a", "b"], object), None, "takes `bytes`, got 'b'"),
        ("t", 7, np.array([b"a"], object), [2], r"1 strings are not a tensor of shape \[2\]"),
        ("there", 1, np.zeros(1, np.float32), None, "'there' is there already"),
        ("parts", 1, np.zeros(1, np.float32), None, "'parts' is there already, in slices"),
    ],
)
def test_what_is_no_tensor_is_refused(
    prefix: Path, name: str, dtype: int, array: Any, shape: list[int] | None, message: str
) -> None:
    with BundleWriter(prefix) as writer:
        writer.add("there", 1, np.zeros(1, np.float32))
        for start in range(2):
            writer.add_slice("parts", 1, (2,), ((start, 1),), np.zeros(1, np.float32))
        with pytest.raises(InvalidArgumentError, match=message):
            writer.add(name, dtype, array, shape)
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    assert sorted(bundle.entries) == ["parts", "there"]


@pytest.mark.parametrize(
    ("name", "dtype", "full_shape", "slice_", "size", "message"),
    [
        ("parts", 1, (2,), ((0, 1),), 1, "'parts' is there already"),
        ("parts", 2, (2,), ((1, 1),), 1, "another type or shape: given type 2"),
        ("parts", 1, (3,), ((1, 1),), 1, "another type or shape"),
        ("there", 1, (2,), ((1, 1),), 1, "another type or shape"),
        ("w", 1, (2,), ((1, 2),), 2, "outside of the shape"),
        ("w", 1, (2,), ((1, 1), (0, 1)), 1, "has 2 dimensions, the tensor 1"),
        ("w", 1, (2,), ((1, 1),), 2, r"8 bytes are not a tensor of shape \[1\]"),
    ],
)
def test_what_is_no_slice_is_refused(
    prefix: Path, name: str, dtype: int, full_shape: tuple[int, ...], slice_: Slice, size: int, message: str
) -> None:
    with BundleWriter(prefix) as writer:
        writer.add("there", 1, np.zeros(1, np.float32))
        for start in range(2):
            writer.add_slice("parts", 1, (2,), ((start, 1),), np.zeros(1, np.float32))
        with pytest.raises(InvalidArgumentError, match=message):
            writer.add_slice(name, dtype, full_shape, slice_, np.zeros(size, np.float32))
    verify_bundle(read_bundle(prefix))


def test_a_bundle_may_be_empty(prefix: Path) -> None:
    with BundleWriter(prefix):
        pass
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    assert bundle.entries == {}
