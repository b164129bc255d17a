"""Writes a tar archive whose files are compared with their digests on the way, and which is there when it is whole."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modhub import errors
from modhub.cache.manifest import FileRecord
from modhub.cache.owner import new_owner
from modhub.cache.regular import open_regular

if TYPE_CHECKING:
    import tarfile

__all__ = ["AlteredError", "TarWriter", "tar_writer"]

_BLOCK = 2**20
_PACKED = (".gz", ".tgz")


class AlteredError(Exception):
    """A file that is not what it has to be. It is no `OSError`, which would be taken for one of the archive's."""


class TarWriter:
    """An archive that is being written. Its bytes depend on what is added, and on nothing else."""

    __slots__ = ("_tar",)

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a file of these bytes."""
        self._add(name, len(data), io.BytesIO(data))

    def add_file(self, name: str, path: Path, record: FileRecord) -> None:
        """Add a file.

        Args:
          name: in the archive.
          path: of the file.
          record: the size and the digest that it has to have.

        Raises:
          AlteredError: it has others, or cannot be read.
        """
        try:
            opened = open_regular(path)
        except OSError as error:
            raise AlteredError(f"cannot be read: {error.strerror or error}") from error
        with opened as file:
            if os.fstat(file.fileno()).st_size != record.size:
                raise AlteredError("has changed")
            reader = _Digesting(file)
            self._add(name, record.size, reader)
        if reader.sha256.hexdigest() != record.sha256:
            raise AlteredError(f"was altered: its SHA-256 is {reader.sha256.hexdigest()} instead of {record.sha256}")

    def _add(self, name: str, size: int, source: io.BytesIO | _Digesting) -> None:
        import tarfile

        member = tarfile.TarInfo(name)  # of mode 0644, owned by 0, from 1970
        member.size = size
        self._tar.addfile(member, source)  # type: ignore[arg-type]  # it only reads


@contextmanager
def tar_writer(target: Path, *, overwrite: bool) -> Iterator[TarWriter]:
    """Write an archive under another name, which takes the target's place when it is whole and on the disk.

    Args:
      target: its path; it is compressed where that ends in ".gz" or ".tgz".
      overwrite: whether a file may be there.

    Raises:
      ExportExistsError: a file is there, or a directory.
      ExportError: it cannot be written; nothing is left of it.
    """
    # Here: both take some ms to import.
    import gzip
    import tarfile

    temporary = target.with_name(f".{target.name[:100]}.{new_owner()}.tmp") if target.name else target
    try:
        _check_target(target, overwrite)
        with ExitStack() as stack:
            file: BinaryIO = stack.enter_context(open(temporary, "xb"))
            stack.callback(lambda: temporary.unlink(missing_ok=True))
            with ExitStack() as streams:
                stream: object = file
                if target.name.lower().endswith(_PACKED):
                    # Without a name and a time, which would make other bytes each time.
                    stream = streams.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
                tar = tarfile.open(  # noqa: SIM115  # closed below, and not where it fails: that would write its end
                    fileobj=stream,  # type: ignore[call-overload]  # it only writes
                    mode="w",
                    format=tarfile.PAX_FORMAT,
                    encoding="utf-8",
                    copybufsize=_BLOCK,
                )
                yield TarWriter(tar)
                tar.close()
            file.flush()
            os.fsync(file.fileno())
            _check_target(target, overwrite)
            os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, errors.ModhubError):
            raise
        raise errors.ExportError(f"{str(target)!r} cannot be written: {error.strerror or error}.") from error


def _check_target(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise errors.ExportExistsError(f"{str(target)!r} is a directory: name a file in it, such as 'modules.tar'.")
    if os.path.lexists(target) and not overwrite:
        raise errors.ExportExistsError(f"{str(target)!r} exists: overwrite=True (--force) replaces it.")
    if not target.parent.is_dir():
        raise errors.ExportError(f"{str(target)!r} cannot be written: there is no directory {str(target.parent)!r}.")


class _Digesting:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        parts = []
        while size:
            try:
                data = self._file.read(min(size, _BLOCK))
            except OSError as error:
                raise AlteredError(f"cannot be read: {error.strerror}") from error
            if not data:
                raise AlteredError("has become shorter")
            self.sha256.update(data)
            parts.append(data)
            size -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)
