"""What is in the cache: listed, verified, removed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modhub import errors
from modhub.cache.checking import listed_files, size_of
from modhub.cache.descriptor import DOWNLOADED, MODULE, read_descriptor
from modhub.cache.leftovers import find_leftovers
from modhub.cache.manifest import read_manifest
from modhub.cache.names import PIN, key_of, keys_of
from modhub.cache.placing import remove_tree
from modhub.cache.store import Cache
from modhub.format.layout import MANIFEST
from modhub.settings import current
from modhub.settings.redact import shown

__all__ = ["Collected", "Entry", "Verified", "directory", "entries", "gc", "info", "matching", "remove", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A module in the cache.

    Attributes:
      handle: what it was asked for as, with "***" in the place of secrets; "" where nothing says so.
      key: the name of its directory, the SHA-1 of the handle.
      directory: where it is.
      size: of all files, in bytes.
      files: how many there are.
      sha256: the digest of all files, to pin the handle to; None for one that tensorflow_hub wrote and nobody has used
        through modhub.
      archive_sha256: the digest of the archive that it came in; None where that is not known.
      source: the URL that it came from in the end; "" where that is not known.
      downloaded: when, as text.
      by: which program wrote it, with its version.
      last_used: seconds since the epoch, exact to an hour.
    """

    handle: str
    key: str
    directory: Path
    size: int
    files: int
    sha256: str | None
    archive_sha256: str | None
    source: str
    downloaded: str
    by: str
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What verifying an entry has shown.

    Attributes:
      handle: see `Entry`.
      key: see `Entry`.
      directory: see `Entry`.
      damage: what is wrong with it, a phrase each; nothing where it is whole.
    """

    handle: str
    key: str
    directory: Path
    damage: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What `gc` has removed, or would remove.

    Attributes:
      entries: modules.
      leftovers: paths of what interrupted downloads have left.
      freed: bytes.
    """

    entries: tuple[Entry, ...]
    leftovers: tuple[Path, ...]
    freed: int


def directory() -> Path:
    """Return the cache directory, which need not exist yet.

    It is TFHUB_CACHE_DIR, or what `modhub.configure` or the configuration file say, or the platform's directory for
    caches.

    Example:
      >>> directory().is_absolute()
      True
    """
    return current().cache_dir


def entries() -> list[Entry]:
    """Return all modules in the cache, those of tensorflow_hub too, by handle. Nothing is verified.

    Raises:
      CacheError: the directory cannot be read.
    """
    cache = Cache(directory())
    keys = cache.keys()
    found = [entry for key in keys if (entry := _entry(cache, key)) is not None]
    return sorted(found, key=lambda entry: (entry.handle, entry.key))


def info(handle: str) -> Entry:
    """Return what is known of a module in the cache.

    Args:
      handle: as it was asked for, or as `entries` shows it, the path of an archive, or the name of an entry's
        directory.

    Raises:
      HandleNotFoundError: it is not in the cache; the message lists what is.
    """
    return matching(handle)[0]


def matching(handle: str) -> list[Entry]:
    """Return all entries of a handle: versions of it with different digests may have been pinned.

    Args:
      handle: as for `info`; with a pin, only what has that digest.

    Raises:
      HandleNotFoundError: there is none; the message lists what is there.
    """
    text, _, digest = handle.partition(PIN)
    names = {text, *_uris(text)} - {""}
    found = entries()
    chosen = [
        entry
        for entry in found
        if handle == entry.key
        or (_is_of(entry, text, names) and (not digest or digest.lower() in (entry.sha256, entry.archive_sha256)))
    ]
    if not chosen:
        raise errors.HandleNotFoundError(
            f"{shown(handle)!r} is not in the cache {str(directory())!r}. "
            + errors.accepted(shown(handle), [entry.handle or entry.key for entry in found], "modules there")
        )
    return chosen


