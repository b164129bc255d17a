"""The files of a module in an archive: listed in one pass, the small ones that describe it kept in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from modhub.errors import CorruptModuleError, NotAModuleError, UnsupportedFormatError
from modhub.format.archive import MemberReader, members
from modhub.format.archive_limits import DEFAULT_LIMITS, Limits

__all__ = ["MARKERS", "MOST_KEPT_BYTES", "ArchiveFiles"]

MOST_KEPT_BYTES = 2**28

# What tells that a module starts at a folder.
MARKERS = ("tfhub_module.pb", "saved_model.pb", "saved_model.pbtxt")
_KEPT = (*MARKERS, "keras_metadata.pb")


class ArchiveFiles:
    """The files of a module in an archive, `.tar` or `.tar.gz`.

    Many archives hold one folder, and the module in it. So where everything in the archive lies below one folder, and
    `tfhub_module.pb`, `saved_model.pb` or `saved_model.pbtxt` is directly in it, that folder is the module. In any
    other archive the module is the archive's root.

    Making one reads the archive to its end, checks it, and keeps in memory `tfhub_module.pb`, `saved_model.pb`,
    `saved_model.pbtxt`, `keras_metadata.pb` and `variables/*.index`. Any other file is read by going through the
    archive again, up to that file, at each call.
    """

    __slots__ = ("_directories", "_folder", "_kept", "_limits", "_path", "_sizes", "_state")

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._path = path
        self._limits = limits
        self._state = self._current_state()
        listing = _Listing(path)
        for member, reader in members(path, limits):
            listing.add(member.name, None if member.is_directory else member.size, reader)
        self._folder = listing.folder()
        start = len(self._folder)
        below = {name[start:]: size for name, size in listing.sizes.items() if len(name) > start}
        self._sizes = {name: size for name, size in sorted(below.items()) if size is not None}
        self._directories = {name for name, size in below.items() if size is None}
        self._kept = {name[start:]: data for name, data in listing.kept.items() if _is_kept(name[start:])}

    @property
    def where(self) -> str:
        """The path of the archive."""
        return str(self._path)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of its files, in bytes."""
        return self._sizes

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read a file, see `ModuleFiles.read`."""
        size = self._size(name)
        if size > most_bytes:
            raise CorruptModuleError(
                f"{self._named(name)!r} has {size} bytes; at most {most_bytes} are read of such a file."
            )
        return self._kept[name] if name in self._kept else self._stream(name, 0, size)

    def mapped(self, name: str) -> memoryview:
        """Return the contents of a file, see `ModuleFiles.mapped`."""
        size = self._size(name)
        if size > MOST_KEPT_BYTES:
            raise UnsupportedFormatError(
                f"{self._named(name)!r} has {size} bytes; of an archive at most {MOST_KEPT_BYTES} are held in memory. "
                "Unpack the archive, and give its directory."
            )
        return memoryview(self.read(name, size))

    def read_range(self, name: str, offset: int, size: int) -> memoryview:
        """Return a part of a file, see `ModuleFiles.read_range`."""
        whole = self._size(name)
        if not 0 <= offset <= offset + size <= whole:
            raise CorruptModuleError(
                f"{self._named(name)!r} has {whole} bytes, and {size} from {offset} on are asked for."
            )
        if name in self._kept:
            return memoryview(self._kept[name])[offset : offset + size]
        return memoryview(self._stream(name, offset, size))

    def _named(self, name: str) -> str:
        return f"{self.where}/{name}"

    def _size(self, name: str) -> int:
        if name in self._sizes:
            return self._sizes[name]
        if name in self._directories:
            raise CorruptModuleError(f"{self._named(name)!r} is a directory; a module has a file there.")
        raise NotAModuleError(f"{self._named(name)!r} does not exist.")

    def _stream(self, name: str, offset: int, size: int) -> bytes:
        # The checksum at its end was read once, for the file as it was.
        if self._current_state() == self._state:
            for member, reader in members(self._path, self._limits):
                if member.name == self._folder + name:
                    reader.skip(offset)
                    return reader.read(size)
        raise CorruptModuleError(f"{self.where!r} has changed since it was opened. Open it again.")

    def _current_state(self) -> tuple[int, ...]:
        """Return what the system knows of the file, which differs once it was written to."""
        try:
            stat = os.stat(self._path)
        except (OSError, ValueError):
            return ()  # opening it says what is wrong
        return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class _Listing:
    """What one pass has found; names are those in the archive, and a size of None is a directory's."""

    __slots__ = ("_kept_bytes", "_path", "kept", "sizes", "top")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept_bytes = 0
        self.sizes: dict[str, int | None] = {}
        self.kept: dict[str, bytes] = {}
        # The folder that all members up to now lie below, with a slash; "" once there is none.
        self.top: str | None = None

    def add(self, name: str, size: int | None, reader: MemberReader) -> None:
        """Add a member."""
        self._add_directories(name)
        self.sizes[name] = size
        first, slash, _ = name.partition("/")
        top = f"{first}/" if slash or size is None else ""
        if self.top is None:
            self.top = top
        elif self.top != top:
            self._set_root()
        if size is not None and any(_is_kept(short) for short in self._candidates(name)):
            self._keep(name, size, reader)

    def folder(self) -> str:
        """Return the folder that is the module, with a slash; "" for the root."""
        top = self.top or ""
        return top if any(self.sizes.get(top + marker) is not None for marker in MARKERS) else ""

    def _add_directories(self, name: str) -> None:
        """Add the directories above a member, of which an archive need not tell."""
        while (name := name.rpartition("/")[0]) and name not in self.sizes:
            self.sizes[name] = None

    def _candidates(self, name: str) -> tuple[str, ...]:
        """Return what the name may be in the module: for as long as there is one folder, also without it."""
        return (name, name.removeprefix(self.top)) if self.top else (name,)

    def _set_root(self) -> None:
        """The module is the root: forget what was kept for the other case."""
        self.top = ""
        self.kept = {name: data for name, data in self.kept.items() if _is_kept(name)}
        self._kept_bytes = sum(map(len, self.kept.values()))

    def _keep(self, name: str, size: int, reader: MemberReader) -> None:
        self._kept_bytes += size
        if self._kept_bytes > MOST_KEPT_BYTES:
            raise UnsupportedFormatError(
                f"The graphs and indices in {str(self._path)!r} have more than {MOST_KEPT_BYTES} bytes, which is what "
                "is read of an archive into memory. Unpack the archive, and give its directory."
            )
        self.kept[name] = reader.read(size)


def _is_kept(name: str) -> bool:
    folder, _, base = name.rpartition("/")
    return name in _KEPT or (folder == "variables" and base.endswith(".index"))
