from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
import tarfile
import tracemalloc
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import CorruptModuleError, ModhubError, UnknownVariableError, UnsupportedFormatError
from modhub.format import Bundle, BundleWriter, Slice, read_bundle, write_table
from modhub.format.bundle import data_path, index_path, parse_bundle, read_module_bundle
from modhub.format.checksum import crc32c, mask, masked_crc32c
from modhub.format.dtypes import NUMPY_NAMES
from modhub.format.files import ModuleFiles, open_files
from modhub.format.protos import BundleEntryProto, BundleHeaderProto
from modhub.format.values import read_value, read_values

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200"))

_SMALL = {
    "empty": np.zeros([0, 3]),
    "kernel": np.arange(4, dtype=np.float32).reshape(2, 2),
    "parts": np.ones([3, 2], np.float16),
    "step": np.array(7, np.int64),
    "words": np.array([b"a", b"", b"long " * 40], object),
}


class _Memory:
    """The files of a bundle that exists in memory only."""

    where = "memory"

    def __init__(self, **files: bytes) -> None:
        self._files = {f"variables/variables.{name}": data for name, data in files.items()}
        self.sizes = {name: len(data) for name, data in self._files.items()}

    def read(self, name: str, most_bytes: int) -> bytes:
        assert self.sizes[name] <= most_bytes
        return self._files[name]

    def mapped(self, name: str) -> memoryview:
        return memoryview(self._files[name])

    def read_range(self, name: str, offset: int, size: int) -> memoryview:
        return self.mapped(name)[offset : offset + size]


def _one(data: bytes, **fields: Any) -> tuple[ModuleFiles, Bundle]:
    """Return a bundle of one tensor "t" with the checksum of its data."""
    row = BundleEntryProto(**{"size": len(data), "crc32c": masked_crc32c(data), **fields}).SerializeToString()
    header = BundleHeaderProto(num_shards=1, version={"producer": 1}).SerializeToString()
    files = _Memory(**{"index": write_table([(b"", header), (b"t", row)]), "data-00000-of-00001": data})
    return files, read_module_bundle(files)


def _shape(*sizes: int) -> dict[str, Any]:
    return {"dim": [{"size": size} for size in sizes]}


def _archive(directory: Path) -> Path:
    path = directory.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(directory, ".")
    return path


@pytest.fixture(params=["directory", "archive"])
def small_files(request: pytest.FixtureRequest, small_bundle: Path) -> ModuleFiles:
    """The files of the small bundle, in each way that a module can be there."""
    module = small_bundle.parents[1]
    return open_files(module if request.param == "directory" else _archive(module))


def _assert_small(name: str, value: np.ndarray[Any, Any]) -> None:
    expected = _SMALL[name]
    assert (value.dtype, value.shape, value.tolist()) == (expected.dtype, expected.shape, expected.tolist())
    assert not value.flags.writeable


@pytest.mark.parametrize("name", _SMALL)
def test_a_value_is_what_was_written(small_files: ModuleFiles, name: str) -> None:
    _assert_small(name, read_value(small_files, read_module_bundle(small_files), name))


def test_several_values_are_read_in_the_order_asked_for(small_files: ModuleFiles) -> None:
    bundle = read_module_bundle(small_files)
    assert [name for name, _ in read_values(small_files, bundle)] == sorted(_SMALL)
    wanted = ["words", "kernel", "words"]
    found = list(read_values(small_files, bundle, wanted))
    assert [name for name, _ in found] == wanted
    for name, value in found:
        _assert_small(name, value)


def test_both_readers_of_the_index_agree(small_files: ModuleFiles, small_bundle: Path) -> None:
    bundle = read_module_bundle(small_files)
    assert bundle.prefix == Path(small_files.where, "variables", "variables")
    direct = read_bundle(small_bundle)
    assert (bundle.entries, bundle.pieces, bundle.num_shards) == (direct.entries, direct.pieces, direct.num_shards)


