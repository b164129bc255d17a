"""The members of an archive, `.tar` or `.tar.gz`, in one pass that takes little memory and believes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modhub.errors import InvalidArgumentError
from modhub.format.archive_limits import DEFAULT_LIMITS, Limits
from modhub.format.archive_names import Names, normal_name
from modhub.format.archive_stream import CHUNK, ArchiveStream, findings, open_archive
from modhub.format.tar_headers import (
    BLOCK,
    DIRECTORY,
    LONG_NAME,
    PAX,
    PAX_GLOBAL,
    Extension,
    Header,
    decode_name,
    parse_header,
    read_long_name,
    read_pax,
)

__all__ = ["Limits", "Member", "MemberReader", "members", "stream_members"]

# A name and a few times take some hundred bytes.
_MOST_EXTENSION_BYTES = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file or a directory of an archive.

    Attributes:
      name: relative to the root, with slashes, in the one spelling of `normal_name`.
      size: of its contents, in bytes; 0 for a directory.
      is_directory: whether it is one.
    """

    name: str
    size: int
    is_directory: bool


class MemberReader:
    """The contents of one member, which are there until the next member is asked for."""

    __slots__ = ("_is_current", "_left", "_name", "_stream", "_where")

    def __init__(self, stream: ArchiveStream, member: Member, where: str) -> None:
        self._stream = stream
        self._left = member.size
        self._name = member.name
        self._where = where
        self._is_current = True

    def read(self, size: int) -> bytes:
        """Read on.

        Memory is taken as the bytes come, so a size that an archive only claims costs nothing.

        Args:
          size: how many bytes to read.

        Returns:
          So many bytes; fewer only where the member ends.

        Raises:
          CorruptModuleError: the archive is damaged, cut off, or over its limits.
          InvalidArgumentError: the iterator has gone on or ended, or the size is negative.
        """
        left = self._take(size)
        parts = []
        with findings(self._where):
            while left:
                parts.append(self._stream.read(min(left, CHUNK)))
                left -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over so many bytes, or as many as are left. It raises what `read` raises."""
        left = self._take(size)
        with findings(self._where):
            self._stream.skip(left)

    def close(self) -> None:
        """Be of no more use."""
        self._is_current = False

    def left(self) -> int:
        """Return how many bytes have not been read."""
        return self._left

    def _take(self, size: int) -> int:
        """Return how much of the asked is left, and count it as read."""
        if not self._is_current or size < 0:
            raise InvalidArgumentError(
                f"{size} bytes of {self._name!r} in {self._where!r} cannot be read: the size is negative, or "
                "the iterator has gone on or ended. Read a member before the next is asked for."
            )
        taken = min(size, self._left)
        self._left -= taken
        return taken


def members(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[tuple[Member, MemberReader]]:
    r"""Go through an archive once, from its first member to the end of the file.

    Whether it is packed by gzip is told by its first bytes. Taken are files and directories, in the formats v7, ustar,
    pax and GNU. Refused are links, devices, sparse files and other kinds; names that are absolute, lead upwards, are
    not UTF-8, or hold a backslash, a null byte or a drive letter; a name that comes twice, or as a file and as a
    directory; and what two readers could take for different things. Entries for the root itself are left out, and
    directories without an entry of their own are not told of. Names that differ in case, or in how Unicode composes
    them, are different names.

    The checksum that gzip has comes at the end of the file: a caller that keeps something has checked it only once the
    iterator has ended. Memory: less than 2 MiB, and the names of the members.

    Args:
      path: of the archive.
      limits: above which it is refused.

    Yields:
      Each member, and the reader of its contents; what was not read is skipped when the next is asked for.

    Raises:
      HandleNotFoundError: there is no such file.
      NotAModuleError: it is not an archive.
      CorruptModuleError: it is damaged, cut off, over its limits, or refused as above.

    Example:
      >>> import tarfile, tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     marker = Path(folder, "tfhub_module.pb")
      ...     _ = marker.write_bytes(b"\x08\x03")
      ...     with tarfile.open(Path(folder, "module.tar.gz"), "w:gz") as archive:
      ...         archive.add(marker, "./tfhub_module.pb")
      ...     [(member.name, reader.read(10)) for member, reader in members(Path(folder, "module.tar.gz"))]
      [('tfhub_module.pb', b'\x08\x03')]
    """
    with open_archive(path, limits) as stream:
        yield from stream_members(stream, str(path), limits)


def stream_members(stream: ArchiveStream, where: str, limits: Limits) -> Iterator[tuple[Member, MemberReader]]:
    """Go through an archive that is open, as `members` does.

    Args:
      stream: of the archive, at its beginning.
      where: what messages of the readers call it.
      limits: above which it is refused.

    Yields:
      Each member, and the reader of its contents.

    Raises:
      ValueError: a finding about the archive, to be raised through `findings`.
    """
    names = Names(limits)
    for header in _headers(stream, names):
        is_directory = header.kind == DIRECTORY
        written = decode_name(header.name)
        name = normal_name(written, limits)
        if is_directory and header.size:
            raise ValueError(f"the directory {name!r} with contents")
        if not is_directory and (not name or written.endswith(("/", "/."))):
            raise ValueError(f"the file {written!r}, whose name is that of a directory")
        stream.declare(header.size)
        if not name:
            names.count_other()
            continue
        names.add(name, is_directory)
        member = Member(name=name, size=header.size, is_directory=is_directory)
        reader = MemberReader(stream, member, where)
        try:
            yield member, reader
        finally:
            reader.close()
        stream.skip(reader.left() + -header.size % BLOCK)


def _headers(stream: ArchiveStream, names: Names) -> Iterator[Header]:
    """Yield the header of each member, with what an extended header before it says."""
    extension: Extension | None = None
    while any(block := stream.read(BLOCK)):
        header = parse_header(block)
        if header.kind not in (LONG_NAME, PAX, PAX_GLOBAL):
            yield _extended(header, extension)
            extension = None
            continue
        if extension is not None:
            # POSIX lets none of these follow each other, and readers differ in what they make of it.
            raise ValueError("an extended header that is followed by another, not by its member")
        data = _read_extension(stream, header)
        if header.kind == PAX_GLOBAL:
            read_pax(data, is_global=True)
            names.count_other()
        else:
            extension = read_long_name(data) if header.kind == LONG_NAME else read_pax(data, is_global=False)
    if extension is not None:
        raise ValueError("an extended header at its end")
    if any(stream.read(BLOCK)):
        raise ValueError("a member after the block of zeros that ends it")
    stream.finish()


def _extended(header: Header, extension: Extension | None) -> Header:
    if extension is None:
        return header
    name = header.name if extension.name is None else extension.name
    return Header(name=name, size=header.size if extension.size is None else extension.size, kind=header.kind)


def _read_extension(stream: ArchiveStream, header: Header) -> bytes:
    if header.size > _MOST_EXTENSION_BYTES:
        raise ValueError(f"an extended header of {header.size} bytes; at most {_MOST_EXTENSION_BYTES} are read")
    data = stream.read(header.size)
    stream.skip(-header.size % BLOCK)
    return data
