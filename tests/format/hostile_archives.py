"""Archives that nobody should believe, built byte by byte, each with what its refusal says."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

__all__ = ["END", "FILES", "REFUSED", "archive", "entry", "header", "pax", "record", "write_bomb"]

BLOCK = 512
END = bytes(2 * BLOCK)

# A small module, as far as an archive goes.
FILES = {
    "tfhub_module.pb": b"\x08\x03",
    "saved_model.pb": b"graph " * 200,
    "variables/variables.index": b"index",
    "assets/empty.txt": b"",
}


def header(
    name: bytes,
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    magic: bytes = b"ustar\00000",
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """Build a header; a size that is no number is put in as it is, and so is a checksum that is given."""
    field = b"%011o\0" % size if isinstance(size, int) else size.ljust(12, b"\0")
    start = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field + b"00000000000\0"
    rest = kind + bytes(100) + magic.ljust(8, b"\0") + bytes(80) + prefix.ljust(155, b"\0") + bytes(12)
    if checksum is None:
        checksum = b"%06o\0 " % (sum(start) + sum(rest) + 8 * 32)
    block = start + checksum + rest
    assert len(block) == BLOCK
    return block


def entry(name: bytes, data: bytes = b"", kind: bytes = b"0") -> bytes:
    """Build a header and what it is for, padded."""
    return header(name, len(data), kind) + data + bytes(-len(data) % BLOCK)


def record(key: bytes, value: bytes) -> bytes:
    """Build a record of a pax header, with its length in front, which counts itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return b"%d" % length + rest


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """Build a pax header."""
    return entry(b"pax", b"".join(records), kind)