def test_a_value_of_a_directory_is_a_view_of_the_file(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "variables" / "variables") as writer:
        writer.add("large", 1, np.ones([2**22], np.float32))
    files = open_files(tmp_path)
    bundle = read_module_bundle(files)
    tracemalloc.start()
    value = read_value(files, bundle, "large")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (value.nbytes, value.sum()) == (2**24, 2**22)
    assert peak < 2**20


def test_every_flipped_bit_is_found_by_the_tensor_that_it_is_in(small_bundle: Path) -> None:
    files = open_files(small_bundle.parents[1])
    bundle = read_module_bundle(files)
    path = data_path(small_bundle, 0, 1)
    owners = {
        position: name for name, entry in bundle.stored() for position in range(entry.offset, entry.offset + entry.size)
    }
    whole = path.read_bytes()
    assert len(owners) == len(whole)
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(whole):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), position)
                with pytest.raises(CorruptModuleError, match=f"data-00000-of-00001.*'{owners[position]}'"):
                    read_value(files, bundle, owners[position])
            for other in _SMALL.keys() - {owners[position]}:
                _assert_small(other, read_value(files, bundle, other))
            os.pwrite(file.fileno(), bytes([byte]), position)


def test_a_file_that_was_cut_off_since_is_told(small_bundle: Path) -> None:
    files = open_files(small_bundle.parents[1])
    bundle = read_module_bundle(files)
    os.truncate(data_path(small_bundle, 0, 1), 3)
    with pytest.raises(CorruptModuleError, match=r"data-00000-of-00001.*3 bytes"):
        read_value(files, bundle, "kernel")
    with pytest.raises(CorruptModuleError, match=r"data-00000-of-00001.*cut off, and tensor 'kernel' ends at"):
        list(read_values(files, bundle, ["kernel"]))


def test_an_unknown_name_gets_the_known_ones(small_files: ModuleFiles) -> None:
    bundle = read_module_bundle(small_files)
    with pytest.raises(UnknownVariableError, match=r"variables\.index' has no variable 'kernels'.*mean 'kernel'\?"):
        read_value(small_files, bundle, "kernels")
    with pytest.raises(KeyError):
        list(read_values(small_files, bundle, ["step", "step:0"]))


def test_a_module_without_an_index_has_no_values(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"variables\.index"):
        read_module_bundle(open_files(tmp_path))


def test_a_missing_data_file_is_named(small_bundle: Path) -> None:
    data_path(small_bundle, 0, 1).unlink()
    with pytest.raises(CorruptModuleError, match=r"variables\.data-00000-of-00001' is missing"):
        read_module_bundle(open_files(small_bundle.parents[1]))


@pytest.mark.parametrize("number", NUMPY_NAMES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 2), (2, 1, 2)], ids=str)
def test_every_type_of_numpy_is_read(tmp_path: Path, number: int, shape: tuple[int, ...]) -> None:
    value = np.random.default_rng(number).integers(0, 2, shape).astype(NUMPY_NAMES[number])
    with BundleWriter(tmp_path / "variables" / "variables") as writer:
        writer.add("first", 4, np.zeros(3, np.uint8))  # so that the next lies at an odd address
        writer.add("t", number, value)
    files = open_files(tmp_path)
    found = read_value(files, read_module_bundle(files), "t")
    assert (found.dtype, found.shape, found.tobytes()) == (value.dtype, shape, value.tobytes())


@pytest.mark.parametrize(
    ("number", "name", "size"),
    [(11, "int8", 1), (12, "uint8", 1), (13, "int32", 4), (15, "int16", 2), (16, "uint16", 2)],
)
def test_quantized_types_are_the_integers_they_are_stored_as(number: int, name: str, size: int) -> None:
    files, bundle = _one(b"\xfe\xff\xff\xff"[:size] * 3, dtype=number, shape=_shape(3))
    found = read_value(files, bundle, "t")
    assert found.dtype == name
    assert found.tolist() == [-2 if name.startswith("i") else 256**size - 2] * 3


def test_a_byte_that_is_no_bool_is_an_error() -> None:
    files, bundle = _one(b"\x00\x01", dtype=10, shape=_shape(2))
    assert read_value(files, bundle, "t").tolist() == [False, True]
    files, bundle = _one(b"\x00\x02", dtype=10, shape=_shape(2))
    with pytest.raises(CorruptModuleError, match="tensor 't' of type bool holds a byte"):
        read_value(files, bundle, "t")


