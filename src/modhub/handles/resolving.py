"""From a handle to the local directory or archive that it names; what comes from afar goes through the cache."""

from __future__ import annotations

import os
from pathlib import Path

from modhub import errors
from modhub.cache.store import Cache
from modhub.handles.handle import Handle, parse_handle
from modhub.handles.local import check_digest, state_of
from modhub.handles.lock_file import pinned
from modhub.settings import current
from modhub.settings.redact import shown

__all__ = ["find_directory", "find_path", "resolve"]


def resolve(handle: str | os.PathLike[str], *, verify: bool = False) -> str:
    """Return the path of the local directory that a handle names.

    A module behind a URL is fetched into the cache if it is not there yet, and so is an archive. What is in the cache
    is compared with its manifest, and fetched again where it is damaged.

    Args:
      handle: a path of a directory, or of an archive (.tar, .tar.gz, .tgz), also as "file://"; or a URL: "https://" of
        the hosting protocol, "gs://", "s3://", "kaggle://", "hf://" and others. "#sha256=" and a digest at its end pins
        it.
      verify: whether the digest of every file is compared, not only names, sizes and the times of the last writes.

    Returns:
      The absolute path of the directory. Do not change what is in it.

    Raises:
      HandleNotFoundError: it names nothing, or is of a kind that modhub does not know.
      DownloadError: it could not be fetched; OfflineError where it may not be.
      DigestMismatchError: it is not what it is pinned to.
      CorruptModuleError: what came is damaged, or an archive that is refused.
      CacheError: the cache cannot be written.
      InvalidArgumentError: it is neither a string nor a path, or a setting is wrong.
      MissingDependencyError: its scheme needs a package that is not installed.

    Example:
      >>> os.path.isabs(resolve("."))
      True
    """
    return str(find_directory(handle, verify=verify))


def find_directory(handle: str | os.PathLike[str], *, verify: bool = False) -> Path:
    """Return the local directory that a handle names.

    Args and errors are those of `resolve`.

    Example:
      >>> find_directory(".").is_absolute()
      True
    """
    return _found(handle, verify=verify, unpacks=True)


def find_path(handle: str | os.PathLike[str]) -> Path:
    """Return the local directory or archive that a handle names: as `resolve`, but local archives stay packed."""
    return _found(handle, verify=False, unpacks=False)


def _found(handle: str | os.PathLike[str], *, verify: bool, unpacks: bool) -> Path:
    parsed = parse_handle(handle)
    if parsed.path is not None:
        return _local(parsed, parsed.path, verify=verify, unpacks=unpacks)
    settings = current()
    locked = None if parsed.sha256 else pinned(parsed.text, settings)
    pin = parsed.sha256 or locked
    if pin is None and settings.require_lock:
        raise errors.HandleNotFoundError(
            f"{shown(parsed.text)!r} is not in the lock file {str(settings.lock_file or 'modhub.lock')!r}, which "
            f"MODHUB_REQUIRE_LOCK asks for. `modhub pull --lock` puts it there."
        )
    found = Cache(settings.cache_dir).find(parsed.text, pin, digests=verify)
    if found is not None and found.is_whole:
        return found.directory
    # Here, so that what is in the cache does not wait for the import.
    from modhub.handles.fetching import fetch

    return fetch(parsed.text, pin, settings, lock_file=settings.lock_file if locked else None, verify=verify)


def _local(handle: Handle, path: Path, *, verify: bool, unpacks: bool) -> Path:
    """Return a local directory, or what a local archive unpacks to."""
    is_directory, state = state_of(handle.text, path)
    if is_directory:
        if handle.sha256:
            check_digest(handle.text, path, handle.sha256)
        return path
    if not unpacks and not handle.sha256:
        return path
    settings = current()
    found = Cache(settings.cache_dir).find(path.as_uri(), handle.sha256, digests=verify, origin=state)
    if found is not None and found.is_whole:
        return found.directory
    from modhub.handles.fetching import unpack_archive

    return unpack_archive(path, state, handle.sha256, settings, verify=verify)
