"""The manifest of an entry: which files it has, and the digest of each. It is written last."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modhub._version import __version__
from modhub.cache.names import is_key, key_of, keys_of
from modhub.cache.regular import open_regular
from modhub.errors import CorruptModuleError
from modhub.format.digests import FileDigest, tree_digest
from modhub.format.layout import MANIFEST
from modhub.settings.redact import shown

__all__ = ["FileRecord", "Manifest", "new_manifest", "read_manifest", "write_manifest"]

_VERSION = 1
_MOST_BYTES = 2**26
_BY = f"modhub {__version__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What a manifest knows of a file.

    Attributes:
      size: in bytes.
      sha256: in hexadecimal digits.
      mtime_ns: when it was last written; another time means that it may have been altered since.
    """

    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a cache knows of an entry.

    Attributes:
      handle: what the entry was asked for as, without secrets; "" where tensorflow_hub made it and does not say.
      key: the name that the entry has after its handle, see `key_of`.
      source: the URL that it came from, without credentials.
      downloaded: when, in UTC.
      by: what made it: "modhub" with its version, or "tensorflow_hub".
      archive: the size and the digest of the archive; None where it was none.
      origin: of a local archive, what the system knew of the file; "" for anything else.
      sha256: the digest of all files, see `modhub.format.digests.tree_digest`.
      files: by name, relative to the entry, with slashes.
    """

    handle: str
    key: str
    source: str
    downloaded: str
    by: str
    archive: FileDigest | None
    origin: str
    sha256: str
    files: Mapping[str, FileRecord]

    def has_digest(self, sha256: str) -> bool:
        """Tell whether a digest is the one of the files, or of the archive."""
        return sha256 == self.sha256 or (self.archive is not None and sha256 == self.archive.sha256)

    def may_be_named(self, key: str) -> bool:
        """Tell whether its entry may have a name: the one after the handle, or after that and a digest."""
        archive = self.archive.sha256 if self.archive else None
        return key in keys_of(self.handle, self.sha256, archive, key=self.key)

    def size(self) -> int:
        """Return the size of all files, in bytes."""
        return sum(record.size for record in self.files.values())


def new_manifest(
    directory: Path,
    files: Mapping[str, FileDigest],
    *,
    handle: str,
    key: str | None = None,
    source: str = "",
    archive: FileDigest | None = None,
    origin: str = "",
    by: str = _BY,
    downloaded: str | None = None,
) -> Manifest:
    """Make the manifest of a directory that is whole.

    Args:
      directory: where the files are.
      files: their digests.
      handle: as it was written. Neither it nor the source is kept with the secrets that may be in it.
      key: see `Manifest`, and so are the others; that of the handle by default.
      source: see `Manifest`.
      archive: see `Manifest`.
      origin: see `Manifest`.
      by: see `Manifest`; this modhub by default.
      downloaded: see `Manifest`; now by default.
    """
    records = {
        name: FileRecord(
            size=files[name].size,
            sha256=files[name].sha256,
            mtime_ns=os.stat(directory / name, follow_symlinks=False).st_mtime_ns,
        )
        for name in sorted(files)
    }
    return Manifest(
        handle=shown(handle),
        key=key_of(handle) if key is None else key,
        source=shown(source),
        downloaded=downloaded or datetime.now(UTC).isoformat(timespec="seconds"),
        by=by,
        archive=archive,
        origin=origin,
        sha256=tree_digest({name: record.sha256 for name, record in records.items()}),
        files=records,
    )


def write_manifest(directory: Path, manifest: Manifest, temporary: str | Path) -> None:
    """Write the manifest of a directory, and wait for the disk: the file is there whole, or as it was.

    Args:
      directory: the entry.
      manifest: what is written.
      temporary: a name in the directory that nobody else uses, or, where others may be reading the directory, a path
        outside of it, on the same file system.

    Raises:
      OSError: it could not be written.
    """
    value = {
        "version": _VERSION,
        "handle": manifest.handle,
        "key": manifest.key,
        "source": manifest.source,
        "downloaded": manifest.downloaded,
        "by": manifest.by,
        "archive": manifest.archive and {"size": manifest.archive.size, "sha256": manifest.archive.sha256},
        "origin": manifest.origin,
        "sha256": manifest.sha256,
        "files": {
            name: {"size": record.size, "sha256": record.sha256, "mtime_ns": record.mtime_ns}
            for name, record in manifest.files.items()
        },
    }
    path = directory / temporary
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        # In ASCII: names of files may be no valid Unicode.
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="ascii") as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path, directory / MANIFEST)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read_manifest(directory: Path) -> Manifest | None:
    """Read the manifest of an entry.

    Args:
      directory: the entry.

    Returns:
      It; None where there is none.

    Raises:
      CorruptModuleError: it is damaged, or of a version that this modhub does not know.
    """
    path = directory / MANIFEST
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MOST_BYTES:
                raise ValueError("it is longer than any manifest")
            value = json.loads(file.read(_MOST_BYTES).decode("utf-8", "surrogateescape"))
        return _parsed(value)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptModuleError(f"The manifest {str(path)!r} is damaged: {error}.") from error


def _parsed(value: Any) -> Manifest:
    if _count(value["version"]) != _VERSION:
        raise ValueError(f"its version is {value['version']!r}, and this modhub knows {_VERSION}")
    files = {
        _text(name): FileRecord(
            size=_count(each["size"]), sha256=_text(each["sha256"]), mtime_ns=_count(each["mtime_ns"])
        )
        for name, each in value["files"].items()
    }
    archive = value["archive"]
    found = Manifest(
        handle=_text(value["handle"]),
        key=_text(value["key"]),
        source=_text(value["source"]),
        downloaded=_text(value["downloaded"]),
        by=_text(value["by"]),
        archive=None if archive is None else FileDigest(size=_count(archive["size"]), sha256=_text(archive["sha256"])),
        origin=_text(value["origin"]),
        sha256=_text(value["sha256"]),
        files=files,
    )
    if not is_key(found.key):  # it is used as a name
        raise ValueError(f"{found.key!r} is no key")
    # So an altered manifest is told from altered files.
    if tree_digest({name: record.sha256 for name, record in files.items()}) != found.sha256:
        raise ValueError("its digest is not that of the files that it lists")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no count")
    return value