def test_a_variant_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match=r"'t'.* is of type variant, which holds an object"):
        read_value(*_one(bytes(8), dtype=21), "t")


@pytest.mark.parametrize(
    ("module", "message"),
    [(None, "pip install ml-dtypes"), (types.ModuleType("ml_dtypes"), "pip install --upgrade ml-dtypes")],
    ids=["absent", "old"],
)
@pytest.mark.parametrize(("number", "name"), [(14, "bfloat16"), (29, "int4")])
def test_types_of_another_package_name_it(
    monkeypatch: pytest.MonkeyPatch, module: Any, message: str, number: int, name: str
) -> None:
    files, bundle = _one(bytes(4), dtype=number, shape=_shape(2 if number == 14 else 4))
    monkeypatch.setitem(sys.modules, "ml_dtypes", module)
    with pytest.raises(UnsupportedFormatError, match=f"is of type {name}.*{message}"):
        read_value(files, bundle, "t")


@pytest.mark.parametrize("shape", [(1,) * 200, (2**62, 0)], ids=["dimensions", "empty"])
def test_a_shape_that_numpy_does_not_have_is_refused(shape: tuple[int, ...]) -> None:
    data = bytes(8 if 0 not in shape else 0)
    with pytest.raises(UnsupportedFormatError, match=f"'t'.*shape of {len(shape)} dimensions that numpy does not have"):
        read_value(*_one(data, dtype=9, shape=_shape(*shape)), "t")


def test_lengths_whose_sum_comes_round_are_refused() -> None:
    # 2**64 - 1 and 2 add up to the 1 byte that is there, in 64 bits.
    lengths = b"\xff" * 9 + b"\x01" + b"\x02"
    of_lengths = crc32c((2**64 - 1).to_bytes(8, "little") + (2).to_bytes(4, "little"))
    data = lengths + mask(of_lengths).to_bytes(4, "little") + b"x"
    crc = mask(crc32c(data[len(lengths) :], of_lengths))
    with pytest.raises(CorruptModuleError, match="string tensor 't' do not add up"):
        read_value(*_one(data, dtype=7, shape=_shape(2), crc32c=crc), "t")


def test_a_value_outlives_its_files_object_and_pickles(small_bundle: Path) -> None:
    def read() -> np.ndarray[Any, Any]:
        files = open_files(small_bundle.parents[1])
        return read_value(files, read_module_bundle(files), "kernel")

    assert pickle.loads(pickle.dumps(read())).tolist() == [[0, 1], [2, 3]]


def _cut(draw: Callable[[st.SearchStrategy[Any]], Any], box: list[tuple[int, int]], depth: int) -> list[Slice]:
    """Divide a box, each of (start, length), by drawn cuts."""
    if depth == 0 or not draw(st.booleans()):
        return [tuple(box)]
    axis = draw(st.integers(0, len(box) - 1))
    start, length = box[axis]
    at = draw(st.integers(0, length))
    halves = [(start, at), (start + at, length - at)]
    parts = [_cut(draw, [*box[:axis], half, *box[axis + 1 :]], depth - 1) for half in halves]
    return [part for half in parts for part in half]


@st.composite
def _partitions(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[tuple[int, ...], list[Slice]]:
    shape = tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=3)))
    slices = dict.fromkeys(_cut(draw, [(0, size) for size in shape], 4))
    whole = tuple((0, size) for size in shape)
    if whole in slices:  # which is stored as a whole, without empty slices beside it
        slices = {whole: None}
    return shape, draw(st.permutations(list(slices)))


