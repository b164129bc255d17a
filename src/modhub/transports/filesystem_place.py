"""A path in a file system of fsspec: what is there, the files below it, and their contents, checked as they come."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar, cast

from modhub.errors import CorruptModuleError, DownloadError, ModhubError, accepted
from modhub.settings.redact import shown
from modhub.transports.filesystem_packages import advice, missing_package, open_filesystem
from modhub.transports.job import Job
from modhub.transports.package_errors import package_failure, quiet
from modhub.transports.retry import Attempts

__all__ = ["Information", "Place", "size_of"]

# What is asked for at once: a request to an object store takes some 50 ms, whatever its size.
_REQUEST = 2**23
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
# They tell of each failure with a traceback; so do their tests for a machine of Google's.
_LOGGERS = ("gcsfs", "google.auth", "s3fs", "aiobotocore", "botocore")
_T = TypeVar("_T")
# Before the "@" of their URLs is a container, not a user.
_WITH_CONTAINER = ("abfs", "abfss", "az", "adl", "wasb", "wasbs")

Information = dict[str, Any]
"""What fsspec says of a file or directory: "name", "type", "size", and what the store adds."""


class Place:
    """A path in a file system. Whatever its package raises becomes an error of modhub.

    Attributes:
      url: as it may be shown.
      path: as fsspec writes it, without the scheme.
      is_async: whether fsspec runs the package in its event loop, so that it can be used from several threads.
      stopped: to be set when nothing more is wanted, in other threads.
    """

    def __init__(self, url: str, job: Job) -> None:
        """Find the file system; nothing is asked of it yet.

        Raises:
          MissingDependencyError: fsspec, or the package of this file system, is not installed.
          DownloadError: the URL cannot be used.
        """
        self._job = job
        self.stopped = threading.Event()
        self._scheme = url.partition(":")[0].lower()
        self.url = url if self._scheme in _WITH_CONTAINER else shown(url)
        if "::" in url:
            raise DownloadError(
                f"{self.url!r} cannot be fetched: a handle is no chain of file systems ('::').", self.url
            )
        try:
            with quiet(*_LOGGERS):
                self._system, path, self._asks_once = open_filesystem(self._scheme, url, job.settings)
        except ImportError as error:
            raise missing_package(self._scheme, self.url, str(error)) from error
        except Exception as error:
            raise self._failed(error) from error
        self.path = str(path).rstrip("/")
        self.is_async = bool(getattr(self._system, "async_impl", False))

    def information(self) -> Information:
        """Return what is there.

        Raises:
          DownloadError: nothing, or it may not be read.
        """
        try:
            # fsspec keeps listings for good, and a module may have been put there since.
            self._system.invalidate_cache()
            return cast(Information, self._asked(lambda: self._system.info(self.path)))
        except FileNotFoundError as error:
            raise DownloadError(f"{self.url!r} does not exist. {self._siblings()}", self.url, 404) from error
        except Exception as error:
            raise self._failed(error) from error

    def files(self) -> Iterator[tuple[str, Information]]:
        """Yield the name of each file below the path, relative to it, and what is known of it.

        Directories are listed one by one, so that a caller can end what turns out to be no module.

        Raises:
          CorruptModuleError: something is there that is neither a file nor a directory, or under a name without an end.
          DownloadError: it may not be listed.
        """
        pending = [self.path]
        while pending:
            above = pending.pop()
            for entry in self._listed(above):
                listed, kind = str(entry.get("name")), entry.get("type")
                # Stores let an empty object stand for a directory, named like it. gcsfs lists it as one, and calls a
                # directory without a name the same.
                if not size_of(entry) and (listed == above or (listed.rstrip("/") == above and kind == "file")):
                    continue
                name = listed.removeprefix(f"{self.path}/")
                if kind not in ("file", "directory") or name == listed or name.endswith("/") or not name:
                    raise CorruptModuleError(
                        f"{self.url!r} cannot be used as a module: it has {listed!r} (type {kind!r}), and a module has "
                        "files and directories with plain names only."
                    )
                if kind == "file":
                    yield name, entry
                elif name.count("/") >= self._job.limits.depth:
                    raise CorruptModuleError(
                        f"{self.url!r} cannot be used as a module: {listed!r} lies deeper than "
                        f"{self._job.limits.depth} folders."
                    )
                else:
                    pending.append(listed)

    def blocks(self, path: str, known: Information) -> Generator[bytes]:
        """Yield the contents of a file, and compare its length, and its checksum where there is one, at the end.

        Args:
          path: as fsspec writes it.
          known: what is known of it.

        Raises:
          DownloadError: it cannot be read, or has another size.
          CorruptModuleError: it has another checksum.
        """
        from crc32c import crc32c

        size, checksum, md5 = size_of(known), _crc32c_of(known), _md5_of(known)
        digest = hashlib.md5(usedforsecurity=False)
        most = self._job.settings.max_download_bytes
        count = crc = 0
        try:
            with self._asked(lambda: self._system.open(path, "rb", block_size=_REQUEST)) as file:
                while (block := self._asked(lambda: file.read(_REQUEST))) and count <= most:
                    count += len(block)
                    if md5 is not None:
                        digest.update(block)
                    crc = crc32c(block, crc) if checksum is not None else 0
                    yield block
        except Exception as error:
            raise self._failed(error) from error
        if count > most:
            raise DownloadError(f"{self.url!r} has more than {most} bytes (max_download_bytes).", self.url)
        if md5 is not None and digest.hexdigest() != md5:
            # A key of one's own makes other ETags (SSE-KMS), so this alone proves nothing. A listing may be wrong.
            size = self._size_now(path)
        if size is not None and count != size:
            raise DownloadError(
                f"{self.url!r} did not come as it is listed: {path!r} is to have {size} bytes, and {count} came. "
                "It may have been replaced meanwhile: try again.",
                self.url,
            )
        if checksum is not None and crc != checksum:
            raise CorruptModuleError(
                f"{self.url!r} was damaged on its way: {path!r} has the crc32c {crc:#010x}, and is listed with "
                f"{checksum:#010x}. Try again."
            )

    def _listed(self, path: str) -> list[Information]:
        try:
            return cast(list[Information], self._asked(lambda: self._system.ls(path, detail=True)))
        except Exception as error:
            raise self._failed(error) from error

    def _size_now(self, path: str) -> int | None:
        """Return the size of a file as the store says when it is asked for this one."""
        try:
            self._system.invalidate_cache()
            return size_of(self._asked(lambda: self._system.info(path)))
        except Exception as error:
            raise self._failed(error) from error

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """Ask, and again where that may go well and the package does not do so itself."""
        attempts = Attempts(self._job, self._wait)
        while True:
            attempts.begin()
            try:
                with quiet(*_LOGGERS):
                    return ask()
            except Exception as error:
                failed = package_failure(self.url, error)
                if not self._asks_once or attempts.after(failed, progressed=False) is not None:
                    raise

    def _wait(self, seconds: float) -> None:
        if self.stopped.wait(seconds):
            raise DownloadError(f"{self.url!r} is not wanted any more.", self.url)

    def _siblings(self) -> str:
        """Say what is there instead."""
        above, _, last = self.path.rpartition("/")
        try:
            names = [str(name).rstrip("/").rpartition("/")[2] for name in self._system.ls(above, detail=False)]
        except Exception:  # not there either, or not to be listed; told is the first error
            names = []
        if not above or not names:
            return "Check the bucket and the path, and whether your credentials may list it."
        return accepted(last, names, f"entries of {above!r}")

    def _failed(self, error: Exception) -> ModhubError:
        """Return an error of modhub. Each package raises classes of its own, and those of what it is built on."""
        if isinstance(error, ModhubError):
            return error
        failed = package_failure(self.url, error)
        hint = failed.hint or advice(self._scheme)
        return DownloadError(f"{self.url!r} could not be fetched ({failed.what}). {hint}", self.url, failed.status)


def size_of(known: Information) -> int | None:
    """Return the size of a file in bytes; None where its store does not tell it."""
    size = known.get("size")
    return size if isinstance(size, int) and size >= 0 else None


def _crc32c_of(known: Information) -> int | None:
    """Return the checksum that Google's store keeps of an object: 4 bytes, the most significant first, in base64."""
    try:
        return cast(int, struct.unpack(">I", base64.b64decode(known["crc32c"], validate=True))[0])
    except (KeyError, TypeError, ValueError, struct.error):
        return None


def _md5_of(known: Information) -> str | None:
    """Return the MD5 that the ETag of S3 is, unless the file came there in parts or a key of one's own encrypts it."""
    match = _MD5.fullmatch(str(known.get("ETag", "")))
    return match[1] if match else None
