"""Writes the files of a module where a transport has got them one by one: checked names, digests, all on the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modhub.errors import CacheError, CorruptModuleError, DownloadError, ModhubError
from modhub.format.archive_names import Names, normal_name
from modhub.format.digests import FileDigest
from modhub.format.layout import MANIFEST
from modhub.format.syncing import sync_directory, sync_file
from modhub.settings.redact import shown
from modhub.transports.job import Job

__all__ = [
    "check_listing",
    "check_total",
    "copy_directory",
    "names_below",
    "settle",
    "write_file",
]

_BLOCK = 2**20
_EACH = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _EACH
# Not blocking: a FIFO would be waited for until someone writes to it.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _EACH
# What is written to a file later has another mtime then, also where the clock ticks coarsely. The seconds are even, as
# FAT has no others.
_SECONDS_BACK = 2


def check_listing(listing: Iterable[tuple[str, int | None]], where: str, job: Job) -> dict[str, tuple[str, int | None]]:
    """Check the files that someone says a module has, before any of them is fetched.

    Args:
      listing: of each file its name relative to the module, with slashes, and its size in bytes; None where it is not
        known. It is not read further than the limits reach.
      where: what was listed, for messages.
      job: for its limits.

    Returns:
      The name as it was listed, and the size, by the one spelling of `normal_name`, sorted.

    Raises:
      CorruptModuleError: a name leads out of the directory, occurs twice, or is that of the cache's own file; or
        there are too many.
      DownloadError: there is no file, or they have more bytes than `max_download_bytes`.
      CacheError: there is no room for them.
    """
    names = Names(job.limits)
    found: dict[str, tuple[str, int | None]] = {}
    try:
        for listed, size in listing:
            name = normal_name(listed, job.limits)
            if not name or listed.endswith(("/", "/.")):
                raise ValueError(f"the file {listed!r}, whose name is that of a directory")
            if name.partition("/")[0].casefold() == MANIFEST:
                raise ValueError(f"the name {name!r}, which is kept for what the cache says of the module")
            names.add(name, is_directory=False)
            found[name] = (listed, size)
    except ModhubError:  # some are a ValueError too
        raise
    except ValueError as error:
        raise CorruptModuleError(f"{where!r} cannot be used as a module; it has {error}.") from error
    if not found:
        raise DownloadError(f"{where!r} has no files. Check the handle: which folder has the module?", where)
    check_total(sum(size or 0 for _, size in found.values()), where, job)
    return dict(sorted(found.items()))


def check_total(size: int, where: str, job: Job) -> None:
    """Refuse what is too large, before it is fetched.

    Args:
      size: in bytes.
      where: what it is, for messages.
      job: for its settings and directory.

    Raises:
      DownloadError: it has more bytes than `max_download_bytes`.
      CacheError: there is no room for it.
    """
    most = job.settings.max_download_bytes
    if size > most:
        raise DownloadError(
            f"{where!r} has {size} bytes; at most {most} are fetched (max_download_bytes). If the module is to be that "
            "large, set MODHUB_MAX_DOWNLOAD or call modhub.configure(max_download_bytes=...).",
            where,
        )
    free = shutil.disk_usage(job.directory).free
    if size > free:
        raise CacheError(
            f"{where!r} has {size} bytes, and {str(job.directory.parent)!r} has room for {free}. Free some, or choose "
            "another directory with TFHUB_CACHE_DIR."
        )


def write_file(directory: Path, name: str, blocks: Iterable[bytes | memoryview], job: Job) -> FileDigest:
    """Write a file of a module, and wait for the disk.

    Args:
      directory: of the module.
      name: relative to it, as `check_listing` returns it.
      blocks: the contents. What getting them raises is passed on.
      job: its progress is told of every block.

    Returns:
      What was written.

    Raises:
      CorruptModuleError: something is there by that name: two names are one on this file system.
      CacheError: it cannot be written.
    """
    path = directory / name
    digest = hashlib.sha256()
    size = 0
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, _CREATE, 0o644)
    with os.fdopen(descriptor, "wb", 0):
        for block in blocks:
            with _writing(path):
                left = memoryview(block)
                while left:
                    left = left[os.write(descriptor, left) :]
            digest.update(block)
            size += len(block)
            job.progress.advance(len(block))
        with _writing(path):
            _stamp(path)
            sync_file(descriptor)
    return FileDigest(size=size, sha256=digest.hexdigest())


def copy_directory(source: Path, where: str, job: Job) -> dict[str, FileDigest]:
    """Copy the files of a local directory, such as another library's cache, to the job's directory.

    Args:
      source: the directory; the last part of its path may be a symbolic link.
      where: what it is a copy of, for messages.
      job: what is to be filled.

    Returns:
      What was written, by name.

    Raises:
      CorruptModuleError: as for `check_listing` and `settle`, or there is a symbolic link or a device.
      DownloadError: as for `check_listing`, or it cannot be read, or changed meanwhile.
      CacheError: it cannot be written.
    """
    listing = check_listing(names_below(source, where), where, job)
    job.progress.start(sum(size or 0 for _, size in listing.values()), f"{shown(job.handle)} (copying)")
    files = {
        name: write_file(job.directory, name, _blocks_of(source / listed, where, size), job)
        for name, (listed, size) in listing.items()
    }
    settle(job.directory, files, where)
    return files


def names_below(source: Path, where: str) -> Iterator[tuple[str, int]]:
    """Yield the name and size of each file below a directory; links are not followed.

    Args:
      source: the directory.
      where: what it is a copy of, for messages.

    Raises:
      CorruptModuleError: something is neither a regular file nor a directory.
      DownloadError: it cannot be listed.
    """
    pending = [""]
    try:
        while pending:
            above = pending.pop()
            with os.scandir(source / above) as entries:
                for entry in entries:
                    name = f"{above}/{entry.name}" if above else entry.name
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(name)
                    elif stat.S_ISREG(status.st_mode):
                        yield name, status.st_size
                    else:
                        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no regular file"
                        raise CorruptModuleError(f"{where!r} cannot be used as a module: {name!r} is {kind}.")
    except ModhubError:  # some are an OSError too
        raise
    except OSError as error:
        raise DownloadError(f"The copy of {where!r} in {str(source)!r} cannot be listed: {error}.", where) from error


def settle(directory: Path, files: Mapping[str, FileDigest], where: str) -> None:
    """Compare what is in a directory with what was written to it, and wait until its folders are on the disk too.

    Args:
      directory: of the module.
      files: all that it is to have.
      where: what was fetched, for messages.

    Raises:
      CorruptModuleError: other files are there: two names are one on this file system.
      CacheError: the system refused something.
    """
    meant = {(name, digest.size) for name, digest in files.items()}
    odd = sorted(meant ^ set(names_below(directory, where)))
    if odd:
        raise CorruptModuleError(
            f"{where!r} cannot be kept in {str(directory.parent)!r}: {odd[0][0]!r} came out under another name or in "
            "another size, as happens where a file system takes two names for one. Choose another with TFHUB_CACHE_DIR."
        )
    folders = {directory, *(directory / folder for name in files for folder in Path(name).parents)}
    for folder in sorted(folders, reverse=True):  # the inner ones first
        with _writing(folder):
            sync_directory(folder)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Make errors of modhub of what the system says of writing to a path."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise CorruptModuleError(
            f"{str(path)!r} cannot be written: something is there by that name. Two names of the module are one on "
            "this file system, or one is that of a file and of a directory."
        ) from error
    except OSError as error:
        raise CacheError(
            f"{str(path)!r} cannot be written: {error}. Free some room, check permissions, or choose another directory "
            "with TFHUB_CACHE_DIR."
        ) from error


def _blocks_of(path: Path, where: str, size: int | None) -> Iterator[bytes]:
    """Yield the contents of a file of which the size is known."""
    count = 0
    try:
        with os.fdopen(os.open(path, _READ), "rb", 0) as file:
            while block := file.read(_BLOCK):
                count += len(block)
                yield block
    except OSError as error:
        raise DownloadError(f"The copy of {where!r} in {str(path)!r} cannot be read: {error}.", where) from error
    if count != size:
        raise DownloadError(
            f"The copy of {where!r} changed while it was read: {path.name!r} had {size} bytes, and now {count}. "
            "Try again when nothing writes to it.",
            where,
        )


def _stamp(path: Path) -> None:
    seconds = int(time.time()) - _SECONDS_BACK
    seconds -= seconds % 2
    os.utime(path, (seconds, seconds))
