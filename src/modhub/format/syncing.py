"""Waits for the disk, where the file system can."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["sync_directory", "sync_file"]

# Some file systems, of networks mostly, cannot sync, or not a directory.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def sync_file(descriptor: int, function: Callable[[int], None] | None = None) -> None:
    """Wait until an open file is on the disk; do nothing where the file system cannot.

    Args:
      descriptor: of the file.
      function: `os.fsync` unless given; `os.fdatasync` for the contents alone.

    Raises:
      OSError: the disk refused.
    """
    try:
        (function or os.fsync)(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk; do nothing where the file system, or Windows, cannot.

    Args:
      directory: which is no symbolic link.

    Raises:
      OSError: it cannot be opened, or the disk refused.
    """
    if os.name == "nt":  # there a directory cannot be opened
        return
    descriptor = os.open(directory, _DIRECTORY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)
