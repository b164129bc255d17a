"""A file that is read while it still grows: what one thread downloads, another unpacks."""

from __future__ import annotations

import os
import threading
from pathlib import Path

__all__ = ["Following", "Growing"]


class Growing:
    """How long a file is by now, whether it is whole, and what went wrong. For one writer and one reader."""

    __slots__ = ("_changed", "_error", "_size", "_whole", "path")

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._changed = threading.Condition()
        self._size = size
        self._whole = False
        self._error: BaseException | None = None

    def grow(self, size: int) -> None:
        """Tell the reader that the first `size` bytes are there."""
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Tell the reader that the file is whole; or, with an error, to read no more. The first error counts."""
        with self._changed:
            self._whole = True
            self._error = self._error or error
            self._changed.notify_all()

    def size_beyond(self, position: int) -> int:
        """Wait until there is more than `position` bytes, or all there will be.

        Returns:
          How many bytes are there; `position` only at the end of a whole file.

        Raises:
          BaseException: what the writer ended with.
        """
        with self._changed:
            while self._error is None and not self._whole and self._size <= position:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            return self._size


class Following:
    """A file as it grows, from its start. `read` waits for bytes; it ends where the writer says that it is whole."""

    __slots__ = ("_file", "_growing", "_position")

    def __init__(self, growing: Growing) -> None:
        """Open the file, which has to be there."""
        self._growing = growing
        self._file = growing.path.open("rb", buffering=0)
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Read up to so many bytes, at least one but at the end.

        Raises:
          BaseException: what the writer ended with.
          OSError: the file is shorter than its writer says.
        """
        ready = self._growing.size_beyond(self._position) - self._position
        data = self._file.read(min(ready, size))
        if not data and ready and size:
            raise OSError(f"{os.fspath(self._growing.path)!r} became shorter while it was read")
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
