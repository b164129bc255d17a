"""The sorted table of keys and values that `variables.index` is: LevelDB's format.

A table is a run of blocks, each followed by a type byte and a checksum, and a footer of 48 bytes. Data blocks hold
the entries; the index block names the data blocks; the metaindex block, which TensorFlow leaves empty, names others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise

from modhub.errors import CorruptModuleError
from modhub.format.checksum import masked_crc32c
from modhub.format.snappy import expand_snappy
from modhub.format.varint import encode_varint, read_varint

__all__ = ["read_table", "write_table"]

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_HANDLES_BYTES = 40  # of the footer: two block handles and zeros
_TRAILER_BYTES = 5  # after each block: its type and its checksum
_UNCOMPRESSED, _SNAPPY = 0, 1  # the types; TensorFlow writes the first, some published modules have the second
_BLOCK_BYTES = 262144
_RESTART_INTERVAL = 16

# Keys share prefixes, so that a small file can name keys of any total length; real ones have about 100 bytes each.
_MOST_KEY_BYTES = 2**26

# What compressed blocks may come to in all.
_MOST_EXPANDED_BYTES = 2**26

# An entry can be as short as 3 bytes in the file, and takes hundreds in memory; the largest modules have thousands.
_MOST_ENTRIES = 2**18


def read_table(data: bytes | memoryview, where: str) -> dict[bytes, bytes]:
    """Read a table and check every bit of it.

    Args:
      data: the whole file.
      where: the name of the file, for messages.

    Returns:
      The values by key, in the order of the keys.

    Raises:
      CorruptModuleError: the file is truncated, altered, or not such a table.

    Example:
      >>> read_table(write_table([(b"a", b"1"), (b"b", b"2")]), "example")
      {b'a': b'1', b'b': b'2'}
    """
    try:
        return _Reader(bytes(data)).read()
    except ValueError as error:
        raise CorruptModuleError(f"{where!r} is damaged: {error}. Download or export the module again.") from error


def write_table(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a table that TensorFlow and `read_table` read.

    Args:
      items: pairs of key and value, with strictly ascending keys.

    Raises:
      ValueError: the keys are not strictly ascending.
    """
    table = bytearray()
    index: list[tuple[bytes, bytes]] = []
    pending: list[tuple[bytes, bytes]] = []
    pending_bytes = 0
    last: bytes | None = None
    for key, value in items:
        if last is not None and key <= last:
            raise ValueError(f"keys must ascend: {key!r} after {last!r}")
        last = key
        pending.append((key, value))
        pending_bytes += len(key) + len(value)
        if pending_bytes >= _BLOCK_BYTES:
            index.append((key, _append_block(table, pending, _RESTART_INTERVAL)))
            pending, pending_bytes = [], 0
    if pending:
        index.append((pending[-1][0], _append_block(table, pending, _RESTART_INTERVAL)))
    handles = _append_block(table, [], _RESTART_INTERVAL)
    handles += _append_block(table, index, 1)
    return bytes(table) + handles.ljust(_HANDLES_BYTES, b"\x00") + struct.pack("<Q", _MAGIC)


def _append_block(table: bytearray, entries: list[tuple[bytes, bytes]], interval: int) -> bytes:
    """Append one block, and return its handle: where it starts and how long it is."""
    block = bytearray()
    restarts = [0]
    last = b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % interval:
            shared = next((at for at, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), len(last))
        elif number:
            restarts.append(len(block))
        block += encode_varint(shared) + encode_varint(len(key) - shared) + encode_varint(len(value))
        block += key[shared:] + value
        last = key
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = encode_varint(len(table)) + encode_varint(len(block))
    checked = bytes(block) + bytes([_UNCOMPRESSED])
    table += checked + struct.pack("<I", masked_crc32c(checked))
    return handle