@settings(max_examples=100, deadline=None)
@given(_partitions(), st.booleans())
def test_any_partition_is_put_together(
    tmp_path_factory: pytest.TempPathFactory, partition: tuple[tuple[int, ...], list[Slice]], of_strings: bool
) -> None:
    shape, slices = partition
    whole = np.arange(np.prod(shape)).reshape(shape)
    if of_strings:
        whole = np.array([b"x" * number for number in whole.flat] + [None], object)[:-1].reshape(shape)
    directory = tmp_path_factory.mktemp("partition")
    with BundleWriter(directory / "variables" / "variables") as writer:
        for part in slices:
            piece = whole[tuple(slice(start, start + length) for start, length in part)]
            writer.add_slice("w", 7 if of_strings else 9, shape, part, piece)
    files = open_files(directory)
    found = read_value(files, read_module_bundle(files), "w")
    assert (found.dtype, found.shape, found.tolist()) == (whole.dtype, shape, whole.tolist())


def _small_parts() -> tuple[dict[bytes, bytes], bytes]:
    """Return the rows and the data of a bundle of every kind of tensor."""
    header = BundleHeaderProto(num_shards=1, version={"producer": 1}).SerializeToString()
    data = io.BytesIO()

    def put(content: bytes, **fields: Any) -> bytes:
        offset = data.tell()
        data.write(content)
        entry = BundleEntryProto(**{"offset": offset, "size": len(content), "crc32c": masked_crc32c(content), **fields})
        return bytes(entry.SerializeToString())

    parts = [{"extent": [{"start": 0, "length": 1}, {}]}, {"extent": [{"start": 1, "length": 1}, {}]}]
    lengths = b"\x01\x00"
    crc = crc32c(b"\x01\0\0\0\0\0\0\0")
    strings = lengths + mask(crc).to_bytes(4, "little") + b"x"
    rows = {
        b"": header,
        b"\x00w\x00\x01\x01\x02\x80\x81\x80\x7f": put(bytes(8), dtype=1, shape=_shape(1, 2)),
        b"\x00w\x00\x01\x01\x02\x81\x81\x80\x7f": put(bytes(8), dtype=1, shape=_shape(1, 2)),
        b"b": put(bytes(4), dtype=10, shape=_shape(2, 2)),
        b"s": put(strings, dtype=7, shape=_shape(2), crc32c=mask(crc32c(strings[2:], crc))),
        b"w": BundleEntryProto(dtype=1, shape=_shape(2, 2), slices=parts).SerializeToString(),
    }
    return rows, data.getvalue()


_ROWS, _DATA = _small_parts()


def _read_all(index: bytes, data: bytes) -> dict[str, Any]:
    files = _Memory(**{"index": index, "data-00000-of-00001": data})
    bundle = read_module_bundle(files)
    values = {}
    for name in bundle.entries:
        try:
            values[name] = read_value(files, bundle, name).tolist()
        except ModhubError as error:
            values[name] = error
    return values


def test_the_bundle_that_is_fuzzed_is_sound() -> None:
    assert _read_all(write_table(_ROWS.items()), _DATA) == {
        "b": [[False, False], [False, False]],
        "s": [b"x", b""],
        "w": [[0, 0], [0, 0]],
    }


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.data())
def test_fuzzed_rows_and_data_raise_nothing_but_our_errors(choices: st.DataObject) -> None:
    rows = dict(_ROWS)
    for _ in range(choices.draw(st.integers(1, 3))):
        key = choices.draw(st.sampled_from(sorted(rows)))
        at = choices.draw(st.integers(0, len(rows[key])))
        new = choices.draw(st.binary(max_size=12))
        rows[key] = rows[key][:at] + new + rows[key][at + choices.draw(st.integers(0, 3)) :]
        if choices.draw(st.booleans()):
            rows[choices.draw(st.binary(max_size=12))] = rows[key]
    data = bytearray(_DATA)
    if choices.draw(st.booleans()):
        data[choices.draw(st.integers(0, len(data) - 1))] = choices.draw(st.integers(0, 255))
    with contextlib.suppress(ModhubError):
        _read_all(write_table(sorted(rows.items())), bytes(data))


def test_index_path_is_what_the_messages_name(small_bundle: Path) -> None:
    with pytest.raises(CorruptModuleError, match=r"^'x/v\.index' is damaged"):
        parse_bundle(index_path(small_bundle).read_bytes()[:-1], "x/v.index", lambda *_: 0)
