"""What is said of a module that cannot be had: what failed, what the cache has instead, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from modhub import errors
from modhub.cache.listing import entries
from modhub.cache.store import Cache, Found
from modhub.settings.redact import shown
from modhub.transports import Fetched

__all__ = ["all_failed", "digest_mismatch", "not_kept", "offline", "tell_of_waiting"]

_LOG = logging.getLogger("modhub")
_MOST_NEIGHBOURS = 5


def tell_of_waiting(handle: str) -> Callable[[str], None]:
    """Return what says that another process is fetching a module, given what its lock holds."""

    def tell(holder: str) -> None:
        host, _, pid = holder.rpartition(".")[0].rpartition(".")
        who = f"process {pid} on {host!r}" if host else "another process"
        _LOG.warning("modhub: waiting for %s, which is fetching %s", who, shown(handle))

    return tell


def digest_mismatch(
    handle: str, sha256: str, files: str, fetched: Fetched, lock_file: Path | None
) -> errors.DigestMismatchError:
    """Return the error for a module that is not what it is pinned to.

    Args:
      handle: the URL.
      sha256: its pin.
      files: the digest of the files that came.
      fetched: what came.
      lock_file: what pins it; None for the handle itself.
    """
    archive = f"the archive has {fetched.archive.sha256}, and " if fetched.archive else ""
    by = f" by {str(lock_file)!r}" if lock_file else ""
    anew = f": `modhub pull --lock '{shown(handle)}#sha256={files}'`" if lock_file else ""
    return errors.DigestMismatchError(
        f"{shown(handle)!r} is pinned{by} to the SHA-256 {sha256}, and what came from {fetched.url!r} is something "
        f"else: {archive}its files have {files}. It was not kept. If the publisher replaced the module on purpose, pin "
        f"it anew{anew}."
    )


def not_kept(handle: str, cache: Cache, error: errors.CacheError) -> errors.CacheError:
    """Return the error for a module that the cache has no room for, in place of one about a temporary file."""
    cause = error.__cause__
    reason = cause.strerror if isinstance(cause, OSError) else None
    if reason is None:
        return error
    return errors.CacheError(
        f"{shown(handle)!r} cannot be kept in the cache {str(cache.directory)!r}: {reason}. Nothing was left there. "
        "Make room or give permission, or name another directory by TFHUB_CACHE_DIR."
    )


def offline(handle: str, sha256: str | None, cache: Cache, *, verify: bool) -> errors.OfflineError:
    """Return the error for a module that would have to be fetched."""
    found = cache.find(handle, sha256, digests=verify)
    other = cache.find(handle) if found is None and sha256 is not None else None
    where = f"the cache {str(cache.directory)!r}"
    if found is not None:
        what = f"what {where} has of it cannot be used"
    elif other is not None and other.manifest is not None:
        what = (
            f"{where} has it with the SHA-256 {other.manifest.sha256} of its files, not with {sha256}, which it is "
            "pinned to (`modhub cache import` keeps the digests of archives only with --trust)"
        )
    else:
        what = f"it is not in {where}"
    return errors.OfflineError(
        f"{shown(handle)!r} is not fetched offline (MODHUB_OFFLINE), and {what}.{_damage(found)}{_neighbours(handle)} "
        "On a machine with a network `modhub pull` and `modhub cache export` pack it, and `modhub cache import` brings "
        "it here."
    )


def all_failed(
    handle: str, failures: Sequence[tuple[str, errors.ModhubError]], found: Found | None
) -> errors.ModhubError:
    """Return the error that tells of all sources; where there is only one, its own.

    Args:
      handle: the URL.
      failures: each source that was tried, and its error.
      found: what the cache has of it, which is damaged; None for nothing.
    """
    more = f"{_damage(found)}{_neighbours(handle)}"
    if len(failures) == 1:
        target, error = failures[0]
        before = "" if shown(handle) in error.message else f"{shown(handle)!r} has the mirror {shown(target)!r}: "
        error.args = (f"{before}{error.message}{more}", *error.args[1:])
        return error
    told = " ".join(f"({number}) {error.message}" for number, (_, error) in enumerate(failures, 1))
    status = next((getattr(error, "status", None) for _, error in reversed(failures)), None)
    return errors.DownloadError(
        f"None of the {len(failures)} mirrors of {shown(handle)!r} has it. {told}{more}", shown(failures[-1][0]), status
    )


def _damage(found: Found | None) -> str:
    if found is None or not found.damage:
        return ""
    more = f", and {len(found.damage) - 1} more" if len(found.damage) > 1 else ""
    return f" What is in the cache at {str(found.directory)!r} is damaged ({found.damage[0]}{more}) and was not used."


def _neighbours(handle: str) -> str:
    """Name what the cache has beside a handle: other versions of the same module."""
    above = shown(handle).rstrip("/").rpartition("/")[0] + "/"
    try:
        near = [entry.handle for entry in entries() if entry.handle.startswith(above) and entry.handle != shown(handle)]
    except errors.CacheError:
        return ""
    return f" The cache has {', '.join(repr(shown(each)) for each in near[:_MOST_NEIGHBOURS])}." if near else ""