def verify(handles: Iterable[str] | None = None) -> list[Verified]:
    """Compare modules in the cache with their manifests, every byte.

    One that tensorflow_hub wrote has none; it is checked as far as the format allows (the checksums of variables, the
    assets that the graph names), and gets a manifest.

    Args:
      handles: which, as for `info`; None for all.

    Returns:
      The result for each entry. `modhub.resolve(handle, verify=True)` fetches one again that is damaged.

    Raises:
      HandleNotFoundError: a handle is not in the cache.
      CacheError: the directory cannot be read.
    """
    cache = Cache(directory())
    chosen = entries() if handles is None else [entry for handle in handles for entry in matching(handle)]
    found = []
    for entry in chosen:
        checked = cache.check(entry.key, entry.handle, digests=True)
        if checked is not None:
            found.append(Verified(handle=entry.handle, key=entry.key, directory=entry.directory, damage=checked.damage))
    return found


def remove(handle: str) -> list[Entry]:
    """Remove a module from the cache.

    Args:
      handle: as for `info`.

    Returns:
      What was removed: more than one entry where versions with different digests were pinned.

    Raises:
      HandleNotFoundError: it is not in the cache.
      CacheError: it cannot be removed.
    """
    cache = Cache(directory())
    found = matching(handle)
    for entry in found:
        cache.remove(entry.key)
    return found


def gc(*, max_size: int | None = None, older_than: float | None = None, dry_run: bool = False) -> Collected:
    """Remove what interrupted downloads have left, and modules that were not used for long.

    What a running download is at work on stays. A module that a process has open, and reads from later, goes too.

    Args:
      max_size: remove the modules that were used longest ago until the others take no more than so many bytes; None
        for any size.
      older_than: remove the modules that were not used for so many seconds; None for none.
      dry_run: remove nothing, and only tell.

    Raises:
      CacheError: the directory cannot be read or written.
      InvalidArgumentError: an argument is no number, or negative.

    Example:
      >>> gc(dry_run=True).freed >= 0
      True
    """
    for name, value, unit in (("max_size", max_size, "bytes"), ("older_than", older_than, "seconds")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
            raise errors.InvalidArgumentError(f"{name}={value!r} is no number of {unit}.")
    cache = Cache(directory())
    kept = sorted(entries(), key=lambda entry: entry.last_used)
    doomed = [entry for entry in kept if older_than is not None and time.time() - entry.last_used > older_than]
    if max_size is not None:
        left = [entry for entry in kept if entry not in doomed]
        while left and sum(entry.size for entry in left) > max_size:
            doomed.append(left.pop(0))
    leftovers = find_leftovers(cache.directory)
    freed = sum(entry.size for entry in doomed) + sum(size_of(path) for path in leftovers)
    if not dry_run:
        for path in leftovers:
            remove_tree(path)
        for entry in doomed:
            cache.remove(entry.key)
    return Collected(entries=tuple(doomed), leftovers=tuple(leftovers), freed=freed)


def _uris(text: str) -> set[str]:
    """Return what a local archive may be called in the cache."""
    return set() if "://" in text or not text else {Path(text).absolute().as_uri(), Path(text).resolve().as_uri()}


def _is_of(entry: Entry, text: str, names: set[str]) -> bool:
    return entry.handle in names or entry.key in keys_of(text, entry.sha256, entry.archive_sha256)


def _entry(cache: Cache, key: str) -> Entry | None:
    """Describe an entry; None where it is empty, or has gone."""
    path = cache.directory / key
    try:
        manifest = read_manifest(path)
    except errors.CorruptModuleError:
        manifest = None
    try:
        files = {name: status for name, status in listed_files(path) if name != MANIFEST}
        marker = path / MANIFEST
        last_used = (marker if marker.exists() else path).stat().st_mtime
    except OSError:
        return None
    if not files and manifest is None:
        return None
    described = {} if manifest and manifest.handle else read_descriptor(cache.directory, key)
    module = described.get(MODULE, "")
    return Entry(
        # What tensorflow_hub has written may hold secrets, and need not be true.
        handle=(manifest.handle if manifest else "") or (shown(module) if key_of(module) == key else ""),
        key=key,
        directory=path,
        size=sum(status.st_size for status in files.values()),
        files=len(files),
        sha256=manifest.sha256 if manifest else None,
        archive_sha256=manifest.archive.sha256 if manifest and manifest.archive else None,
        source=manifest.source if manifest else "",
        downloaded=manifest.downloaded if manifest else described.get(DOWNLOADED, ""),
        by=manifest.by if manifest else "tensorflow_hub",
        last_used=last_used,
    )
