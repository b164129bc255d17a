"""The headers of a tar archive: 512 bytes before each member, and the records that extend them.

Facts: "ustar Interchange Format" and "pax Interchange Format" in POSIX.1-2017 (the page of the utility pax), "Basic Tar
Format" in the manual of GNU tar. Python's tarfile reads extended headers of any length into memory and takes what
contradicts itself; here a header says one thing or is refused. What functions raise, a `ValueError`, is a finding.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BLOCK",
    "DIRECTORY",
    "LONG_NAME",
    "PAX",
    "PAX_GLOBAL",
    "Extension",
    "Header",
    "decode_name",
    "is_archive_start",
    "parse_header",
    "read_long_name",
    "read_pax",
]

BLOCK = 512

DIRECTORY = b"5"
# Archives from before POSIX have a null byte for a file, and a directory is told by the slash at its end.
_FILE_KINDS = (b"0", b"\0")
LONG_NAME = b"L"
PAX = b"x"
PAX_GLOBAL = b"g"

_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"7": "a contiguous file",
    b"K": "a link with a long name",
    b"S": "a sparse file",
    b"M": "a part of a file in several volumes",
}

# POSIX writes a version of two digits after its magic, and not everyone did.
_POSIX = b"ustar\0"
_GNU = b"ustar "
_OLD = bytes(6)

# Keys that change what a member is, beside the two that are read. Others tell of times, owners and attributes.
_REFUSED_KEYS = ("GNU.", "SCHILY.realsize", "SCHILY.filetype", "SUN.holesdata", "LIBARCHIVE.sparse", "linkpath")
_READ_KEYS = ("path", "size")
_MOST_DIGITS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a block says of the member that follows.

    Attributes:
      name: as it is there, perhaps cut off in the middle of a character where an extended header has all of it; empty
        for extended headers, whose names say nothing.
      size: of the contents, in bytes.
      kind: the byte for the type of the member.
    """

    name: bytes
    size: int
    kind: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What an extended header says of the member that follows; None for what it leaves to the member's own."""

    name: bytes | None = None
    size: int | None = None


def is_archive_start(block: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a tar archive, be it a damaged one.

    Archives from before POSIX can be told by their first checksum only.
    """
    if block[257:262] == b"ustar" or (len(block) == BLOCK and not any(block)):
        return True
    try:
        return len(block) == BLOCK and _number(block[148:156], "checksum") == _checksum(block)
    except ValueError:
        return False


def parse_header(block: bytes) -> Header:
    """Parse a header.

    Args:
      block: 512 bytes, not all of them zero.

    Returns:
      The header of a file, of a directory (whose kind is `DIRECTORY`), or of an extended header.

    Raises:
      ValueError: the checksum is wrong, the header contradicts itself, or is of another kind of member.
    """
    if _number(block[148:156], "checksum") != _checksum(block):
        raise ValueError("a header whose checksum does not match")
    kind = block[156:157]
    size = _number(block[124:136], "size")
    if kind in (LONG_NAME, PAX, PAX_GLOBAL):
        return Header(name=b"", size=size, kind=kind)
    name = _to_null(block[:100])
    prefix = block[345:500]
    magic = block[257:263]
    if magic == _POSIX:
        if directory := _to_null(prefix):
            name = directory + b"/" + name
    elif magic not in (_GNU, _OLD):
        raise ValueError(f"member {_shown(name)} of an unknown kind of tar archive")
    elif any(prefix):
        # GNU tar puts times there, and other readers take them for a part of the name.
        raise ValueError(f"member {_shown(name)} with fields of an incremental backup")
    if kind == b"\0" and name.endswith(b"/"):
        kind = DIRECTORY
    if kind not in (*_FILE_KINDS, DIRECTORY):
        what = _KINDS.get(kind, f"of the type {kind!r}")
        raise ValueError(f"member {_shown(name)}, which is {what}; a module has files and directories only")
    return Header(name=name, size=size, kind=kind)


def decode_name(name: bytes) -> str:
    """Decode a name, of a header or of an extended header."""
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a name that is not UTF-8: {name[:100]!r}") from error


def read_long_name(data: bytes) -> Extension:
    """Read the contents of a GNU header for a long name: the name, and a null byte."""
    name, null, rest = data.partition(b"\0")
    if rest or not null or not name:
        raise ValueError("a header for a long name that is not one name")
    return Extension(name=name)


def read_pax(data: bytes, is_global: bool) -> Extension:
    """Read the contents of a pax header: records of a length, a key and a value.

    Args:
      data: the contents.
      is_global: whether it is of the kind that goes for all the members that follow, in which no name and no size
        makes sense.

    Raises:
      ValueError: the records do not parse, contradict each other, or make the member something else than a file.
    """
    found: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        # The length is of the whole record, itself included, and has some 5 digits.
        space = data.find(b" ", position, position + _MOST_DIGITS)
        digits = data[position:space] if space >= 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not space < end - 1 < len(data) or data[end - 1 : end] != b"\n" or not equals or not key:
            raise ValueError("a pax header that does not parse")
        name = key.decode("utf-8", "replace")
        if name.startswith(_REFUSED_KEYS) or (is_global and name in _READ_KEYS):
            raise ValueError(f"a pax header with {name[:40]!r}, which no file of a module needs")
        if name in _READ_KEYS:
            if name in found or not value:
                raise ValueError(f"a pax header that gives {name!r} twice, or nothing for it")
            found[name] = value
        position = end
    path, size = found.get("path"), found.get("size")
    if size is not None and not (size.isdigit() and len(size) <= _MOST_DIGITS):
        raise ValueError(f"a pax header with the size {size[:40]!r}")
    return Extension(name=path, size=None if size is None else int(size))


def _checksum(block: bytes) -> int:
    """Add up a header, with spaces in place of its checksum."""
    return sum(block) - sum(block[148:156]) + 8 * ord(" ")


def _number(field: bytes, what: str) -> int:
    """Read a number: octal digits between spaces or null bytes, or in binary after a byte of 0x80 (GNU)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.lstrip(b" ").rstrip(b" \0")
    if not all(digit in b"01234567" for digit in digits):
        raise ValueError(f"a header with the {what} {field!r}")
    return int(digits or b"0", 8)


def _to_null(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))
