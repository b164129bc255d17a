"""The checksum of tables and bundles: crc32c, masked as LevelDB masks it."""

from __future__ import annotations

import crc32c as _crc32c

__all__ = ["crc32c", "mask", "masked_crc32c"]


def crc32c(data: bytes | memoryview, value: int = 0) -> int:
    """Return the crc32c of some bytes, continuing from the crc32c of the bytes before them."""
    return _crc32c.crc32c(data, value)


def mask(crc: int) -> int:
    """Return the stored form of a crc32c.

    A crc over data that contains its own crc is weak, so formats that embed one rotate it and add a constant.

    Example:
      >>> hex(mask(0))
      '0xa282ead8'
    """
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def masked_crc32c(data: bytes | memoryview) -> int:
    """Return the stored form of the crc32c of some bytes."""
    return mask(crc32c(data))
