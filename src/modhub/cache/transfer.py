"""Modules of a cache as one file, for machines without a network.

The file is a tar archive: `modhub-cache.json` says what is in it, and each entry lies below its key, with its manifest.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

from modhub import errors
from modhub.cache.listing import Entry, directory, entries, matching
from modhub.cache.manifest import Manifest, new_manifest, read_manifest, write_manifest
from modhub.cache.names import HIDDEN, key_of, keys_of
from modhub.cache.owner import new_owner
from modhub.cache.placing import remove_tree
from modhub.cache.store import Cache
from modhub.cache.tar_writer import AlteredError, tar_writer
from modhub.cache.transfer_index import INDEX, Listed, index_bytes, is_portable, read_index
from modhub.format.archive_limits import DEFAULT_LIMITS, Limits
from modhub.format.archive_names import normal_name
from modhub.format.digests import FileDigest
from modhub.format.layout import MANIFEST

__all__ = ["export", "import_archive"]

# Of a whole cache: many modules, and each one folder deeper than in an archive of its own.
_LIMITS = Limits(
    members=10 * DEFAULT_LIMITS.members,
    bytes=16 * DEFAULT_LIMITS.bytes,
    depth=DEFAULT_LIMITS.depth + 1,
    name_bytes=DEFAULT_LIMITS.name_bytes + 41,
    all_name_bytes=10 * DEFAULT_LIMITS.all_name_bytes,
)


def export(
    path: str | os.PathLike[str], handles: Iterable[str] | None = None, *, overwrite: bool = False
) -> list[Entry]:
    """Pack modules of the cache into one file, which `import_archive` takes on another machine.

    Every file is compared with its digest while it is written. The same entries make the same bytes.

    Args:
      path: of the file to be written, a tar archive; compressed where its name ends in ".gz" or ".tgz", which seldom
        saves much.
      handles: which, as for `info`; None for all but those that could not be asked for on another machine: local
        archives, and what tensorflow_hub wrote without a word on which handle it is of.
      overwrite: whether a file may be there, which is replaced.

    Returns:
      What was packed.

    Raises:
      HandleNotFoundError: a handle is not in the cache, or there is nothing to pack.
      InvalidArgumentError: a module could not be asked for on another machine.
      CorruptModuleError: a module is damaged.
      ExportExistsError: the file exists.
      ExportError: it cannot be written; nothing is left of it.
      CacheError: the cache cannot be read.
    """
    chosen = _chosen(handles)
    cache = Cache(directory())
    packed = [(entry, _whole(cache, entry)) for entry in chosen]
    listed = [Listed(key=entry.key, handle=entry.handle, sha256=manifest.sha256) for entry, manifest in packed]
    with tar_writer(Path(path), overwrite=overwrite) as tar:
        tar.add_bytes(INDEX, index_bytes(listed))
        for entry, manifest in packed:
            tar.add_bytes(f"{entry.key}/{MANIFEST}", _manifest_bytes(manifest))
            for name in sorted(manifest.files):
                try:
                    tar.add_file(f"{entry.key}/{name}", entry.directory / name, manifest.files[name])
                except AlteredError as error:
                    _refuse(entry, f"{name!r} {error}")
    return chosen


def import_archive(path: str | os.PathLike[str], *, trust: bool = False) -> list[Entry]:
    """Take the modules of a file that `export` wrote into the cache.

    The file is unpacked beside the entries and checked to its end, every byte of it; only then the first module is
    put in its place. A module that is in the cache already, and whole, stays as it is.

    The digests tell that nothing was damaged on the way. They do not tell who packed it, and which modules for which
    handles: import what comes from someone you would take modules from, or pin handles to the digest of their files.
    The digest of the archive that a module once came in cannot be compared with anything. It is believed only with
    `trust`; without, handles that are pinned to it do not find the module.

    Args:
      path: of the file.
      trust: whether to believe what the file says of archives.

    Returns:
      The entries of its modules, also of those that were there before.

    Raises:
      HandleNotFoundError: there is no such file.
      NotAModuleError: it is no archive, or none that `export` wrote.
      UnsupportedFormatError: it was written by a later version.
      CorruptModuleError: it is damaged, or contradicts itself; nothing of it was taken.
      CacheError: the cache cannot be written.
    """
    # Here: what only lists the cache does not wait for the import.
    from modhub.format.unpack import unpack

    source = Path(path)
    cache = Cache(directory())
    with _opened(source) as (file, size):
        with cache.writing():
            cache.directory.mkdir(parents=True, exist_ok=True)
        temporary = cache.new_directory(source.absolute().as_uri(), new_owner())
        try:
            found = unpack(file, str(source), temporary, _LIMITS, packed_size=size)
            keys = _installed(cache, temporary, _checked(temporary, found.files, source, trust=trust))
        finally:
            remove_tree(temporary)
    by_key = {entry.key: entry for entry in entries()}
    return [by_key[key] for key in keys if key in by_key]


def _chosen(handles: Iterable[str] | None) -> list[Entry]:
    """Return the entries that are to be packed, each once, in the order of `entries`."""
    if handles is None:
        chosen = [entry for entry in entries() if not _why_not(entry)]
        if not chosen:
            raise errors.HandleNotFoundError(f"The cache {str(directory())!r} has no module that could be packed.")
        return chosen
    chosen = [entry for handle in handles for entry in matching(handle)]
    for entry in chosen:
        if problem := _why_not(entry):
            raise errors.InvalidArgumentError(f"{entry.handle or entry.key!r} cannot be packed: {problem}")
    return sorted({entry.key: entry for entry in chosen}.values(), key=lambda entry: (entry.handle, entry.key))


def _why_not(entry: Entry) -> str:
    """Say why an entry would be of no use on another machine; "" for all others."""
    if not entry.handle:
        return "nothing says which handle it is of. Resolve the handle once, then it is known."
    if not is_portable(entry.handle):
        return "it is what an archive on this machine holds. Copy the archive."
    if HIDDEN not in entry.handle and entry.key not in keys_of(entry.handle, entry.sha256, entry.archive_sha256):
        return "its handle had a user name in it, which is not kept."
    return ""


def _whole(cache: Cache, entry: Entry) -> Manifest:
    """Return the manifest of an entry that is whole at first sight, with names that an archive can have."""
    found = cache.check(entry.key, entry.handle)
    if found is None:
        raise errors.HandleNotFoundError(f"{entry.handle!r} was removed from the cache meanwhile.")
    if found.manifest is None or found.damage:
        _refuse(entry, found.damage[0])
    for name in found.manifest.files:
        try:
            normal_name(name, DEFAULT_LIMITS)
        except ValueError as error:
            _refuse(entry, f"it has {error}")
    return found.manifest


def _refuse(entry: Entry, problem: str) -> NoReturn:
    raise errors.CorruptModuleError(
        f"{entry.handle!r} is damaged in the cache: {problem}. Nothing was packed. `modhub cache verify --repair` "
        "fetches it again."
    )


def _manifest_bytes(manifest: Manifest) -> bytes:
    """Return the file of a manifest, which an entry in a cache that cannot be written need not have."""
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder), manifest, f"{MANIFEST}.new")
        return Path(folder, MANIFEST).read_bytes()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    try:
        # Not blocking: nobody may ever write to a pipe.
        file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    except FileNotFoundError as error:
        raise errors.HandleNotFoundError(f"{str(path)!r} does not exist.") from error
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise errors.NotAModuleError(f"{str(path)!r} cannot be read: {problem}.") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise errors.NotAModuleError(f"{str(path)!r} is no file; name one that `modhub cache export` wrote.")
        yield file, status.st_size


def _checked(
    unpacked: Path, files: Mapping[str, FileDigest], source: Path, *, trust: bool
) -> list[tuple[Listed, Manifest]]:
    """Compare all that was unpacked with the index and the manifests, and make the manifests for this machine."""
    where = repr(str(source))
    index = read_index(unpacked / INDEX, where)
    by_key: dict[str, dict[str, FileDigest]] = {listed.key: {} for listed in index}
    for name, digest in files.items():
        key, _, inner = name.partition("/")
        if inner and key in by_key:
            by_key[key][inner] = digest
        elif name != INDEX:
            raise errors.CorruptModuleError(f"{where} holds {name!r}, of which its index says nothing.")
    checked = []
    for listed in index:
        found = by_key[listed.key]
        manifest = read_manifest(unpacked / listed.key)
        if manifest is None:
            raise errors.CorruptModuleError(f"{where} has no manifest of {listed.handle!r}.")
        found.pop(MANIFEST, None)
        if problem := _difference(listed, manifest, found):
            raise errors.CorruptModuleError(f"{where} is damaged, and nothing of it was taken: {problem}.")
        here = new_manifest(
            unpacked / listed.key,
            found,
            handle=manifest.handle,
            key=manifest.key,
            source=manifest.source,
            archive=manifest.archive if trust else None,
            by=manifest.by,
            downloaded=manifest.downloaded,
        )
        checked.append((listed, here))
    return checked


def _difference(listed: Listed, manifest: Manifest, found: Mapping[str, FileDigest]) -> str:
    """Say how a module differs from what the index or its manifest says; "" where it does not."""
    where = f"in {listed.handle!r} "
    if (listed.handle, listed.sha256) != (manifest.handle, manifest.sha256):
        return f"{where}the index and the manifest differ"
    is_known = HIDDEN in listed.handle or manifest.key == key_of(listed.handle)
    if not is_known or not manifest.may_be_named(listed.key):
        return f"{listed.key!r} is not the key of {listed.handle!r}"
    for name in sorted({*manifest.files, *found}):
        if name not in found:
            return f"{where}{name!r} is missing"
        if name not in manifest.files:
            return f"{where}{name!r} does not belong to it"
        record = manifest.files[name]
        if (found[name].size, found[name].sha256) != (record.size, record.sha256):
            return f"{where}{name!r} was altered"
    return ""


def _installed(cache: Cache, unpacked: Path, checked: list[tuple[Listed, Manifest]]) -> list[str]:
    """Put modules in their places; return their keys there."""
    keys = {}
    # What is asked for without a digest first: of two versions, the other one would take its place.
    for listed, manifest in sorted(checked, key=lambda each: each[0].key != each[1].key):
        pin = None if listed.key == manifest.key else manifest.sha256
        keys[listed.key] = cache.install(unpacked / listed.key, manifest, pin).key
    return [keys[listed.key] for listed, _ in checked]
