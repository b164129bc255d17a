"""Whether an entry is what its manifest says."""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from modhub.cache.manifest import FileRecord, Manifest, write_manifest
from modhub.cache.names import temporary_name
from modhub.cache.owner import new_owner
from modhub.errors import ModhubError
from modhub.format.digests import digest_file

__all__ = ["beside", "find_damage", "is_settled", "listed_files", "size_of"]

_MOST_DEPTH = 64
# The clocks of file systems tick slowly, some every two seconds, and may run apart from this machine's.
_SETTLED_NS = 10 * 10**9


def find_damage(directory: Path, manifest: Manifest, *, digests: bool) -> tuple[str, ...]:
    """Compare the files of an entry with its manifest.

    The names, kinds and sizes of all files are compared. The digest of a file is compared too where it was written to
    since (its time differs), or where `digests` asks for it. Names that begin with a dot are not looked at, but for
    those in the manifest: systems leave such files about.

    Args:
      directory: the entry.
      manifest: what it is compared with.
      digests: whether every file is read.

    Returns:
      What differs, a phrase each; nothing where the entry is whole.
    """
    try:
        found = dict(listed_files(directory))
    except OSError as error:
        return (f"it cannot be read: {error}",)
    damage: list[str] = []
    moved: dict[str, FileRecord] = {}
    for name, record in manifest.files.items():
        status = found.pop(name, None)
        if status is None:
            damage.append(f"{name!r} is missing")
        elif not stat.S_ISREG(status.st_mode):
            damage.append(f"{name!r} is not a file")
        elif status.st_size != record.size:
            damage.append(f"{name!r} has {status.st_size} bytes instead of {record.size}")
        elif digests or status.st_mtime_ns != record.mtime_ns:
            problem = _altered(directory / name, record)
            if problem:
                damage.append(f"{name!r} {problem}")
            elif status.st_mtime_ns != record.mtime_ns and is_settled(status):
                moved[name] = dataclasses.replace(record, mtime_ns=status.st_mtime_ns)
    damage += [f"{name!r} does not belong to it" for name in found if not any(_hidden(name))]
    if moved and not damage:
        # The files were copied or touched, and are what they were: the next hit need not read them again.
        with suppress(OSError):
            known = dataclasses.replace(manifest, files={**manifest.files, **moved})
            write_manifest(directory, known, beside(directory))
    return tuple(damage)


def listed_files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name, with slashes, and the status of all below a directory that is no directory, links included.

    Raises:
      OSError: something cannot be read, or lies deeper than any module's files.
    """
    pending = [""]
    while pending:
        above = pending.pop()
        if above.count("/") > _MOST_DEPTH:
            raise OSError(f"{above!r} lies too deep")
        with os.scandir(directory / above) as entries:
            for entry in entries:
                name = f"{above}/{entry.name}" if above else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                    continue
                with suppress(FileNotFoundError):  # a file that a system left about, and that went meanwhile
                    yield name, entry.stat(follow_symlinks=False)


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files below a directory; 0 where it cannot be read."""
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(status.st_size for _, status in listed_files(path))
        return path.lstat().st_size
    except OSError:
        return 0


def beside(directory: Path) -> Path:
    """Return the path of a file that nobody else uses, for a manifest that is to be put into an entry."""
    return directory.with_name(temporary_name(directory.name, new_owner(), "manifest"))


def is_settled(status: os.stat_result) -> bool:
    """Tell whether a file was last written long enough ago that another write would show in its time."""
    return time.time_ns() - status.st_mtime_ns > _SETTLED_NS


def _hidden(name: str) -> Iterator[bool]:
    return (part.startswith(".") for part in name.split("/"))


def _altered(path: Path, record: FileRecord) -> str:
    """Say how the content of a file differs; "" where it does not."""
    try:
        sha256 = digest_file(path).sha256
    except (OSError, ModhubError) as error:
        return f"cannot be read: {error}"
    return "" if sha256 == record.sha256 else f"was altered: its SHA-256 is {sha256} instead of {record.sha256}"
