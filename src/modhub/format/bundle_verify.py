"""The checksums of a bundle's data files, over every byte, where the system maps them into memory."""

from __future__ import annotations

import mmap
import struct
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.errors import CorruptModuleError
from modhub.format.bundle import Bundle, BundleEntry, data_path
from modhub.format.checksum import crc32c, mask, masked_crc32c
from modhub.format.dtypes import STRING, VARIANT, element_count
from modhub.format.varint import read_varint

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["check_bytes", "check_strings", "verify_bundle"]

_UINT32_MAX = 2**32 - 1
_BLOCK = 2**20  # strings whose lengths are widened at a time
# The data files that were found whole, by what the system knows of them: the next instance of a module need not read
# them again. A dict, for its order.
_verified: dict[tuple[tuple[int, ...], int], None] = {}
_MOST_REMEMBERED = 1024


def verify_bundle(bundle: Bundle) -> None:
    """Check every byte of the data files of a bundle.

    The bytes of a tensor must have the checksum that the index has, those between tensors must be zeros, and each
    file must end with its last tensor. Of tensors of the type variant, which no module is known to hold, only the
    place and the size are checked.

    A string tensor is stored as the length of each string (base 128), the masked checksum of the lengths as integers of
    4 bytes (8 from 2**32), and the strings; its checksum is that of the same data with the lengths as such integers.

    Args:
      bundle: what `read_bundle` returned. The files must not change meanwhile.

    Raises:
      CorruptModuleError: a data file is altered, cut off or missing; the message names the tensor.
    """
    by_shard: dict[int, list[tuple[int, int, str, BundleEntry]]] = defaultdict(list)
    for name, entry in bundle.stored():
        by_shard[entry.shard].append((entry.offset, entry.size, name, entry))
    for shard in range(bundle.num_shards):
        path = data_path(bundle.prefix, shard, bundle.num_shards)
        entries = sorted(by_shard[shard], key=lambda item: item[:3])
        try:
            state = _state(path), hash(tuple(entries))
            if state not in _verified:
                _verify_file(_mapped(path), entries)
                if _is_settled(state[0]):
                    _verified[state] = None
                    if len(_verified) > _MOST_REMEMBERED:
                        _verified.pop(next(iter(_verified)))
        except ValueError as error:
            raise CorruptModuleError(
                f"{str(path)!r} is damaged: {error}. Download or export the module again."
            ) from error


def _state(path: Path) -> tuple[int, ...]:
    """Return what the system knows of a file, which differs once it was written to."""
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise ValueError("it is missing") from error
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _is_settled(state: tuple[int, ...]) -> bool:
    """Tell whether a file is old enough that another write would show: clocks of file systems tick slowly."""
    return time.time_ns() - max(state[3:]) > 10 * 10**9


def _mapped(path: Path) -> memoryview:
    """Map a file. The mapping lives as long as views of it do, so nothing has to be closed in order."""
    try:
        with path.open("rb") as file:
            if not file.seek(0, 2):  # an empty file cannot be mapped
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise ValueError("it is missing") from error


def _verify_file(data: memoryview, entries: list[tuple[int, int, str, BundleEntry]]) -> None:
    end = 0
    for offset, size, name, entry in entries:
        if offset < end:
            raise ValueError(f"tensor {name!r} overlaps another")
        if offset + size > len(data):
            raise ValueError(f"it has {len(data)} bytes, and tensor {name!r} ends at {offset + size}")
        if offset > end and _any(data[end:offset]):
            raise ValueError(f"the padding before tensor {name!r} is not zero")
        end = offset + size
        if entry.dtype == STRING:
            check_strings(data[offset:end], name, entry)
        elif entry.dtype != VARIANT:
            check_bytes(data[offset:end], name, entry)
    if end != len(data):
        raise ValueError(f"it has {len(data)} bytes, and its last tensor ends at {end}")


def _any(data: memoryview) -> bool:
    import numpy as np

    return bool(np.frombuffer(data, np.uint8).any())


def check_bytes(data: memoryview, name: str, entry: BundleEntry) -> None:
    """Check the stored bytes of a tensor, or of a slice, of numbers; a `ValueError` says what is wrong."""
    if masked_crc32c(data) != entry.crc32c:
        raise ValueError(f"the checksum of tensor {name!r} does not match")


def check_strings(data: memoryview, name: str, entry: BundleEntry) -> tuple[npt.NDArray[Any], int]:
    """Check the stored bytes of a tensor, or of a slice, of strings; a `ValueError` says what is wrong.

    Returns:
      The lengths of the strings, as [count] unsigned integers, and where the first string starts.
    """
    try:
        lengths, position = _lengths(data, element_count(entry.shape))
    except ValueError as error:
        raise ValueError(f"the lengths of string tensor {name!r} do not parse: {error}") from error
    total = crc = 0
    for start in range(0, len(lengths), _BLOCK):
        block = lengths[start : start + _BLOCK]
        longest = int(block.max())
        if longest > len(data):
            total = longest  # found here, because the sum could come round to what it should be
            break
        total += int(block.sum(dtype="u8"))
        crc = _lengths_crc32c(block, longest, crc)
    start = position + 4
    if start + total != len(data):
        raise ValueError(f"the lengths of string tensor {name!r} do not add up")
    if struct.pack("<I", mask(crc)) != bytes(data[position:start]):
        raise ValueError(f"the checksum of the lengths of string tensor {name!r} does not match")
    if mask(crc32c(data[position:], crc)) != entry.crc32c:
        raise ValueError(f"the checksum of tensor {name!r} does not match")
    return lengths, start


def _lengths_crc32c(lengths: npt.NDArray[Any], longest: int, crc: int) -> int:
    if longest <= _UINT32_MAX:
        return crc32c(lengths.astype("<u4").view("u1").data, crc)
    # TensorFlow widens only the lengths that need it.
    for length in lengths.tolist():
        crc = crc32c(struct.pack("<I" if length <= _UINT32_MAX else "<Q", length), crc)
    return crc


def _lengths(data: memoryview, count: int) -> tuple[npt.NDArray[Any], int]:
    """Return the lengths of `count` strings, as [count] unsigned integers, and the position after them."""
    import numpy as np

    short = np.frombuffer(data[:count], np.uint8)
    if len(short) == count and short.max(initial=0) < 0x80:
        return short, count
    lengths = np.empty(count, np.uint64)
    position = 0
    for number in range(count):
        lengths[number], position = read_varint(data, position, len(data))
    return lengths, position
