"""Small files whose contents are kept, and read again only when they have changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["read_again"]

_T = TypeVar("_T")

# A file that is written twice within a tick of its clock may have the same stamps. FAT has the longest, of 2 s.
_TICK_NS = 2 * 10**9
_MOST_KEPT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What was read: the file's stamps, whether they tell it from any later contents, and both forms of these."""

    stamps: tuple[int, ...]
    settled: bool
    data: bytes
    parsed: Any


_kept: dict[tuple[str, object], _Kept] = {}


def read_again(path: str, parse: Callable[[str, bytes], _T], most_bytes: int) -> _T:
    """Return the contents of a file, parsed; the same object as last time where the file is the same.

    Args:
      path: of a regular file.
      parse: makes the value from the path and the bytes. A function of a module: it is part of what is remembered.
      most_bytes: a larger file is refused.

    Returns:
      What `parse` returned. Others get it too, so nobody may change it.

    Raises:
      OSError: the file is missing, cannot be read, is too large, or is no file.
    """
    key = (path, parse)
    kept = _kept.get(key)
    if kept is not None and kept.settled and kept.stamps == _stamps(os.stat(path)):
        return kept.parsed  # type: ignore[no-any-return] # `parse` is part of the key
    data, stamps, changed = _read(path, most_bytes)
    value: _T = kept.parsed if kept is not None and kept.data == data else parse(path, data)
    if len(_kept) >= _MOST_KEPT and key not in _kept:
        _kept.clear()
    _kept[key] = _Kept(stamps=stamps, settled=time.time_ns() - changed > _TICK_NS, data=data, parsed=value)
    return value


def _read(path: str, most_bytes: int) -> tuple[bytes, tuple[int, ...], int]:
    """Return a file's bytes, its stamps from before they were read, and the time of the latest of these, in ns."""
    # Opening a pipe would wait for whoever writes into it.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)
    with open(path, "rb") as file:
        found = os.fstat(file.fileno())
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes", path)
    return data, _stamps(found), max(found.st_mtime_ns, found.st_ctime_ns)


def _stamps(found: os.stat_result) -> tuple[int, ...]:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
