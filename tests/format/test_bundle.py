from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import CorruptModuleError, ModuleFormatError, NotAModuleError, UnsupportedFormatError
from modhub.format import BundleEntry, read_bundle, read_table, verify_bundle, write_table
from modhub.format.bundle import data_path, index_path, parse_bundle
from modhub.format.checksum import masked_crc32c
from modhub.format.protos import BundleEntryProto, BundleHeaderProto
from modhub.format.slices import FULL, slice_key

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200"))
_HEADER = BundleHeaderProto(num_shards=1, version={"producer": 1})
_VECTOR = {"dtype": 1, "shape": {"dim": [{"size": 2}]}, "size": 8}


def _put(prefix: Path, rows: dict[bytes, Any], data: bytes = bytes(64), header: Any = _HEADER) -> Path:
    """Write a bundle of one data file with the given rows, whatever they say."""
    prefix.parent.mkdir(exist_ok=True)
    items = {key: row if isinstance(row, bytes) else row.SerializeToString() for key, row in rows.items()}
    if header is not None:
        items[b""] = header.SerializeToString()
    index_path(prefix).write_bytes(write_table(sorted(items.items())))
    data_path(prefix, 0, 1).write_bytes(data)
    return prefix


def _flips(path: Path) -> Iterator[int]:
    """Flip each bit of a file in turn; yield the position of its byte."""
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(path.read_bytes()):
            for bit in range(8):
                # In place: rewriting a file a thousand times takes seconds on a disk.
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), position)
                yield position
            os.pwrite(file.fileno(), bytes([byte]), position)


def _entry(**fields: Any) -> Any:
    return BundleEntryProto(**{**_VECTOR, **fields})


def _sliced(shape: list[int], *slices: list[tuple[int, int]]) -> Any:
    return BundleEntryProto(
        dtype=1,
        shape={"dim": [{"size": size} for size in shape]},
        slices=[{"extent": [{"start": start, "length": length} for start, length in part]} for part in slices],
    )


def test_every_shared_module_reads_and_verifies(shared_modules: Path) -> None:
    indices = sorted(shared_modules.rglob("variables.index"))
    assert len(indices) >= 9
    for index in indices:
        bundle = read_bundle(index.with_suffix(""))
        assert bundle.entries
        verify_bundle(bundle)


def test_the_partitioned_module_has_one_tensor_in_three_slices(shared_modules: Path) -> None:
    bundle = read_bundle(shared_modules / "genuine" / "partitioned" / "module" / "variables" / "variables")
    ((name, entry),) = bundle.entries.items()
    assert [piece.shape[0] for piece in bundle.pieces[name]] == [length for ((_, length), _) in entry.slices]
    assert len(entry.slices) == 3
    assert sum(piece.size for _, piece in bundle.stored()) == 4 * entry.shape[0] * entry.shape[1]


def test_the_index_tells_type_shape_and_place(small_bundle: Path) -> None:
    bundle = read_bundle(small_bundle)
    assert sorted(bundle.entries) == ["empty", "kernel", "parts", "step", "words"]
    kernel = bundle.entries["kernel"]
    values = struct.pack("<4f", 0, 1, 2, 3)
    assert kernel == BundleEntry(
        dtype=1, shape=(2, 2), shard=0, offset=kernel.offset, size=16, crc32c=masked_crc32c(values)
    )
    assert bundle.entries["step"].shape == ()
    assert bundle.entries["parts"].slices == (((2, 1), (0, FULL)), ((0, 2), (0, FULL)))
    assert [piece.shape for piece in bundle.pieces["parts"]] == [(1, 2), (2, 2)]
    verify_bundle(bundle)


def test_every_flipped_bit_of_the_index_is_an_error(small_bundle: Path) -> None:
    for _ in _flips(index_path(small_bundle)):
        with pytest.raises(CorruptModuleError, match=r"variables\.index"):
            read_bundle(small_bundle)


def test_every_flipped_bit_of_a_data_file_is_an_error(small_bundle: Path) -> None:
    bundle = read_bundle(small_bundle)
    path = data_path(small_bundle, 0, 1)
    owners = {
        position: name for name, entry in bundle.stored() for position in range(entry.offset, entry.offset + entry.size)
    }
    assert len(owners) == path.stat().st_size
    for position in _flips(path):
        with pytest.raises(CorruptModuleError, match=f"data-00000-of-00001.*{owners[position]}"):
            verify_bundle(bundle)


