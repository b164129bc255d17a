"""Writes the files of an archive into a directory: overwrites and follows nothing, and waits for the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from modhub.errors import CacheError
from modhub.format.digests import FileDigest
from modhub.format.syncing import sync_directory, sync_file
from modhub.format.unpack_workers import Workers

__all__ = ["FileWriter"]

# After so many bytes the disk is put to work, so that little is left for it to do at the end.
_SYNC_EVERY = 2**25
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | _FLAGS
_BAD_NAMES = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileWriter:
    """Makes files and directories below a directory that is there and empty.

    Its methods are called by one thread at a time. What they raise is a `CacheError`, or a finding about the archive,
    a `ValueError`. When the block ends, all files are closed; the threads of `syncing` must have ended then.

    Attributes:
      files: what was written, by name, whole files only.
      directories: the names of those that were made.
    """

    __slots__ = ("_digest", "_fd", "_name", "_open", "_root", "_size", "_syncing", "_unsynced", "directories", "files")

    def __init__(self, root: Path, syncing: Workers | None) -> None:
        """Write into a directory.

        Args:
          root: the directory.
          syncing: who waits for the disk; with None nobody does.
        """
        self.files: dict[str, FileDigest] = {}
        self.directories: set[str] = set()
        self._root = root
        self._syncing = syncing
        self._open: set[int] = set()
        self._fd = -1
        self._name = ""
        self._size = 0
        self._unsynced = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._open:
            with suppress(OSError):
                os.close(self._open.pop())

    def add_directory(self, name: str) -> None:
        """Make a directory, and those above it."""
        if not name or name in self.directories:
            return
        self.add_directory(name.rpartition("/")[0])
        with self._told(name), _named(name):
            os.mkdir(self._root / name, 0o755)
        self.directories.add(name)

    def put(self, name: str, data: bytes) -> None:
        """Write a file at once."""
        self.start(name)
        self.write(data)
        self.end()

    def start(self, name: str) -> None:
        """Start a file, and make the directories above it."""
        self.add_directory(name.rpartition("/")[0])
        with self._told(name), _named(name):
            self._fd = os.open(self._root / name, _NEW_FILE, 0o644)
        self._open.add(self._fd)
        self._name = name
        self._size = self._unsynced = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add to the file that was started."""
        self._digest.update(data)
        self._size += len(data)
        self._unsynced += len(data)
        view = memoryview(data)
        with self._told(self._name):
            while view:
                view = view[os.write(self._fd, view) :]
            if self._syncing is not None and self._unsynced >= _SYNC_EVERY:
                self._unsynced = 0
                # One of its own, that nobody closes meanwhile.
                fd = os.dup(self._fd)
                self._open.add(fd)
                self._syncing.call(self._sync_data, fd, self._name)

    def end(self) -> None:
        """End the file that was started."""
        with self._told(self._name):
            # Two seconds ago, as some file systems tell two seconds apart and no less: a file that is changed later
            # has another mtime then.
            stamp = (int(time.time()) - 2) // 2 * 2 * 10**9
            os.utime(self._fd if os.utime in os.supports_fd else self._root / self._name, ns=(stamp, stamp))
            self.files[self._name] = FileDigest(size=self._size, sha256=self._digest.hexdigest())
            if self._syncing is None:
                self._close(self._fd)
            else:
                self._syncing.call(self._sync_file, self._fd, self._name)

    def move_up(self, folder: str) -> None:
        """Make the one folder that there is the root: all that is in it goes one level up."""
        # A name that nothing in the folder has, as that may be the folder's own.
        aside = self._root / f".{os.urandom(16).hex()}"
        with self._told(folder):
            os.rename(self._root / folder, aside)
            for name in os.listdir(aside):
                os.rename(aside / name, self._root / name)
            os.rmdir(aside)
        start = len(folder) + 1
        self.files = {name[start:]: digest for name, digest in self.files.items()}
        self.directories = {name[start:] for name in self.directories if len(name) > start}

    def sync_directories(self) -> None:
        """Have the directories synced, so that the names of the files last too."""
        if self._syncing is not None:
            for name in (*self.directories, ""):
                self._syncing.call(self._sync_directory, name)

    def _sync_data(self, fd: int, name: str) -> None:
        with self._told(name):
            sync_file(fd, getattr(os, "fdatasync", os.fsync))
            self._close(fd)

    def _sync_file(self, fd: int, name: str) -> None:
        with self._told(name):
            sync_file(fd)
            self._close(fd)

    def _sync_directory(self, name: str) -> None:
        with self._told(name):
            sync_directory(self._root / name)

    def _close(self, fd: int) -> None:
        # Before it is tried: a number that is closed, even with an error, may be another file's.
        self._open.discard(fd)
        os.close(fd)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Make an error of modhub of what the system says of a file."""
        try:
            yield
        except CacheError:
            raise
        except OSError as error:
            hint = "Make room on that disk" if error.errno in _FULL else "Check its permissions and its disk"
            raise CacheError(
                f"{str(self._root / name)!r} cannot be written: {error}. {hint}, or use another cache directory."
            ) from error


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Make a finding of what the system says of a name."""
    try:
        yield
    except FileExistsError as error:
        raise ValueError(
            f"{name!r} is there already when it comes to write it; names that differ in case only, or in how Unicode "
            "composes them, are one name on some file systems"
        ) from error
    except OSError as error:
        if error.errno in _BAD_NAMES:
            raise ValueError(f"the name {name!r}, which this file system does not take ({error.strerror})") from error
        raise
