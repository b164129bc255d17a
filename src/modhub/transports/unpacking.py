"""Unpacks an archive in a thread of its own, while the caller's thread still downloads it."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.errors import CacheError, ModhubError
from modhub.format.unpack_workers import start_thread
from modhub.transports.following import Following, Growing
from modhub.transports.job import Job

if TYPE_CHECKING:
    from modhub.format.unpack import Unpacked

__all__ = ["Unpacking", "clear"]


class _StoppedError(Exception):
    """What the unpacking thread meets when nobody wants its result any more."""


class Unpacking:
    """Unpacks a growing file into the job's directory.

    It is the caller's thread that downloads, because Ctrl-C reaches that one, wherever it waits.
    """

    def __init__(self, path: Path, size: int, job: Job, name: str, packed_size: int | None) -> None:
        """Start.

        Args:
          path: of the archive, a file that is there.
          size: how many bytes of it are there.
          job: whose directory is empty.
          name: what messages call the archive.
          packed_size: of the archive in bytes; None where it is not known.

        Raises:
          CacheError: the system has no threads left.
        """
        self._growing = Growing(path, size)
        self._job = job
        self._name = name
        self._packed_size = packed_size
        self._unpacked: Unpacked | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="modhub-unpacking", daemon=True)
        start_thread(self._thread)

    def grow(self, size: int) -> None:
        """Tell that so many bytes of the archive are there."""
        self._growing.grow(size)

    def finish(self) -> Unpacked:
        """Return the result, once the whole archive is there.

        Raises:
          CorruptModuleError, NotAModuleError, CacheError: as `unpack`.
        """
        self._growing.end()
        self._thread.join()
        self.check()
        assert self._unpacked is not None
        return self._unpacked

    def check(self) -> None:
        """Raise what went wrong so far."""
        error = self.error
        if error is None:
            return
        if isinstance(error, OSError) and not isinstance(error, ModhubError):
            raise CacheError(
                f"What {self._name!r} holds cannot be written to {str(self._job.directory)!r}: "
                f"{error.strerror or error}. Make room there, or name another directory with TFHUB_CACHE_DIR."
            ) from error
        raise error

    def stop(self) -> None:
        """End without a result; what is in the directory stays."""
        self._growing.end(_StoppedError())
        self._thread.join()

    def _run(self) -> None:
        from modhub.format.unpack import unpack

        try:
            with closing(Following(self._growing)) as stream:
                directory, limits = self._job.directory, self._job.limits
                self._unpacked = unpack(stream, self._name, directory, limits, packed_size=self._packed_size)
        except BaseException as error:
            self.error = error


def clear(directory: Path) -> None:
    """Remove all that is in a directory.

    Raises:
      OSError: that is not possible.
    """
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