def test_every_truncation_is_an_error(small_bundle: Path) -> None:
    bundle = read_bundle(small_bundle)
    index, data = index_path(small_bundle), data_path(small_bundle, 0, 1)
    for length in reversed(range(data.stat().st_size)):
        os.truncate(data, length)
        with pytest.raises(CorruptModuleError, match="is cut off"):
            read_bundle(small_bundle)
        # Cut off between reading and verifying.
        with pytest.raises(CorruptModuleError, match="ends at"):
            verify_bundle(bundle)
    for length in reversed(range(index.stat().st_size)):
        os.truncate(index, length)
        with pytest.raises(CorruptModuleError, match=r"variables\.index"):
            read_bundle(small_bundle)


def test_bytes_after_the_last_tensor_are_an_error(small_bundle: Path) -> None:
    with data_path(small_bundle, 0, 1).open("ab") as file:
        file.write(b"\x00")
    with pytest.raises(CorruptModuleError, match="its last tensor ends at"):
        verify_bundle(read_bundle(small_bundle))


def test_padding_between_tensors_must_be_zero(prefix: Path) -> None:
    crc = masked_crc32c(bytes(8))
    rows = {b"a": _entry(crc32c=crc), b"b": _entry(offset=16, crc32c=crc)}
    verify_bundle(read_bundle(_put(prefix, rows, bytes(24))))
    with pytest.raises(CorruptModuleError, match="padding before tensor 'b'"):
        verify_bundle(read_bundle(_put(prefix, rows, bytes(15) + b"\x01" + bytes(8))))


def test_overlapping_tensors_are_an_error(prefix: Path) -> None:
    crc = masked_crc32c(bytes(8))
    _put(prefix, {b"a": _entry(crc32c=crc), b"b": _entry(offset=4, crc32c=crc)}, bytes(12))
    with pytest.raises(CorruptModuleError, match="tensor 'b' overlaps"):
        verify_bundle(read_bundle(prefix))


def test_missing_files_are_named(small_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAModuleError, match=r"nothing\.index"):
        read_bundle(tmp_path / "nothing")
    bundle = read_bundle(small_bundle)
    data_path(small_bundle, 0, 1).unlink()
    with pytest.raises(CorruptModuleError, match="data-00000-of-00001' is missing"):
        read_bundle(small_bundle)
    with pytest.raises(CorruptModuleError, match="it is missing"):
        verify_bundle(bundle)


def test_a_directory_in_place_of_the_index_is_an_error(prefix: Path) -> None:
    index_path(prefix).mkdir(parents=True)
    with pytest.raises(CorruptModuleError, match="is a directory"):
        read_bundle(prefix)


