"""The bytes of a tar archive in one pass, out of gzip or as they are, counted, and checked to the end of the file."""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from modhub.errors import CorruptModuleError, HandleNotFoundError, ModhubError, NotAModuleError
from modhub.format.archive_limits import Limits
from modhub.format.tar_headers import BLOCK, is_archive_start

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["CHUNK", "ArchiveStream", "ByteSource", "findings", "open_archive", "read_archive"]

CHUNK = 2**18

_GZIP = b"\x1f\x8b"
# What zlib leaves of its input is copied at each step, so steps are small.
_INPUT = 2**16
# As much of a source is looked at to tell what it is.
_HEAD = 64
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS
_OTHERS = {
    b"PK": "a zip file",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
}
# What servers answer with in place of an archive, in lower case.
_TEXTS = {b"<!doctype": "an HTML page", b"<html": "an HTML page", b"<?xml": "an XML document", b"{": "a JSON document"}


class ByteSource(Protocol):
    """Where an archive comes from: a file, or a download that is still running."""

    def read(self, size: int, /) -> bytes:
        """Wait for bytes; return at least one, at most so many, and none only at the end."""


class ArchiveStream:
    """The unpacked bytes of an archive. A plain `ValueError` that a method raises is a finding about the archive."""

    __slots__ = ("_file", "_limits", "_packed", "_plain", "_position", "_seeks", "_start")

    def __init__(self, packed: _Packed, limits: Limits, file: BinaryIO | None = None) -> None:
        """Start to read.

        Args:
          packed: what is read, at its beginning.
          limits: for what it unpacks to.
          file: the same, where it can be sought in and its size is known.
        """
        self._plain = not packed.head().startswith(_GZIP)
        self._seeks = self._plain and file is not None
        self._file: BinaryIO | io.BufferedReader
        if self._plain and file is not None:
            file.seek(0)
            self._file = file
        else:
            self._file = io.BufferedReader(packed if self._plain else _Unpacked(packed, limits), 2**16)
        self._limits = limits
        self._packed = packed
        self._position = 0
        self._start: bytes | None = self._file.read(BLOCK)

    @property
    def start(self) -> bytes:
        """The first block, before any other is read; shorter where the archive is."""
        return self._start or b""

    def declare(self, size: int) -> None:
        """Refuse an archive that is too long if so many bytes follow, before any of them is read."""
        length = self._position + size
        # A file that is not packed is cut off before it can be too long in relation, and of what is still arriving
        # the ratio is told as it is read.
        self._limits.check_unpacked(length, length if self._plain else self._packed.size or length)

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
        if self._seeks:
            self._position += size
            if self._position > (self._packed.size or 0):
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
    where = str(path)
    with findings(where), _open_file(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotAModuleError(f"{where!r} is neither a file nor a directory, so it holds no module.")
        packed = _Packed(file, status.st_size)
        yield _checked(ArchiveStream(packed, limits, file), packed, where)


def read_archive(source: ByteSource, where: str, limits: Limits, packed_size: int | None = None) -> ArchiveStream:
    """Read an archive from a source that is not sought in.

    Args:
      source: of the archive, at its beginning.
      where: what messages call it.
      limits: for what it unpacks to.
      packed_size: the size of the whole source in bytes, for `Limits.ratio`. Where it is not known, the ratio is
        that to the bytes that have been read.

    Returns:
      Its bytes. What this and its methods raise goes through `findings`.

    Raises:
      NotAModuleError: it is not an archive.
    """
    packed = _Packed(source, packed_size)
    return _checked(ArchiveStream(packed, limits), packed, where)


@contextmanager
def findings(where: str) -> Iterator[None]:
    """Make errors of modhub of what the block raises: `OSError`, and `ValueError` for a finding about the archive."""
    try:
        yield
    except ModhubError:
        raise
    except FileNotFoundError as error:
        raise HandleNotFoundError(f"{where!r} does not exist.") from error
    except IsADirectoryError as error:
        raise NotAModuleError(f"{where!r} is a directory, not an archive.") from error
    except OSError as error:
        raise CorruptModuleError(f"{where!r} cannot be read: {error}.") from error
    except ValueError as error:
        raise CorruptModuleError(
            f"The archive {where!r} cannot be used: {error}. If every copy of it is so, tell its publisher."
        ) from error


def _open_file(path: Path) -> BinaryIO:
    # Not blocking: a FIFO would be waited for until someone writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.fdopen(os.open(path, flags), "rb", 2**16)
    except ValueError as error:
        raise HandleNotFoundError(f"{str(path)!r} is not a path: {error}.") from error


def _checked(stream: ArchiveStream, packed: _Packed, where: str) -> ArchiveStream:
    if not is_archive_start(stream.start):
        raise NotAModuleError(_not_an_archive(where, packed.head()))
    return stream


def _not_an_archive(where: str, head: bytes) -> str:
    text = head.lstrip().lower()
    looks = next((f" It is {what}." for magic, what in _OTHERS.items() if head.startswith(magic)), "")
    looks = looks or next((f" It is {what}." for start, what in _TEXTS.items() if text.startswith(start)), "")
    looks = looks or (" It is packed by gzip, but holds no tar archive." if head.startswith(_GZIP) else "")
    looks = looks or (" It is empty." if not head else "")
    return f"{where!r} is not an archive that modhub reads.{looks} Accepted are .tar and .tar.gz."


class _Packed(io.RawIOBase):
    """The bytes of an archive as they are packed, counted; `size` is that of all of them, where it is known."""

    def __init__(self, source: ByteSource, size: int | None) -> None:
        self._source = source
        self._head: bytes | None = None
        self._unread = b""
        self.size = size
        self.count = 0

    def head(self) -> bytes:
        """Return the first bytes, which may come one by one. They stay to be taken."""
        if self._head is None:
            head = b""
            while len(head) < _HEAD and (data := self._source.read(_HEAD - len(head))):
                head += data
            self._head = self._unread = head
        return self._head

    def take(self, most: int) -> bytes:
        """Return the bytes that come next, and none at the end."""
        if self._unread:
            data, self._unread = self._unread[:most], self._unread[most:]
        else:
            data = self._source.read(most)
        self.count += len(data)
        return data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self.take(len(view))
        view[: len(data)] = data
        return len(data)


class _Unpacked(io.RawIOBase):
    """What gzip packed, all members of it, with the checksum and length of each checked when it ends."""

    def __init__(self, packed: _Packed, limits: Limits) -> None:
        self._packed = packed
        self._limits = limits
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
        packed = self._packed.count if self._packed.size is None else self._packed.size
        self._limits.check_unpacked(self._unpacked, packed)
        view[: len(data)] = data
        return len(data)

    def _step(self, most: int) -> bytes:
        """Unpack some bytes, perhaps none of them."""
        self._input = self._input or self._packed.take(_INPUT)
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
            self._input = self._packed.take(CHUNK)
        self._ended = True