def archive(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT, packed: bool = False) -> bytes:
    """Return an archive that Python's tarfile writes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(target.getvalue(), mtime=1) if packed else target.getvalue()


def write_bomb(path: Path, unpacked: int, start: bytes = b"") -> None:
    """Write `start` and so many zeros through gzip; a GiB takes 1 MB."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    piece = bytes(2**20)
    with path.open("wb") as file:
        file.write(deflate.compress(start))
        for _ in range(unpacked // len(piece)):
            file.write(deflate.compress(piece))
        file.write(deflate.flush())


_A = entry(b"a", b"text")
_LONG = entry(b"././@LongLink", b"long\0", b"L")
_DEEP = b"/".join([b"d"] * 33)

# What is in the archive before its end, and what the message says of it.
REFUSED: dict[str, tuple[bytes, str]] = {
    "absolute name": (_A + entry(b"/etc/passwd"), "absolute name '/etc/passwd'"),
    "absolute by prefix": (header(b"x", prefix=b"/"), "absolute name"),
    "absolute in pax": (pax(record(b"path", b"/x")) + _A, "absolute name '/x'"),
    "absolute long name": (entry(b"l", b"//x\0", b"L") + _A, "absolute name '//x'"),
    "upwards": (entry(b"../a"), "upwards"),
    "upwards inside": (entry(b"a/../../b"), "upwards"),
    "upwards at the end": (entry(b"a/..", kind=b"5"), "upwards"),
    "upwards in pax": (pax(record(b"path", b"x/../../y")) + _A, "upwards"),
    "backslash": (entry(b"..\\a"), "backslash"),
    "drive letter": (entry(b"C:/a"), "drive letter"),
    "drive letter inside": (entry(b"./c:a"), "drive letter"),
    "null byte in pax": (pax(record(b"path", b"a\0b")) + _A, "null byte"),
    "null byte in a long name": (entry(b"l", b"a\0b\0", b"L") + _A, "not one name"),
    "not UTF-8": (entry(b"\xff"), "not UTF-8"),
    "not UTF-8 in pax": (pax(record(b"path", b"\xc3")) + _A, "not UTF-8"),
    "long name without its end": (entry(b"l", b"abc", b"L") + _A, "not one name"),
    "empty long name": (entry(b"l", b"", b"L") + _A, "not one name"),
    "too deep": (entry(_DEEP), "more than 32 parts"),
    "too long": (pax(record(b"path", b"n" * 1025)) + _A, "more than 1024 bytes"),
    "no name": (entry(b""), "name is that of a directory"),
    "a file as the root": (entry(b"./"), "name is that of a directory"),
    "a file like a directory": (entry(b"a/"), "name is that of a directory"),
    "twice": (_A + entry(b"a", b"other"), "'a' twice"),
    "twice, otherwise spelt": (_A + entry(b".//a"), "'a' twice"),
    "a directory twice": (entry(b"d/", kind=b"5") * 2, "'d' twice"),
    "a file above": (_A + entry(b"a/b"), "'a' both as a file and as a directory"),
    "a file far above": (_A + entry(b"a/b/c/d"), "'a' both as a file and as a directory"),
    "a directory in place": (entry(b"a/b") + _A, "'a' both as a file and as a directory"),
    "a file, then a directory": (_A + entry(b"a", kind=b"5"), "'a' both"),
    "a directory, then a file": (entry(b"a", kind=b"5") + _A, "'a' both"),
    "directory with contents": (entry(b"d", b"x", b"5"), "'d' with contents"),
    "hard link": (entry(b"h", kind=b"1"), "'h', which is a hard link"),
    "symbolic link": (entry(b"s", kind=b"2"), "'s', which is a symbolic link"),
    "character device": (entry(b"dev", kind=b"3"), "'dev', which is a character device"),
    "block device": (entry(b"dev", kind=b"4"), "'dev', which is a block device"),
    "FIFO": (entry(b"pipe", kind=b"6"), "'pipe', which is a FIFO"),
    "contiguous file": (entry(b"c", kind=b"7"), "'c', which is a contiguous file"),
    "sparse file": (entry(b"s", kind=b"S"), "'s', which is a sparse file"),
    "volume": (entry(b"v", kind=b"M"), "'v', which is a part"),
    "label": (entry(b"v", kind=b"V"), "of the type b'V'"),
    "long link": (entry(b"k", b"a\0", b"K"), "link with a long name"),
    "Solaris header": (entry(b"k", b"a\0", b"X"), "of the type b'X'"),
    "sparse in pax": (pax(record(b"GNU.sparse.major", b"1")) + _A, "'GNU.sparse.major'"),
    "sparse name in pax": (pax(record(b"GNU.sparse.name", b"x")) + _A, "'GNU.sparse.name'"),
    "other size in pax": (pax(record(b"SCHILY.realsize", b"9")) + _A, "'SCHILY.realsize'"),
    "link in pax": (pax(record(b"linkpath", b"x")) + _A, "'linkpath'"),
    "negative size in pax": (pax(record(b"size", b"-1")) + _A, "the size b'-1'"),
    "no size in pax": (pax(record(b"size", b"")) + _A, "'size' twice, or nothing"),
    "fraction in pax": (pax(record(b"size", b"1.5")) + _A, "the size b'1.5'"),
    "size of many digits": (pax(record(b"size", b"9" * 5000)) + _A, "the size b'999"),
    "vast size in pax": (pax(record(b"size", b"9" * 20)) + _A, "more than 68719476736 bytes"),
    "size twice in pax": (pax(record(b"size", b"4"), record(b"size", b"5")) + _A, "'size' twice"),
    "path twice in pax": (pax(record(b"path", b"b"), record(b"path", b"c")) + _A, "'path' twice"),
    "path for all": (pax(record(b"path", b"b"), kind=b"g") + _A, "'path', which"),
    "size for all": (pax(record(b"size", b"4"), kind=b"g") + _A, "'size', which"),
    "pax of nothing like it": (pax(b"hello") + _A, "does not parse"),
    "pax of length zero": (pax(b"0 a=b\n") + _A, "does not parse"),
    "pax without a length": (pax(b" a=b\n") + _A, "does not parse"),
    "pax that is too short": (pax(b"7 a=bcd\n") + _A, "does not parse"),
    "pax past its end": (pax(b"99 a=b\n") + _A, "does not parse"),
    "pax without a key": (pax(b"5 =b\n") + _A, "does not parse"),
    "pax of vast length": (pax(b"9" * 5000 + b" a=b\n") + _A, "does not parse"),
    "pax of one million": (header(b"p", 10**6, b"x") + _A, "an extended header of 1000000 bytes"),
    "long name of one GB": (header(b"l", 10**9, b"L") + _A, "an extended header of 1000000000 bytes"),
    "pax after pax": (pax(record(b"a", b"b")) * 2 + _A, "followed by another"),
    "long name after long name": (_LONG * 2 + _A, "followed by another"),
    "pax after long name": (_LONG + pax(record(b"a", b"b")) + _A, "followed by another"),
    "pax for nothing": (_A + pax(record(b"a", b"b")), "extended header at its end"),
    "negative size": (header(b"a", b"\xff" * 12), "the size"),
    "size with a sign": (header(b"a", b"-0000000001"), "the size"),
    "size with an underline": (header(b"a", b"1_0"), "the size"),
    "size with a null byte inside": (header(b"a", b"1\x001"), "the size"),
    "vast size": (header(b"a", b"\x80" + b"\xff" * 11), "more than 68719476736 bytes"),
    "wrong checksum": (_A + header(b"b", checksum=b"000001\0 "), "checksum does not match"),
    "checksum of nothing": (_A + header(b"b", checksum=b"zzzzzz\0 "), "the checksum"),
    "unknown magic": (_A + header(b"b", magic=b"other"), "unknown kind"),
    "incremental backup": (_A + header(b"b", magic=b"ustar  \0", prefix=b"00000000001"), "incremental"),
    "a lone block of zeros": (_A + bytes(BLOCK) + entry(b"b"), "after the block of zeros"),
    "two archives": (_A + END + entry(b"b"), "more after its end"),
}