_HUGE = {"dim": [{"size": 2**62}, {"size": 2**62}]}
_FAR = 2**63 - 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({b"t": _entry(size=7)}, "tensor 't' has 7 bytes; its type and shape need 8"),
        ({b"t": _entry(size=-8)}, "tensor 't' has -8 bytes"),
        ({b"t": _entry(offset=-1)}, "tensor 't' has 8 bytes at -1"),
        ({b"t": _entry(offset=_FAR)}, "cut off: it has 64 bytes, and tensor 't' ends at 9223372036854775815"),
        ({b"t": _entry(offset=57)}, "cut off"),
        ({b"t": _entry(shard_id=1)}, "tensor 't' is in data file 1 of 1"),
        ({b"t": _entry(shard_id=-1)}, "tensor 't' is in data file -1 of 1"),
        ({b"t": _entry(shape=_HUGE, size=_FAR)}, "more than 2"),
        ({b"t": _entry(shape={"dim": [{"size": 2**62}] * 2 + [{"size": 0}]}, size=0)}, "more than 2"),
        ({b"t": _entry(shape={"dim": [{"size": 1}] * 300}, size=4)}, "300 dimensions"),
        ({b"t": _entry(shape={"dim": [{"size": -2}]}, size=-8)}, "negative dimension"),
        ({b"t": _entry(shape={"unknown_rank": True})}, "has no shape"),
        ({b"t": _entry(dtype=7, shape={"dim": [{"size": 2**40}]}, size=64)}, "64 bytes for 1099511627776 elements"),
        ({b"t": _entry(dtype=21, size=1)}, "1 bytes for 2 elements"),
        ({b"t": b"\xff\xff"}, "the entry of tensor 't' does not parse"),
        ({b"t": b"\x12" + b"\xff" * 9 + b"\x01"}, "does not parse"),
        ({b"\xff": _entry()}, "not UTF-8"),
        ({b"\x00stray": _entry()}, "belongs to no tensor"),
        ({b"t": _sliced([4], [(0, 2)])}, "tensor 't': the slices hold 2 elements, the shape"),
        ({b"t": _sliced([4], [(0, 2)], [(2, 2)])}, "tensor 't' lacks its slice"),
        ({b"t": _sliced([4], [(0, 2)], [(0, 2)])}, "a slice is there twice"),
        ({b"t": _sliced([4], [(0, 5)])}, "outside of the shape"),
        ({b"t": _sliced([4], [(0, 2), (0, 1)])}, "has 2 dimensions, the tensor 1"),
        ({b"t": BundleEntryProto(**{**_VECTOR, "slices": [{"extent": [{}]}]})}, "has slices and bytes of its own"),
        (
            {b"t": _sliced([4], [(0, 2)], [(2, 2)]), slice_key("t", ((0, 2),)): _entry(dtype=3)},
            "stored is type 3",
        ),
        (
            {
                b"t": _sliced([4], [(0, 2)], [(2, 2)]),
                slice_key("t", ((0, 2),)): _entry(),
                slice_key("t", ((2, 2),)): _entry(shape={"dim": [{"size": 1}]}, size=4),
            },
            "stored is type 1, shape",
        ),
        (
            {
                b"t": _sliced([4], [(0, 2)], [(2, 2)]),
                slice_key("t", ((0, 2),)): _entry(),
                slice_key("t", ((2, 2),)): _entry(),
                slice_key("t", ((1, 2),)): _entry(),
            },
            "belongs to no tensor",
        ),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(prefix: Path, rows: dict[bytes, Any], message: str) -> None:
    _put(prefix, rows)
    tracemalloc.start()
    with pytest.raises(CorruptModuleError, match=message):
        read_bundle(prefix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        (None, CorruptModuleError, "no header"),
        (BundleHeaderProto(), CorruptModuleError, "makes no sense"),
        (BundleHeaderProto(num_shards=-1), CorruptModuleError, "makes no sense"),
        (BundleHeaderProto(num_shards=2**31 - 1), CorruptModuleError, "names 2147483647 data files"),
        (BundleHeaderProto(num_shards=100_001), CorruptModuleError, "names 100001 data files; at most 100000"),
        (BundleHeaderProto(num_shards=100_000), CorruptModuleError, "data-00000-of-100000' is missing"),
        (BundleHeaderProto(num_shards=1, version={"producer": -1}), CorruptModuleError, "makes no sense"),
        (BundleHeaderProto(num_shards=1, endianness=7), CorruptModuleError, "makes no sense"),
        (BundleHeaderProto(num_shards=1, endianness=1), UnsupportedFormatError, "big-endian"),
        (BundleHeaderProto(num_shards=1, version={"min_consumer": 2}), UnsupportedFormatError, "of version 2"),
        (BundleHeaderProto(num_shards=1, version={"bad_consumers": [1]}), UnsupportedFormatError, "reads version 1"),
    ],
)
def test_a_bad_header_is_refused(prefix: Path, header: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_bundle(_put(prefix, {b"t": _entry()}, header=header))


def test_one_entry_cannot_fill_the_memory(prefix: Path) -> None:
    row = _entry().SerializeToString() + b"\x12\x02\x12\x00" * 2**18
    _put(prefix, {b"t": row})
    tracemalloc.start()
    with pytest.raises(CorruptModuleError, match=r"entry of tensor 't' has 1048.* bytes; at most 1048576 are read"):
        read_bundle(prefix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_the_slices_of_all_tensors_are_limited(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modhub.format.bundle._MOST_SLICES", 5)
    sliced = _sliced([3], [(0, 1)], [(1, 1)], [(2, 1)])
    with pytest.raises(CorruptModuleError, match="more than 5 slices"):
        read_bundle(_put(prefix, {b"t": sliced, b"u": sliced}))


def test_slices_that_share_their_bytes_are_refused(prefix: Path) -> None:
    # 64 bytes in the file, and a tensor of 16 GB.
    whole = _sliced([2**32], *([(number * 2**20, 2**20)] for number in range(2**12)))
    parts = {
        slice_key("t", ((number * 2**20, 2**20),)): _entry(shape={"dim": [{"size": 2**20}]}, size=2**22)
        for number in range(2**12)
    }
    _put(prefix, {b"t": whole, **parts})
    os.truncate(data_path(prefix, 0, 1), 2**22)
    with pytest.raises(CorruptModuleError, match="tensor 't' overlaps another"):
        read_bundle(prefix)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({}, "data-00000-of-00002' is missing"), ({0: 8}, "data-00001-of-00002' is missing"), ({0: 8, 1: 7}, "cut off")],
)
def test_an_index_is_parsed_without_its_files(sizes: dict[int, int], message: str) -> None:
    header = BundleHeaderProto(num_shards=2, version={"producer": 1})
    rows = {b"": header, b"a": _entry(), b"b": _entry(shard_id=1)}
    index = write_table((key, row.SerializeToString()) for key, row in rows.items())
    bundle = parse_bundle(index, "in/an.tar/v.index", lambda shard, count: 8 * count)
    assert (bundle.prefix, list(bundle.entries), bundle.num_shards) == (Path("in/an.tar/v"), ["a", "b"], 2)
    with pytest.raises(CorruptModuleError, match=f"^'in/an.tar/v.*{message}"):
        parse_bundle(index, "in/an.tar/v.index", lambda shard, _: sizes.get(shard))


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_no_index(data: bytes, ends_as_a_table: bool) -> None:
    with pytest.raises(ModuleFormatError, match=r"v\.index"):
        parse_bundle(data + bytes.fromhex("57fb808b247547db") * ends_as_a_table, "v.index", lambda *_: 2**62)


@pytest.mark.parametrize("dtype", [0, 20, 34, 101, -1])
def test_an_unknown_type_is_refused(prefix: Path, dtype: int) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"tensor 't' of the type number {dtype},"):
        read_bundle(_put(prefix, {b"t": _entry(dtype=dtype)}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01\x81\x00" + bytes(13), "padded"),
        (b"\xff" * 16, "more than 64 bits"),
        (b"\x01" + b"\xff" * 9 + b"\x01" + bytes(5), "do not add up"),
        (b"\x02\x02" + bytes(14), "do not add up"),
        (b"\x05\x05" + bytes(14), "checksum of the lengths"),
    ],
)
def test_bad_lengths_of_strings_are_refused(prefix: Path, data: bytes, message: str) -> None:
    bundle = read_bundle(_put(prefix, {b"t": _entry(dtype=7, size=16)}, data))
    with pytest.raises(CorruptModuleError, match=rf"string tensor 't'.*{message}|{message}.*string tensor 't'"):
        verify_bundle(bundle)


