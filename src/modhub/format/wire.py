"""The wire format of protocol buffers, read field by field: parts of a large message without parsing the whole.

Source: the "Encoding" page of the Protocol Buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BYTES", "VARINT", "Buffer", "Field", "fields"]

Buffer = bytes | memoryview

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

# (number, wire type, start, end): of BYTES the contents, of the others the encoded value.
Field = tuple[int, int, int, int]


def fields(data: Buffer, start: int = 0, end: int | None = None) -> Iterator[Field]:
    r"""Yield the fields of an encoded message, in the order in which they are stored.

    Args:
      data: the bytes; only those that describe fields are read, never their contents.
      start: where the message starts.
      end: where it ends; None: where the bytes do.

    Yields:
      (number, wire type, start, end) of each field's contents.

    Raises:
      ValueError: the message is malformed, or has groups, which no message of TensorFlow has.

    Example:
      >>> list(fields(b"\x08\x03\x12\x02hi"))
      [(1, 0, 1, 2), (2, 2, 4, 6)]
    """
    position, end = start, len(data) if end is None else end
    while position < end:
        key = data[position]
        position += 1
        if key > 0x7F:
            key, position = _varint(data, position - 1, end)
            if key > 0xFFFFFFFF:  # TensorFlow would cut it to another field's
                raise ValueError(f"the tag at byte {position} has more than 32 bits")
        number, kind = key >> 3, key & 7
        if not number:
            raise ValueError(f"there is a field of number 0 at byte {position - 1}")
        if kind == BYTES:
            if position >= end:
                raise ValueError(f"the message is cut off at byte {position}")
            size = data[position]
            position += 1
            if size > 0x7F:
                size, position = _varint(data, position - 1, end)
            stop = position + size
        elif kind == VARINT:
            stop = _varint(data, position, end)[1]
        elif kind in _FIXED:
            stop = position + _FIXED[kind]
        else:
            raise ValueError(f"the field at byte {position - 1} has the wire type {kind}, which is not in use")
        if stop > end:
            raise ValueError(f"the field at byte {position} ends after its message")
        yield number, kind, position, stop
        position = stop


def _varint(data: Buffer, start: int, end: int) -> tuple[int, int]:
    """Read an integer as protobuf does, which takes padded ones too; return it, and the position after it."""
    value = 0
    for index in range(start, min(end, start + 10)):
        byte = data[index]
        value |= (byte & 0x7F) << 7 * (index - start)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, index + 1
    raise ValueError(f"the integer at byte {start} is cut off, or too long")
