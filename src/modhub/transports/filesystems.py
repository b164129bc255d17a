"""Modules in object stores and other file systems that fsspec reaches: gs://, s3://, abfs:// and the like."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing

from modhub.errors import DownloadError
from modhub.format.digests import FileDigest
from modhub.format.unpack import unpack
from modhub.transports.copying import check_listing, check_total, settle, write_file
from modhub.transports.filesystem_packages import filesystem_schemes
from modhub.transports.filesystem_place import Information, Place, size_of
from modhub.transports.job import Fetched, Job

__all__ = ["fetch_filesystem", "filesystem_schemes"]

_ARCHIVES = (".tar", ".tar.gz", ".tgz")
_FILES_AT_ONCE = 4


def fetch_filesystem(url: str, job: Job) -> Fetched:
    """Fetch a module from a file system that fsspec reaches, a `Transport`.

    A path that ends in .tar, .tar.gz or .tgz is an archive, unpacked as it comes; any other is a directory, of which
    each file is fetched. Settings and credentials are those of the file system's package, from its own environment
    variables and files or those of fsspec (FSSPEC_S3_ANON=true); timeouts and retries of s3:// and gs:// are modhub's
    where fsspec's configuration has none.

    Args:
      url: for example "gs://bucket/module" or "s3://bucket/module.tar.gz".
      job: what is to be filled.

    Returns:
      What was fetched.

    Raises:
      MissingDependencyError: fsspec, or the package of this file system, is not installed.
      DownloadError: nothing is there, or it cannot be read, or is too large, or came in another size than listed.
      CorruptModuleError: the archive is damaged or refused, a checksum differs, or a name is refused.
      CacheError: it cannot be written.
    """
    place = Place(url, job)
    known = place.information()
    if known.get("type") == "directory":
        return _fetch_directory(place, job)
    if not place.path.lower().endswith(_ARCHIVES):
        raise DownloadError(
            f"{place.url!r} is a file, and a module is a directory or an archive. The name of an archive ends in "
            f"{', '.join(_ARCHIVES)}.",
            place.url,
        )
    return _fetch_archive(place, known, job)


def _fetch_archive(place: Place, known: Information, job: Job) -> Fetched:
    size = size_of(known)
    check_total(size or 0, place.url, job)
    job.progress.start(size, job.handle)
    with closing(_Stream(place.blocks(place.path, known), job)) as stream:
        unpacked = unpack(stream, place.url, job.directory, job.limits, packed_size=size)
    return Fetched(url=place.url, archive=unpacked.archive, files=unpacked.files)


def _fetch_directory(place: Place, job: Job) -> Fetched:
    entries: dict[str, Information] = {}

    def sizes() -> Iterator[tuple[str, int | None]]:
        for name, known in place.files():
            entries[name] = known
            yield name, size_of(known)

    listing = check_listing(sizes(), place.url, job)

    def fetch(name: str) -> FileDigest:
        listed, _ = listing[name]
        blocks = _until(place.stopped, place.blocks(f"{place.path}/{listed}", entries[listed]), place.url)
        return write_file(job.directory, name, blocks, job)

    job.progress.start(sum(size or 0 for _, size in listing.values()), job.handle)
    # One thread where it is not known that the package can be used from several.
    pool = ThreadPoolExecutor(_FILES_AT_ONCE if place.is_async else 1, "modhub-fetch")
    try:
        futures = {name: pool.submit(fetch, name) for name in listing}
        # The first failure is the one to be told; those after it are of files that it stopped.
        for future in wait(futures.values(), return_when=FIRST_EXCEPTION).done:
            future.result()
        files = {name: future.result() for name, future in futures.items()}
    finally:
        # What is on its way is stopped and waited for, also after Ctrl-C: nothing may write to the directory later.
        place.stopped.set()
        pool.shutdown(cancel_futures=True)
    settle(job.directory, files, place.url)
    return Fetched(url=place.url, archive=None, files=files)


def _until(stopped: threading.Event, blocks: Generator[bytes], where: str) -> Iterator[bytes]:
    with closing(blocks):
        for block in blocks:
            if stopped.is_set():
                raise DownloadError(f"{where!r} is not wanted any more.", where)
            yield block


class _Stream:
    """Blocks as a stream to be read once, front to back."""

    def __init__(self, blocks: Generator[bytes], job: Job) -> None:
        self._blocks = blocks
        self._job = job
        self._left = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Read on: at least one byte, unless the end has come."""
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
            self._job.progress.advance(len(self._left))
        data, self._left = bytes(self._left[:size]), self._left[size:]
        return data

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Close the file that the blocks come from."""
        self._blocks.close()
