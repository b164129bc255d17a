"""The expansion of Snappy's raw format, in which some published modules have the blocks of their index.

TensorFlow's own writers do not compress the index; it is small, so plain Python is fast enough. The source of the facts
is Snappy's format_description.txt.
"""

from __future__ import annotations

from modhub.format.varint import read_varint

__all__ = ["expand_snappy"]

# Three bytes make 64 at most, so an honest block grows by less than this factor.
_MOST_GROWTH = 22


def expand_snappy(data: bytes, limit: int) -> bytes:
    r"""Expand one block to `limit` bytes at most.

    Raises:
      ValueError: the block is damaged, or states a size that is too large, or that it cannot expand to.

    Example:
      >>> expand_snappy(b"\x08\x04ab\x09\x02", 100)
      b'abababab'
    """
    size, position = read_varint(data, 0, len(data), bits=32)
    if size > min(limit, len(data) * _MOST_GROWTH):
        raise ValueError(f"{len(data)} compressed bytes state a size of {size}")
    expanded = bytearray()
    while position < len(data):
        kind, argument = data[position] & 3, data[position] >> 2
        position += 1
        if kind == 0:
            # 60 to 63 stand for a length in the next 1 to 4 bytes.
            extra = max(argument - 59, 0)
            length = (_little(data, position, extra) if extra else argument) + 1
            position += extra + length
            if position > len(data):
                raise ValueError("a compressed block is cut off")
            expanded += data[position - length : position]
        else:
            width = (1, 2, 4)[kind - 1]
            distance = _little(data, position, width)
            position += width
            length = argument + 1
            if kind == 1:
                distance |= argument >> 3 << 8
                length = (argument & 7) + 4
            if not 0 < distance <= len(expanded):
                raise ValueError("a compressed block refers to bytes before its start")
            # A copy may run into what it writes, and then repeats it.
            pattern = expanded[-distance:][:length]
            expanded += (pattern * (length // len(pattern) + 1))[:length]
        if len(expanded) > size:
            break
    if len(expanded) != size:
        raise ValueError(f"a compressed block expands to {len(expanded)} bytes, not to {size}")
    return bytes(expanded)


def _little(data: bytes, position: int, width: int) -> int:
    if position + width > len(data):
        raise ValueError("a compressed block is cut off")
    return int.from_bytes(data[position : position + width], "little")
