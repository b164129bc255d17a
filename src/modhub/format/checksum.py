"""The checksum of tables and bundles: crc32c, masked as LevelDB masks it."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["crc32c", "mask", "masked_crc32c"]

_Checksum: TypeAlias = Callable[[bytes | memoryview, int], int]

# The polynomial of crc32c (Castagnoli), lowest power in the highest bit, as the checksum itself has them.
_POLYNOMIAL = 0x82F63B78
_ONE = 0x80000000
# Below this many bytes a second thread costs more than it saves.
_WORTH_SHARING = 8 * 2**20
_MOST_THREADS = 4  # the memory is the limit then

# How many bytes a process checks in Python, at 0.11 us each, before it imports the package crc32c, which does 20 GB/s:
# the import takes 22 ms and 3 MB (of version 2.9), because it brings importlib.metadata, email and argparse. That is
# more than all else that reading a module's index takes. google-crc32c is imported in 3 ms, but takes no memoryview,
# so that a mapped file would have to be copied.
_python_bytes = 2**16


def crc32c(data: bytes | memoryview, value: int = 0) -> int:
    """Return the crc32c of some bytes, continuing from the crc32c of the bytes before them.

    Many bytes are shared between the processors: the checksum of a whole follows from those of its parts.

    Example:
      >>> hex(crc32c(b"123456789"))
      '0xe3069283'
    """
    checksum = _checksum_for(len(data))
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    if len(data) < _WORTH_SHARING or threads == 1:
        return checksum(data, value)
    from concurrent.futures import ThreadPoolExecutor  # with logging, 4 ms that a small file need not wait for

    view, step = memoryview(data), -(-len(data) // threads)
    parts = [view[start : start + step] for start in range(0, len(view), step)]
    with ThreadPoolExecutor(threads) as pool:  # the checksum runs without the interpreter's lock
        checksums = list(pool.map(checksum, parts, [0] * len(parts)))
    for part, of_part in zip(parts, checksums, strict=True):
        value = _multiply(_zeros(len(part)), value) ^ of_part
    return value


def _checksum_for(size: int) -> _Checksum:
    """Return the function for so many bytes: the package's, unless importing it would take longer than they do."""
    global _python_bytes
    # Where importlib.metadata is there already, as with TensorFlow, the package costs 2 ms.
    if "crc32c" not in sys.modules and "importlib.metadata" not in sys.modules:
        _python_bytes -= size
        if _python_bytes >= 0:
            return _in_python
    import crc32c as package

    return package.crc32c


def _in_python(data: bytes | memoryview, value: int) -> int:
    table, crc = _table(), value ^ 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.cache
def _table() -> tuple[int, ...]:
    """Return what each last byte of a checksum adds to the rest of it when it is shifted out."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


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