class _Reader:
    """One pass over a table; every `ValueError` it raises is a finding about the file."""

    __slots__ = ("_claimed", "_claimed_bytes", "_data", "_end", "_expandable", "_key_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = len(data) - _FOOTER_BYTES
        self._claimed: list[tuple[int, int]] = []
        self._claimed_bytes = 0
        self._key_bytes = 0
        self._expandable = _MOST_EXPANDED_BYTES

    def read(self) -> dict[bytes, bytes]:
        if self._end < 0:
            raise ValueError(f"it has {len(self._data)} bytes, less than the footer of a table")
        footer = self._data[self._end :]
        if struct.unpack("<Q", footer[_HANDLES_BYTES:])[0] != _MAGIC:
            raise ValueError("it does not end as a table does")
        metaindex, position = _handle(footer, 0, _HANDLES_BYTES)
        index, position = _handle(footer, position, _HANDLES_BYTES)
        if any(footer[position:_HANDLES_BYTES]):
            raise ValueError("there are stray bytes in its footer")

        for _, named in self._block(*metaindex):
            self._contents(*_only_handle(named))
        table: dict[bytes, bytes] = {}
        last: bytes | None = None
        for bound, named in self._block(*index):
            empty = True
            for key, value in self._block(*_only_handle(named)):
                if last is not None and key <= last:
                    raise ValueError(f"the key {key!r} is out of order")
                if len(table) == _MOST_ENTRIES:
                    raise ValueError(f"it has more than {_MOST_ENTRIES} entries")
                table[key] = value
                last, empty = key, False
            # The bound of a block is at least its last key, and below the first key of the next block.
            if empty or last is None or bound < last:
                raise ValueError(f"the index does not bound the block before {bound!r}")
            last = bound
        self._check_tiling()
        return table

    def _block(self, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries of one block, in strictly ascending order."""
        block = self._contents(start, size)
        end, restarts = _restarts(block, start)
        starts = set(restarts)
        seen = 0
        position, last = 0, None
        while position < end:
            entry = position
            shared, position = read_varint(block, position, end, bits=32)
            fresh, position = read_varint(block, position, end, bits=32)
            length, position = read_varint(block, position, end, bits=32)
            if shared > len(last or b"") or fresh + length > end - position:
                raise ValueError(f"the entry at byte {start + entry} exceeds its block")
            if entry in starts:
                seen += 1
                if shared:
                    raise ValueError(f"the entry at byte {start + entry} must not depend on the one before")
            self._key_bytes += shared + fresh
            if self._key_bytes > _MOST_KEY_BYTES:
                raise ValueError(f"its keys have more than {_MOST_KEY_BYTES} bytes")
            key = (last or b"")[:shared] + block[position : position + fresh]
            if last is not None and key <= last:
                raise ValueError(f"the key {key!r} is out of order")
            position += fresh + length
            last = key
            yield key, block[position - length : position]
        if end and seen != len(starts):
            raise ValueError(f"the block at byte {start} has a restart point within an entry")

    def _contents(self, start: int, size: int) -> bytes:
        """Claim and check the bytes of a block."""
        end = start + size + _TRAILER_BYTES
        if end > self._end:
            raise ValueError(f"the block at byte {start} runs past the end")
        self._claimed.append((start, end))
        self._claimed_bytes += end - start
        # Found at the end, too; found here, a block that is named a million times is read once.
        if self._claimed_bytes > self._end:
            raise ValueError("it names a block twice")
        stored = struct.unpack("<I", self._data[end - 4 : end])[0]
        if masked_crc32c(memoryview(self._data)[start : end - 4]) != stored:
            raise ValueError(f"the checksum of the block at byte {start} does not match")
        contents = self._data[start : start + size]
        kind = self._data[end - 5]
        if kind == _SNAPPY:
            contents = expand_snappy(contents, self._expandable)
            self._expandable -= len(contents)
            return contents
        if kind != _UNCOMPRESSED:
            raise ValueError(f"the block at byte {start} is compressed in a way ({kind}) that no index is")
        return contents

    def _check_tiling(self) -> None:
        """Check that each byte before the footer belongs to one block."""
        spans = [(0, 0), *sorted(self._claimed), (self._end, self._end)]
        for (_, end), (start, _) in pairwise(spans):
            if start != end:
                raise ValueError(f"the bytes from {min(start, end)} to {max(start, end)} belong to no block, or to two")


def _handle(data: bytes, start: int, end: int) -> tuple[tuple[int, int], int]:
    """Read a block handle; return it, and the position after it."""
    offset, position = read_varint(data, start, end)
    size, position = read_varint(data, position, end)
    return (offset, size), position


def _only_handle(data: bytes) -> tuple[int, int]:
    handle, position = _handle(data, 0, len(data))
    if position != len(data):
        raise ValueError("there are stray bytes after a block handle")
    return handle


def _restarts(block: bytes, start: int) -> tuple[int, tuple[int, ...]]:
    """Return where the entries of a block end, and the positions of the entries that share nothing."""
    damaged = ValueError(f"the restart points of the block at byte {start} are inconsistent")
    if len(block) < 4:
        raise damaged
    count = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 * (count + 1)
    # An entry has 3 bytes or more; checked before the points are unpacked, because each takes ten times its bytes.
    if not count or end < 0 or count > max(1, min(end // 3, _MOST_ENTRIES)):
        raise damaged
    restarts = struct.unpack(f"<{count}I", block[end:-4])
    if restarts[0] or any(low >= high for low, high in pairwise(restarts)) or (end == 0 and count > 1):
        raise damaged
    return end, restarts
