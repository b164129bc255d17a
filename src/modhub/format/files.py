"""The files of a module, one interface to them whether they lie in a directory or in an archive."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol

from modhub.errors import CorruptModuleError, HandleNotFoundError, ModhubError, NotAModuleError
from modhub.format.layout import MANIFEST

__all__ = ["DirectoryFiles", "ModuleFiles", "open_files"]

_MOST_ENTRIES = 100_000
_MOST_DEPTH = 32


class ModuleFiles(Protocol):
    """The files of a module. They must not change while they are read."""

    @property
    def where(self) -> str:
        """The path of the directory or archive; in messages a file is `where`, a slash and its name."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size in bytes of each regular file, by its name relative to the module, with slashes."""

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read a file.

        Args:
          name: relative to the module, with slashes.
          most_bytes: above which the file is refused before it is read.

        Returns:
          Its contents.

        Raises:
          NotAModuleError: there is no such file.
          CorruptModuleError: it is larger, or a directory or something else is in its place, or it cannot be read.
        """

    def mapped(self, name: str) -> memoryview:
        """Return the contents of a file; those of a directory's are mapped, so that only what is looked at is read.

        Raises:
          NotAModuleError: there is no such file.
          CorruptModuleError: as for `read`.
          UnsupportedFormatError: it is in an archive, and too large to be kept in memory.
        """

    def read_range(self, name: str, offset: int, size: int) -> memoryview:
        """Return a part of a file. Of an archive, all that comes before it is unpacked again at each call.

        Args:
          name: relative to the module, with slashes.
          offset: where the part starts, in bytes.
          size: its length, in bytes.

        Raises:
          NotAModuleError: there is no such file.
          CorruptModuleError: the file is shorter, or as for `read`.
        """


def open_files(path: Path) -> ModuleFiles:
    r"""Open the files of a module.

    Args:
      path: of a module directory, or of an archive of one, `.tar` or `.tar.gz`.

    Returns:
      Its files. Of a directory nothing has been read yet; an archive has been read and checked to its end.

    Raises:
      HandleNotFoundError: nothing is there.
      NotAModuleError: it is neither a directory nor an archive.
      CorruptModuleError: the archive is damaged or refused, see `modhub.format.archive.members`.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = Path(folder, "tfhub_module.pb").write_bytes(b"\x08\x03")
      ...     files = open_files(Path(folder))
      ...     dict(files.sizes), files.read("tfhub_module.pb", 10)
      ({'tfhub_module.pb': 2}, b'\x08\x03')
    """
    try:
        is_directory = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise HandleNotFoundError(f"{str(path)!r} does not exist.") from error
    except OSError as error:
        raise CorruptModuleError(f"{str(path)!r} cannot be read: {error}.") from error
    if is_directory:
        return DirectoryFiles(path)
    # Here, so that reading a directory does not pay for it.
    from modhub.format.archive_files import ArchiveFiles

    return ArchiveFiles(path)


class DirectoryFiles:
    """The files in a directory.

    Symbolic links are followed, as caches are made of them, also those that lead out of the directory. A link to a
    directory that it lies in is left out of `sizes`, and so is what the cache keeps beside the module (`MANIFEST`).
    """

    __slots__ = ("_path", "_sizes")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[str, int] | None = None

    @property
    def where(self) -> str:
        """The path of the directory."""
        return str(self._path)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of its files, in bytes, listed when first asked for.

        Raises:
          CorruptModuleError: there are more than 100,000 entries, they lie deeper than 32 directories, or one cannot
            be read.
        """
        if self._sizes is None:
            try:
                self._sizes = dict(sorted(_walk(self._path)))
            except ModhubError:
                raise
            except FileNotFoundError as error:
                raise HandleNotFoundError(f"{self.where!r} does not exist, or changes while it is read.") from error
            except OSError as error:
                raise _unreadable(self.where, error) from error
        return self._sizes

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read a file, see `ModuleFiles.read`."""
        with self._opened(name) as (file, size):
            if size > most_bytes:
                raise CorruptModuleError(
                    f"{self._named(name)!r} has {size} bytes; at most {most_bytes} are read of such a file."
                )
            # A file that grows meanwhile is not followed.
            return file.read(size)

    def mapped(self, name: str) -> memoryview:
        """Map a file, see `ModuleFiles.mapped`. The mapping lives as long as views of it do."""
        with self._opened(name) as (file, size):
            if not size:  # an empty file cannot be mapped
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))

    def read_range(self, name: str, offset: int, size: int) -> memoryview:
        """Map a part of a file, see `ModuleFiles.read_range`."""
        view = self.mapped(name)
        if not 0 <= offset <= offset + size <= len(view):
            raise CorruptModuleError(
                f"{self._named(name)!r} has {len(view)} bytes, and {size} from {offset} on are asked for."
            )
        return view[offset : offset + size]

    def _named(self, name: str) -> str:
        return f"{self.where}/{name}"

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[BinaryIO, int]]:
        """Open a regular file, and give its size; what else is there is told, and not waited for."""
        where = self._named(name)
        # Names come from modules too: none may lead elsewhere.
        if PurePath(name).parts != tuple(name.split("/")) or ".." in name.split("/") or "\0" in name:
            raise CorruptModuleError(f"{name!r} is not the name of a file in {self.where!r}.")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(self._path / name, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise CorruptModuleError(f"{where!r} is not a regular file; a module has one there.")
                yield file, status.st_size
        except ModhubError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotAModuleError(f"{where!r} does not exist.") from error
        except IsADirectoryError as error:
            raise CorruptModuleError(f"{where!r} is a directory; a module has a file there.") from error
        except (OSError, ValueError) as error:
            raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> CorruptModuleError:
    return CorruptModuleError(f"{where!r} cannot be read: {error}. Check its permissions.")


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and size of each regular file below a directory."""
    count = 0
    status = root.stat()
    # The directories that are still to be listed: each with its name, and the identities of those it lies in.
    pending: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ((status.st_dev, status.st_ino),))]
    while pending:
        above, chain = pending.pop()
        if len(chain) > _MOST_DEPTH:
            raise CorruptModuleError(f"{str(root)!r} has directories deeper than {_MOST_DEPTH}; no module has.")
        with os.scandir(root / above) as entries:
            for entry in entries:
                count += 1
                if count > _MOST_ENTRIES:
                    raise CorruptModuleError(f"{str(root)!r} has more than {_MOST_ENTRIES} entries; no module has.")
                try:
                    status = entry.stat()
                except OSError:
                    if entry.is_symlink():  # it leads nowhere, or to itself
                        continue
                    raise
                name = f"{above}/{entry.name}" if above else entry.name
                if name == MANIFEST:
                    continue
                identity = (status.st_dev, status.st_ino)
                if stat.S_ISREG(status.st_mode):
                    yield name, status.st_size
                elif stat.S_ISDIR(status.st_mode) and identity not in chain:
                    pending.append((name, (*chain, identity)))
