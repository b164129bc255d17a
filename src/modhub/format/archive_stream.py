"""The bytes of a tar archive in one pass, out of gzip or as they are, counted, and checked to the end of the file."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modhub.errors import CorruptModuleError, HandleNotFoundError, ModhubError, NotAModuleError
from modhub.format.archive_limits import Limits
from modhub.format.tar_headers import BLOCK, is_archive_start

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["CHUNK", "ArchiveStream", "findings", "open_archive"]

CHUNK = 2**18

_GZIP = b"\x1f\x8b"
# What zlib leaves of its input is copied at each step, so steps are small.
_INPUT = 2**14
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS
_OTHERS = {
    b"PK": "a zip file",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
}


class ArchiveStream:
    """The unpacked bytes of an archive. A plain `ValueError` that a method raises is a finding about the archive."""

    __slots__ = ("_file", "_limits", "_packed_size", "_plain", "_position", "_start", "_start_position")

    def __init__(self, file: BinaryIO, packed_size: int, limits: Limits) -> None:
        self._plain = file.read(2) != _GZIP
        file.seek(0)
        self._file = file if self._plain else io.BufferedReader(_Unpacked(file, packed_size, limits), 2**16)
        self._limits = limits
        self._packed_size = packed_size
        self._position = 0
        self._start: bytes | None = self._file.read(BLOCK)

    @property
    def start(self) -> bytes:
        """The first block, before any other is read; shorter where the archive is."""
        return self._start or b""

    def declare(self, size: int) -> None:
        """Refuse an archive that is too long if so many bytes follow, before any of them is read."""
        # A file that is not packed is cut off before it can be too long in relation.
        self._limits.check_unpacked(self._position + size, self._position + size if self._plain else self._packed_size)

    def read(self, size: int) -> bytes:
        """Read so many bytes, of which there is a copy in memory: at most `CHUNK`."""
        if self._start is not None:
            data, self._start = self._start, None
        else:
            data = self._file.read(size)
        self._position += len(data)
        if len(data) < size:
            raise ValueError("it is cut off")
        self.declare(0)
        return data

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        if self._plain:
            self._position += size
            if self._position > self._packed_size:
                raise ValueError("it is cut off")
            self._file.seek(self._position)
            return
        while size:
            size -= len(self.read(min(size, CHUNK)))

    def finish(self) -> None:
        """Check that nothing but padding follows, and with that the checksums of gzip."""
        while data := self._file.read(CHUNK):
            self._position += len(data)
            self.declare(0)
            if data.count(0) != len(data):
                raise ValueError("there is more after its end")


@contextmanager
def open_archive(path: Path, limits: Limits) -> Iterator[ArchiveStream]:
    """Open an archive.

    Args:
      path: of a file with a tar archive, packed by gzip or not; its name does not matter.
      limits: for what it unpacks to.

    Yields:
      Its bytes. What the block finds wrong is raised as by `findings`.

    Raises:
      HandleNotFoundError: there is no such file.
      NotAModuleError: it is not an archive.
      CorruptModuleError: it cannot be read, or something was found.
    """
    with findings(path), _open_file(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotAModuleError(f"{str(path)!r} is neither a file nor a directory, so it holds no module.")
        stream = ArchiveStream(file, status.st_size, limits)
        if not is_archive_start(stream.start):
            file.seek(0)
            raise NotAModuleError(_not_an_archive(path, file.read(8)))
        yield stream


@contextmanager
def findings(path: Path) -> Iterator[None]:
    """Make errors of modhub of what the block raises: `OSError`, and `ValueError` for a finding about the archive."""
    try:
        yield
    except ModhubError:
        raise
    except FileNotFoundError as error:
        raise HandleNotFoundError(f"{str(path)!r} does not exist.") from error
    except IsADirectoryError as error:
        raise NotAModuleError(f"{str(path)!r} is a directory, not an archive.") from error
    except OSError as error:
        raise CorruptModuleError(f"{str(path)!r} cannot be read: {error}.") from error
    except ValueError as error:
        raise CorruptModuleError(
            f"The archive {str(path)!r} cannot be used: {error}. Download it again, or unpack it if you trust it."
        ) from error


def _open_file(path: Path) -> BinaryIO:
    # Not blocking: a FIFO would be waited for until someone writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.fdopen(os.open(path, flags), "rb", 2**16)
    except ValueError as error:
        raise HandleNotFoundError(f"{str(path)!r} is not a path: {error}.") from error


def _not_an_archive(path: Path, start: bytes) -> str:
    looks = next((f" It is {what}." for magic, what in _OTHERS.items() if start.startswith(magic)), "")
    looks = looks or (" It is packed by gzip, but holds no tar archive." if start.startswith(_GZIP) else "")
    looks = looks or (" It is empty." if not start else "")
    return f"{str(path)!r} is not an archive that modhub reads.{looks} Accepted are .tar and .tar.gz."


class _Unpacked(io.RawIOBase):
    """What gzip packed, all members of it, with the checksum and length of each checked when it ends."""

    def __init__(self, file: BinaryIO, packed_size: int, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._packed_size = packed_size
        self._unpacked = 0
        self._input = b""
        self._between = False
        self._ended = False
        self._inflate = zlib.decompressobj(_WITH_GZIP_HEADER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = b""
        while not data and not self._ended:
            data = self._step(len(view))
        self._unpacked += len(data)
        self._limits.check_unpacked(self._unpacked, self._packed_size)
        view[: len(data)] = data
        return len(data)

    def _step(self, most: int) -> bytes:
        """Unpack some bytes, perhaps none of them."""
        self._input = self._input or self._file.read(_INPUT)
        if self._between:
            self._start_next()
            return b""
        if not self._input:
            raise ValueError("it is cut off")
        try:
            data = self._inflate.decompress(self._input, most)
        except zlib.error as error:
            raise ValueError(f"gzip does not unpack it ({error})") from error
        self._between = self._inflate.eof
        self._input = self._inflate.unused_data if self._between else self._inflate.unconsumed_tail
        return data

    def _start_next(self) -> None:
        """Start the next member of gzip, or end where there is none, after any padding."""
        if self._input[:1] == _GZIP[:1]:
            self._inflate = zlib.decompressobj(_WITH_GZIP_HEADER)
            self._between = False
            return
        while self._input:
            if self._input.count(0) != len(self._input):
                raise ValueError("there is more after the end of what gzip packed")
            self._input = self._file.read(CHUNK)
        self._ended = True
