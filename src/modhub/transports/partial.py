"""The first part of a file that is being downloaded, kept so that the download can go on, also in another process.

Beside the file lies `<name>.json`: which URL it is from, the strong ETag and the size of the whole, and checkpoints, so
that after a crash of the machine no byte is believed that did not reach the disk. The file is only of use with an ETag:
without, it cannot be shown that the server still has the same.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modhub.transports.header_digests import Digester

__all__ = ["Partial", "Validator", "strong_etag"]

_CHECKPOINT_BYTES = 4 * 2**20
_MOST_CHECKPOINTS = 1024
_VERSION = 1
_BLOCK = 2**20
_EACH = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _EACH
_MOST_JSON_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """What proves that a part and the rest are of the same file.

    Attributes:
      etag: a strong one, with its quotes; None without.
      total: the size of the whole in bytes; None where it is not known.
    """

    etag: str | None
    total: int | None


def strong_etag(value: str | None) -> str | None:
    """Return an ETag that stands for the same bytes (RFC 9110, 8.8.3); None for a weak one, or what is none."""
    value = (value or "").strip()
    is_strong = len(value) > 2 and value[0] == value[-1] == '"' and value.isascii() and value.isprintable()
    return value if is_strong else None


class Partial:
    """The file, open for writing, and what is beside it.

    Attributes:
      path: of the file.
      size: how many bytes of it are good.
      validator: of the file; None before `restart`.
      expected: name and bytes of a digest that the server gave for the whole; None without.
    """

    __slots__ = ("_checkpoints", "_crc", "_digester", "_file", "_url", "expected", "path", "size", "validator")

    def __init__(self, path: Path, url: str) -> None:
        """Take up what an earlier run left, as far as it is good.

        Args:
          path: of the file, which need not be there.
          url: without credentials. What is from another URL is dropped.
        """
        self.path = path
        self.size = 0
        self.validator: Validator | None = None
        self.expected: tuple[str, bytes] | None = None
        self._url = url
        self._crc = 0
        self._checkpoints: list[tuple[int, int]] = []
        self._digester: Digester | None = None
        self._file: int | None = None
        try:
            self._take_up()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # Not there, not ours, cut off in the middle, or tampered with: nothing is lost but time.
            self.remove()

    @property
    def can_resume(self) -> bool:
        """Whether there is something, and a proof of what it is."""
        return self.size > 0 and self.validator is not None and self.validator.etag is not None

    def restart(self, validator: Validator) -> None:
        """Begin a new, empty file.

        Raises:
          OSError: it cannot be written.
        """
        self.remove()
        self.validator = validator
        self._file = os.open(self.path, _CREATE, 0o600)
        self._note()

    def expect(self, expected: tuple[str, bytes] | None) -> None:
        """Compute the digest that the server gives from here on, and of what is there already. None changes nothing.

        Raises:
          OSError: what is there cannot be read.
        """
        if expected is None or self._file is None:
            return
        # unpacking computes SHA-256 anyway
        if expected[0] != "sha-256" and (self._digester is None or self._digester.name != expected[0]):
            self._digester = Digester(expected[0])
            for block in self._blocks(self.size):
                self._digester.update(block)
        self.expected = expected

    def digest(self, sha256: str) -> bytes | None:
        """Return the digest that was to be computed; None if none was.

        Args:
          sha256: of the file, in hexadecimal.
        """
        if self.expected is None:
            return None
        if self._digester is None or self.expected[0] == "sha-256":
            return bytes.fromhex(sha256)
        return self._digester.digest()

    def append(self, data: bytes) -> None:
        """Write on.

        Raises:
          OSError: it cannot be written.
        """
        if self._file is None:
            raise ValueError("append before restart")
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        if self._digester is not None:
            self._digester.update(data)
        self.size += len(data)
        if self.validator is not None and self.validator.etag is not None:
            self._crc = zlib.crc32(data, self._crc)
            last = self._checkpoints[-1][0] if self._checkpoints else 0
            if self.size - last >= self._interval():
                self._checkpoints.append((self.size, self._crc))
                self._note()

    def close(self) -> None:
        """Close the file, and leave it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def keep(self) -> None:
        """Close the file, and note that all of it is good.

        Raises:
          OSError: it cannot be noted.
        """
        if not self._checkpoints or self._checkpoints[-1][0] < self.size:
            self._checkpoints.append((self.size, self._crc))
            self._note()
        self.close()

    def remove(self) -> None:
        """Remove the file and what is beside it.

        Raises:
          OSError: that is not possible.
        """
        self.close()
        for path in (self._note_path(), self.path):
            path.unlink(missing_ok=True)
        self.size = self._crc = 0
        self.validator = self.expected = self._digester = None
        self._checkpoints = []

    def _note_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _interval(self) -> int:
        """Return how far checkpoints are apart: the list is written anew for each, so it must not get long."""
        total = self.validator.total if self.validator is not None else None
        return max(_CHECKPOINT_BYTES, (total or 0) // _MOST_CHECKPOINTS)

    def _note(self) -> None:
        """Write what is beside the file, in one step."""
        if self.validator is None or self.validator.etag is None:
            return
        note = {
            "version": _VERSION,
            "url": self._url,
            "etag": self.validator.etag,
            "total": self.validator.total,
            "checkpoints": self._checkpoints,
        }
        temporary = self.path.with_name(self.path.name + ".json.tmp")
        # Whatever lies there, a link among others, is not written to.
        temporary.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(temporary, _CREATE, 0o600), "w", encoding="utf-8") as file:
                json.dump(note, file)
            temporary.replace(self._note_path())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _take_up(self) -> None:
        """Read the note, check the file against its checkpoints, and cut it after the last good one."""
        with self._note_path().open("rb") as file:
            note = json.loads(file.read(_MOST_JSON_BYTES))
        etag, total = strong_etag(note["etag"]), note["total"]
        if note["version"] != _VERSION or note["url"] != self._url or etag is None:
            raise ValueError("of something else")
        if not (total is None or (isinstance(total, int) and total > 0)):
            raise ValueError("no size")
        self._file = os.open(self.path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | _EACH)
        size = os.fstat(self._file).st_size
        good, crc = 0, 0
        for offset, wanted in note["checkpoints"]:
            # A file that is whole would leave nothing to ask for, and asking is the proof that it is still the same.
            if not (isinstance(offset, int) and good < offset and offset <= size and offset < (total or offset + 1)):
                break
            for block in self._blocks(offset, good):
                crc = zlib.crc32(block, crc)
            if crc != wanted:
                break
            self._checkpoints.append((offset, crc))
            good = offset
        if not good:
            raise ValueError("nothing good")
        self._crc = self._checkpoints[-1][1]
        os.ftruncate(self._file, good)
        os.lseek(self._file, good, os.SEEK_SET)
        self.size = good
        self.validator = Validator(etag=etag, total=total)

    def _blocks(self, end: int, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of the file from `start` to `end`, and leave its position at `end`."""
        if self._file is None:
            return
        os.lseek(self._file, start, os.SEEK_SET)
        while start < end:
            block = os.read(self._file, min(_BLOCK, end - start))
            if not block:
                raise ValueError("shorter than its checkpoint")
            start += len(block)
            yield block
