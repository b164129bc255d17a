"""Unpacks an archive into a directory while it arrives: checked to its last byte, digested, and on the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modhub.errors import CacheError, NotAModuleError
from modhub.format.archive import stream_members
from modhub.format.archive_files import MARKERS
from modhub.format.archive_limits import DEFAULT_LIMITS, Limits
from modhub.format.archive_stream import CHUNK, ByteSource, findings, read_archive
from modhub.format.digests import FileDigest
from modhub.format.layout import MANIFEST
from modhub.format.unpack_files import FileWriter
from modhub.format.unpack_workers import Workers

__all__ = ["Unpacked", "unpack"]

# Of blocks of at most `CHUNK` bytes: enough that a thread seldom waits for another, and little memory.
_MOST_BLOCKS = 8
# Small files are synced together, as a journal takes many at once. Each that waits is open.
_SYNC_THREADS = 4
_MOST_SYNCS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What came out of an archive.

    Attributes:
      files: size and sha256 of each file, by its name relative to the directory, with slashes, sorted by it.
      archive: size and sha256 of the archive itself, packed, as it was read.
    """

    files: Mapping[str, FileDigest]
    archive: FileDigest


def unpack(
    source: ByteSource,
    name: str,
    directory: Path,
    limits: Limits = DEFAULT_LIMITS,
    *,
    sync: bool = True,
    packed_size: int | None = None,
) -> Unpacked:
    r"""Unpack an archive, `.tar` or `.tar.gz`, in one pass while it is read.

    What `modhub.format.archive.members` refuses is refused, and also: names that this file system does not take or
    cannot tell apart; a file or folder `.modhub-manifest.json` in the root; and an archive without a file. Many
    archives hold one folder, and the module in it: as in `ArchiveFiles`, that folder then is the root.

    Files have the mode 0644 and directories 0755, less the umask, whatever the archive says; the mtime of files is
    two to four seconds before they were written. Beside the caller's thread, which reads and inflates, there are
    threads that hash, write and sync. Memory: less than 10 MiB, and the names and digests of the files.

    Args:
      source: of the archive, at its beginning. Only its `read` is called, from the caller's thread, up to the end.
      name: what messages call the archive: its path or URL.
      directory: to unpack into; it exists, and is empty. After an error it holds leftovers, which are the caller's to
        remove.
      limits: above which the archive is refused.
      sync: whether all of it is on the disk when this returns.
      packed_size: the size of the source in bytes, where it is known. An archive that has another is refused. Without
        it, `Limits.ratio` is taken of as many packed bytes as have been read.

    Returns:
      The digests of the files and of the archive.

    Raises:
      NotAModuleError: it is not an archive, or one without a file.
      CorruptModuleError: it is damaged, cut off, over its limits, or refused as above.
      CacheError: the directory cannot be written or is not empty, or the disk is full.
      Exception: what `source.read` raises, where that is no `OSError` or `ValueError` or an error of modhub.

    Example:
      >>> import tarfile, tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = Path(folder, "tfhub_module.pb").write_bytes(b"\x08\x03")
      ...     with tarfile.open(Path(folder, "module.tar.gz"), "w:gz") as archive:
      ...         archive.add(Path(folder, "tfhub_module.pb"), "module/tfhub_module.pb")
      ...     Path(folder, "target").mkdir()
      ...     with Path(folder, "module.tar.gz").open("rb") as source:
      ...         unpacked = unpack(source, "module.tar.gz", Path(folder, "target"))
      ...     {name: digest.size for name, digest in unpacked.files.items()}
      {'tfhub_module.pb': 2}
    """
    _check_empty(directory)
    syncing = Workers(_SYNC_THREADS if sync else 0, _MOST_SYNCS)
    hashing = Workers(1, _MOST_BLOCKS)
    writing = Workers(1, _MOST_BLOCKS)
    packed = _Hashed(source, hashing, packed_size)
    # Left in the reverse order: the files are closed when no thread is there that uses them.
    with findings(name), FileWriter(directory, syncing if sync else None) as writer, syncing, hashing, writing:
        stream = read_archive(packed, name, limits, packed_size)
        for member, reader in stream_members(stream, name, limits):
            _refuse_reserved(member.name)
            if member.is_directory:
                writing.call(writer.add_directory, member.name)
            elif member.size <= CHUNK:
                writing.call(writer.put, member.name, reader.read(CHUNK))
            else:
                writing.call(writer.start, member.name)
                while data := reader.read(CHUNK):
                    writing.call(writer.write, data)
                writing.call(writer.end)
        packed.check_size()
        writing.finish()
        if not writer.files:
            raise NotAModuleError(f"The archive {name!r} holds no file.")
        if folder := _module_folder(writer):
            for file in (*writer.files, *writer.directories):
                _refuse_reserved(file[len(folder) + 1 :])
            writer.move_up(folder)
        writer.sync_directories()
        syncing.finish()
        hashing.finish()
        return Unpacked(files=dict(sorted(writer.files.items())), archive=packed.digest())


def _check_empty(directory: Path) -> None:
    where = repr(str(directory))
    try:
        with os.scandir(directory) as entries:
            found = next(entries, None)
    except (OSError, ValueError) as error:
        raise CacheError(f"{where} cannot be unpacked into: {error}.") from error
    if found is not None:
        raise CacheError(f"{where} holds {found.name!r}; an archive is unpacked into an empty directory.")


def _refuse_reserved(name: str) -> None:
    if name.partition("/")[0].casefold() == MANIFEST:
        raise ValueError(f"the name {name!r}, which is kept for what the cache says of the module")


def _module_folder(writer: FileWriter) -> str:
    """Return the folder that is the module, by the rule of `ArchiveFiles`; "" for the root."""
    tops = {name.partition("/")[0] for names in (writer.files, writer.directories) for name in names}
    top = tops.pop()
    return top if not tops and any(f"{top}/{marker}" in writer.files for marker in MARKERS) else ""


class _Hashed:
    """A source whose bytes are hashed and counted as they are read."""

    def __init__(self, source: ByteSource, hashing: Workers, size: int | None) -> None:
        self._source = source
        self._hashing = hashing
        self._size = size
        self._count = 0
        self._sha256 = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """Read on, see `ByteSource`."""
        data = self._source.read(size)
        self._count += len(data)
        if self._size is not None and self._count > self._size:
            self.check_size()
        self._hashing.call(self._sha256.update, data)
        return data

    def check_size(self) -> None:
        """Refuse a size that is not the one that was announced."""
        if self._size is not None and self._count != self._size:
            more = "or more " if self._count > self._size else ""
            raise ValueError(f"it has {self._count} bytes {more}in place of the {self._size} that were announced")

    def digest(self) -> FileDigest:
        """Return the digest of what was read; nothing may be left to be hashed."""
        return FileDigest(size=self._count, sha256=self._sha256.hexdigest())
