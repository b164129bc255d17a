"""What is not in the cache: fetched, checked, and put there."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from modhub import errors
from modhub.cache.checking import is_settled, listed_files
from modhub.cache.foreign import check_whole
from modhub.cache.leftovers import claimed_partial, sweep
from modhub.cache.manifest import new_manifest
from modhub.cache.owner import new_owner
from modhub.cache.store import Cache, remove_tree
from modhub.format.archive_limits import DEFAULT_LIMITS
from modhub.format.digests import digest_file
from modhub.format.layout import MANIFEST
from modhub.format.unpack import unpack
from modhub.handles.handle import parse_handle
from modhub.handles.local import check_digest, state_from, state_of
from modhub.handles.mirrors import candidates
from modhub.handles.refusals import all_failed, digest_mismatch, not_kept, offline, tell_of_waiting
from modhub.settings import Settings
from modhub.settings.redact import masked, shown
from modhub.transports import Fetched, Job, Transport, known_schemes, transport_for
from modhub.transports.progress import progress_for

__all__ = ["fetch", "unpack_archive"]

_LOG = logging.getLogger("modhub")
# What one source of several may fail with, so that the next is tried.
_FAILURES = (
    errors.DownloadError,
    errors.HandleNotFoundError,
    errors.ModuleFormatError,
    errors.MissingDependencyError,
)


def fetch(
    handle: str, sha256: str | None, settings: Settings, *, lock_file: Path | None = None, verify: bool = False
) -> Path:
    """Bring the module of a URL into the cache.

    Its mirrors are tried in order, or the URL itself where it has none. What is in the cache stays there until there
    is something better.

    Args:
      handle: the URL, without a pin.
      sha256: the digest that the archive or all files must have; None for any.
      settings: where from, where to, and how.
      lock_file: what pins it, if that is a lock file.
      verify: whether an entry that another process has made meanwhile is read to its end.

    Returns:
      The entry's directory. Errors are those of `resolve`.
    """
    sources = [(target, _source(handle, target)) for target in candidates(handle, settings.mirrors)]
    cache = Cache(settings.cache_dir)
    if settings.offline and not any(isinstance(source, Path) for _, source in sources):
        raise offline(handle, sha256, cache, verify=verify)
    first = sources[0][1]
    if isinstance(first, Path) and first.is_dir():
        with suppress(errors.DigestMismatchError):  # of which is told below, if no other has it
            return _checked(first, sources[0][0], sha256)
    owner = new_owner()
    with cache.lock(handle, owner, tell_of_waiting(handle)):
        found = cache.find(handle, sha256, digests=verify)
        if found is not None and found.is_whole:
            return found.directory
        failures: list[tuple[str, errors.ModhubError]] = []
        for target, source in sources:
            try:
                if not isinstance(source, Path):
                    if settings.offline:
                        raise errors.OfflineError("Nothing is fetched offline (MODHUB_OFFLINE).", shown(target))
                    return _fetched(handle, target, source, sha256, settings, owner, lock_file)
                return _from_path(handle, target, source, sha256, cache, owner)
            except _FAILURES as error:
                _LOG.info("%s: %s", shown(target), error)
                failures.append((target, error))
        raise all_failed(handle, failures, found)


def unpack_archive(path: Path, origin: str, sha256: str | None, settings: Settings, *, verify: bool = False) -> Path:
    """Unpack a local archive into the cache.

    Args:
      path: of the archive.
      origin: what the system knows of it, see `state_of`.
      sha256: as for `fetch`.
      settings: where the cache is.
      verify: as for `fetch`.

    Returns:
      The entry's directory. Errors are those of `resolve`.
    """
    handle = path.as_uri()
    cache = Cache(settings.cache_dir)
    owner = new_owner()
    with cache.lock(handle, owner, tell_of_waiting(handle)):
        found = cache.find(handle, sha256, digests=verify, origin=origin)
        if found is not None and found.is_whole:
            return found.directory
        try:
            present = _of_same_archive(cache, handle, path, sha256, verify)
        except FileNotFoundError as error:
            raise errors.HandleNotFoundError(f"{str(path)!r} was removed meanwhile.") from error
        return present or _unpacked(handle, path, sha256, cache, owner, is_local=True)


def _source(handle: str, target: str) -> Path | Transport:
    """Return the path that a mirror or a handle names, or what fetches it."""
    parsed = parse_handle(target)
    if parsed.sha256 is not None:
        raise errors.InvalidArgumentError(
            f"The mirror {shown(target)!r} of {shown(handle)!r} is pinned: pin the handle instead."
        )
    if parsed.path is not None:
        return parsed.path
    transport = transport_for(target)
    if transport is None:
        scheme = target.partition("://")[0]
        via = "" if target == handle else f" (a mirror of {shown(handle)!r})"
        raise errors.HandleNotFoundError(
            f"modhub does not know how to fetch {shown(target)!r}{via}. "
            + errors.accepted(scheme, [*known_schemes(), "file"], "schemes")
        )
    return transport


def _fetched(
    handle: str,
    target: str,
    transport: Transport,
    sha256: str | None,
    settings: Settings,
    owner: str,
    lock_file: Path | None,
) -> Path:
    cache = Cache(settings.cache_dir)
    progress = progress_for(settings)
    temporary = cache.new_directory(handle, owner)
    try:
        with claimed_partial(cache.directory, handle, owner) as partial:
            # Now, and not when all went well: what one killed over and over leaves must not fill the disk.
            sweep(cache.directory, handle, keep=owner)
            job = Job(
                handle=handle,
                directory=temporary,
                partial=partial,
                settings=settings,
                progress=progress,
                limits=DEFAULT_LIMITS,
            )
            fetched = _transported(transport, target, job)
            progress.done()
        if not fetched.files:
            raise errors.NotAModuleError(f"{fetched.url!r} holds no files.")
        if fetched.archive is None:
            # Put together file by file, also by other programs: there is no checksum of the whole.
            try:
                check_whole(temporary)
            except errors.ModuleFormatError as error:
                raise errors.CorruptModuleError(
                    f"What came from {fetched.url!r} is not whole: {error.message}"
                ) from error
        with cache.writing():
            manifest = new_manifest(
                temporary, fetched.files, handle=handle, source=fetched.url, archive=fetched.archive
            )
        if sha256 is not None and not manifest.has_digest(sha256):
            raise digest_mismatch(handle, sha256, manifest.sha256, fetched, lock_file)
        found = cache.install(temporary, manifest, sha256)
    except errors.CacheError as error:
        raise not_kept(handle, cache, error) from error
    finally:
        progress.stopped()  # if it was not done
        remove_tree(temporary)
    return found.directory


def _transported(transport: Transport, target: str, job: Job) -> Fetched:
    """Run a transport. One of a plug-in may raise anything, and what it says of the files is not taken for granted."""
    try:
        fetched = transport(target, job)
    except errors.ModhubError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise errors.DownloadError(
            f"{shown(job.handle)!r} could not be fetched: {masked(what)}.", shown(target)
        ) from error
    if (transport.__module__ or "").startswith("modhub."):
        return fetched
    statuses = dict(listed_files(job.directory))
    other = [name for name, status in statuses.items() if not stat.S_ISREG(status.st_mode) or name == MANIFEST]
    if other:
        raise errors.CorruptModuleError(
            f"What came from {shown(target)!r} has {other[0]!r}, which is no file of a module."
        )
    files = {name: digest_file(job.directory / name) for name in statuses}
    return Fetched(url=shown(target), archive=None, files=files)


def _from_path(handle: str, target: str, path: Path, sha256: str | None, cache: Cache, owner: str) -> Path:
    """Take what a mirror has on this machine: a directory as it is, an archive through the cache."""
    is_directory, _ = state_of(target, path)
    if not is_directory:
        return _unpacked(handle, path, sha256, cache, owner, is_local=False)
    return _checked(path, target, sha256)


def _checked(path: Path, target: str, sha256: str | None) -> Path:
    """Return a directory, if it has the digest that is asked for."""
    if sha256 is not None:
        check_digest(target, path, sha256)
    return path


def _of_same_archive(cache: Cache, handle: str, path: Path, sha256: str | None, verify: bool) -> Path | None:
    """Return the entry of a local archive that had just been written when it was unpacked, if it is still the same."""
    found = cache.find(handle, sha256, digests=verify)
    if found is None or not found.is_whole or found.manifest is None:
        return None
    target = path.resolve()
    status = target.stat()
    if digest_file(target) != found.manifest.archive:
        return None
    if is_settled(status) and state_from(target.stat()) == state_from(status):
        cache.note(found, archive=found.manifest.archive, origin=state_from(status))
    return found.directory


def _unpacked(handle: str, path: Path, sha256: str | None, cache: Cache, owner: str, *, is_local: bool) -> Path:
    """Unpack an archive of this machine: one that was asked for by its path, or a mirror's."""
    temporary = cache.new_directory(handle, owner)
    sweep(cache.directory, handle, keep=owner)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            unpacked = unpack(file, str(path), temporary, DEFAULT_LIMITS, packed_size=status.st_size)
            state = state_from(status)
            if state_from(os.fstat(file.fileno())) != state:
                raise errors.CorruptModuleError(f"{str(path)!r} was written to while it was unpacked. Try again.")
        manifest = new_manifest(
            temporary,
            unpacked.files,
            handle=handle,
            source=path.as_uri(),
            archive=unpacked.archive,
            # Written again within the same tick of the clock, the file would look the same.
            origin=state if is_local and is_settled(status) else "",
        )
        if sha256 is not None and not manifest.has_digest(sha256):
            raise errors.DigestMismatchError(
                f"{str(path)!r} is pinned to the SHA-256 {sha256}; it has {unpacked.archive.sha256}, and its files "
                f"have {manifest.sha256}."
            )
        found = cache.install(temporary, manifest, sha256, is_local=is_local)
    except OSError as error:
        if isinstance(error, errors.ModhubError):
            raise
        raise errors.CorruptModuleError(f"{str(path)!r} cannot be unpacked: {error}.") from error
    finally:
        remove_tree(temporary)
    return found.directory
