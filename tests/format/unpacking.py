"""How the tests of unpacking feed an archive, and look at what came out."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from modhub.format.archive_limits import Limits
from modhub.format.unpack import Unpacked, unpack

__all__ = ["ODD_PIECES", "Pieces", "there", "threads_left", "unpack_bytes"]

ODD_PIECES = (1, 511, 3, 70_000, 2, 513, 1000)


class Pieces:
    """A source that cannot seek, and gives its bytes in pieces, as a network does."""

    def __init__(self, data: bytes, sizes: Sequence[int] = (2**16,), at: Callable[[int], None] | None = None) -> None:
        """Give bytes.

        Args:
          data: the bytes.
          sizes: of the pieces, over and over.
          at: called before each piece with the place of its first byte, and once at the end.
        """
        self._data = data
        self._sizes = itertools.cycle(sizes)
        self._place = 0
        self._at = at

    def read(self, size: int, /) -> bytes:
        """Give the next piece, or as much of it as is asked for."""
        assert size > 0
        if self._at is not None:
            self._at(self._place)
        piece = self._data[self._place : self._place + min(size, next(self._sizes))]
        self._place += len(piece)
        return piece


def unpack_bytes(
    data: bytes, target: Path, limits: Limits | None = None, sizes: Sequence[int] = (2**16,), sync: bool = False
) -> Unpacked:
    """Unpack into a new directory; what it says of the archive and of each file is checked."""
    target.mkdir()
    unpacked = unpack(Pieces(data, sizes), "an archive", target, limits or Limits(), sync=sync)
    assert (unpacked.archive.size, unpacked.archive.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    files = {name: text for name, text in there(target).items() if text is not None}
    assert list(unpacked.files) == sorted(files)
    for name, digest in unpacked.files.items():
        assert (digest.size, digest.sha256) == (len(files[name]), hashlib.sha256(files[name]).hexdigest())
    return unpacked


def there(folder: Path) -> dict[str, bytes | None]:
    """Everything in a directory; None for a directory."""
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        found[str(path.relative_to(folder))] = None if path.is_dir() else path.read_bytes()
    return found


def threads_left() -> list[str]:
    """The threads of unpacking that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name == "modhub-unpack"]
