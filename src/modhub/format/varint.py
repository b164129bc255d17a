"""Variable-length integers, read strictly: one encoding a number, so that no bit of a file can change unseen."""

from __future__ import annotations

__all__ = ["encode_varint", "read_varint"]


def read_varint(data: bytes | memoryview, start: int, end: int, *, bits: int = 64) -> tuple[int, int]:
    r"""Read one little-endian base-128 integer.

    Args:
      data: the bytes.
      start: where the integer starts.
      end: where it must have ended; at most `len(data)`.
      bits: the width of the integer.

    Returns:
      The integer, and the position after it.

    Raises:
      ValueError: it is cut off, too wide, or longer than it need be.

    Example:
      >>> read_varint(b"\xac\x02", 0, 2)
      (300, 2)
    """
    value = shift = 0
    for position in range(start, end):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                raise ValueError(f"the integer at byte {start} is padded")
            if value >> bits:
                break
            return value, position + 1
        shift += 7
        if shift >= bits:
            break
    else:
        raise ValueError(f"the integer at byte {start} is cut off")
    raise ValueError(f"the integer at byte {start} has more than {bits} bits")


def encode_varint(value: int) -> bytes:
    """Return the shortest base-128 encoding of a non-negative integer."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