def test_a_variant_is_checked_for_its_place_only(prefix: Path) -> None:
    verify_bundle(read_bundle(_put(prefix, {b"t": _entry(dtype=21, size=64)})))


def test_two_data_files_are_read(prefix: Path) -> None:
    crc = masked_crc32c(bytes(8))
    header = BundleHeaderProto(num_shards=2, version={"producer": 1})
    _put(prefix, {b"a": _entry(crc32c=crc), b"b": _entry(shard_id=1, crc32c=crc)}, header=header)
    for shard in range(2):
        data_path(prefix, shard, 2).write_bytes(bytes(8))
    verify_bundle(read_bundle(prefix))
    data_path(prefix, 1, 2).write_bytes(bytes(7) + b"\x01")
    with pytest.raises(CorruptModuleError, match=r"data-00001-of-00002.*tensor 'b'"):
        verify_bundle(read_bundle(prefix))


def test_random_rows_never_end_in_another_error(prefix: Path) -> None:
    random = np.random.default_rng(0)
    sound = _sliced([4], [(0, 2)], [(2, 2)]).SerializeToString()
    _put(prefix, {})
    for _ in range(300):
        row = bytearray(sound)
        row[random.integers(len(row))] = random.integers(256)
        table = write_table([(b"", _HEADER.SerializeToString()), (b"t", bytes(row))])
        with index_path(prefix).open("r+b") as file:
            file.write(table)
        with pytest.raises(ModuleFormatError):
            read_bundle(prefix)


def test_the_index_of_the_writer_is_a_table_of_entries(
    small_bundle: Path, stored_values: Callable[..., np.ndarray[Any, Any]]
) -> None:
    keys = list(read_table(index_path(small_bundle).read_bytes(), ""))
    assert keys[0] == b""
    assert sum(key.startswith(b"\x00parts") for key in keys) == 2
    bundle = read_bundle(small_bundle)
    assert stored_values(bundle, bundle.entries["step"]).view(np.int64).tolist() == [7]
