"""The checksum of tables and bundles: crc32c, masked as LevelDB masks it."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import crc32c as _crc32c

__all__ = ["crc32c", "mask", "masked_crc32c"]

# The polynomial of crc32c (Castagnoli), lowest power in the highest bit, as the checksum itself has them.
_POLYNOMIAL = 0x82F63B78
_ONE = 0x80000000
# Below this many bytes a second thread costs more than it saves.
_WORTH_SHARING = 8 * 2**20
_MOST_THREADS = 4  # the memory is the limit then


def crc32c(data: bytes | memoryview, value: int = 0) -> int:
    """Return the crc32c of some bytes, continuing from the crc32c of the bytes before them.

    Many bytes are shared between the processors: the checksum of a whole follows from those of its parts.

    Example:
      >>> hex(crc32c(b"123456789"))
      '0xe3069283'
    """
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    if len(data) < _WORTH_SHARING or threads == 1:
        return _crc32c.crc32c(data, value)
    view, step = memoryview(data), -(-len(data) // threads)
    parts = [view[start : start + step] for start in range(0, len(view), step)]
    with ThreadPoolExecutor(threads) as pool:  # the checksum runs without the interpreter's lock
        checksums = list(pool.map(_crc32c.crc32c, parts))
    for part, checksum in zip(parts, checksums, strict=True):
        value = _multiply(_zeros(len(part)), value) ^ checksum
    return value


def _multiply(a: int, b: int) -> int:
    """Multiply two polynomials over GF(2), modulo the checksum's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@functools.lru_cache(maxsize=64)
def _zeros(count: int) -> int:
    """Return what a checksum is multiplied with when `count` zero bytes follow: x to the power of 8 * count."""
    power, result = _ONE >> 8, _ONE
    while count:
        if count & 1:
            result = _multiply(power, result)
        power = _multiply(power, power)
        count >>= 1
    return result


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
