"""Opens files that anyone may have put into a cache: only what is a file, and never waiting for a writer."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_regular", "read_small"]

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MOST_BYTES = 65536


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, but no link, pipe, device or directory.

    Raises:
      OSError: it is one of those, or cannot be read.
    """
    file = os.fdopen(os.open(path, _READ), "rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(f"{str(path)!r} is not a file")


def read_small(path: Path) -> bytes:
    """Read a file that has 64 KiB at most.

    Raises:
      OSError: it is longer, is no file, or cannot be read.
    """
    with open_regular(path) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(f"{str(path)!r} has more than {_MOST_BYTES} bytes")
    return data
