"""Digests of files, and of a tree of them, as `sha256sum` would print them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modhub.errors import CorruptModuleError, InvalidArgumentError, NotAModuleError

__all__ = ["FileDigest", "digest_file", "tree_digest"]

# Large enough that hashing dominates, small enough to stay in the cache of a core.
_BLOCK = 2**20
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    # Not blocking: a FIFO would be waited for until someone writes to it.
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
# What `sha256sum` writes in place of characters that would break its lines.
_ESCAPES = ((b"\\", rb"\\"), (b"\n", rb"\n"), (b"\r", rb"\r"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """What a file is known by.

    Attributes:
      size: in bytes.
      sha256: of its contents, 64 hexadecimal digits in lower case.
    """

    size: int
    sha256: str


def digest_file(path: Path) -> FileDigest:
    r"""Read a file, and digest it.

    Args:
      path: of a regular file. A symbolic link is not followed where the system can refuse to.

    Returns:
      Its size and sha256, both of the bytes that were read.

    Raises:
      NotAModuleError: there is no such file.
      CorruptModuleError: something else is there, or it cannot be read.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     _ = Path(folder, "tfhub_module.pb").write_bytes(b"\x08\x03")
      ...     digest_file(Path(folder, "tfhub_module.pb")).sha256[:16]
      '2d88972e9536ba54'
    """
    where = repr(str(path))
    buffer = memoryview(bytearray(_BLOCK))
    digest = hashlib.sha256()
    size = 0
    try:
        with os.fdopen(os.open(path, _FLAGS), "rb", 0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CorruptModuleError(f"{where} is not a regular file; a module has one there.")
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
                size += count
    except CorruptModuleError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotAModuleError(f"{where} does not exist.") from error
    except IsADirectoryError as error:
        raise CorruptModuleError(f"{where} is a directory; a module has a file there.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise CorruptModuleError(f"{where} is a symbolic link; its digest is that of a file.") from error
        raise CorruptModuleError(f"{where} cannot be read: {error}. Check its permissions.") from error
    return FileDigest(size=size, sha256=digest.hexdigest())


def tree_digest(files: Mapping[str, str]) -> str:
    """Digest a tree of files, by their names and the digests of their contents.

    It can be had without modhub, in the directory of the files, by
    `find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum`, as long as `xargs` calls it once.

    Args:
      files: the sha256 of each, 64 hexadecimal digits in lower case, by its name relative to the root, with slashes.

    Returns:
      The sha256 of those lines, 64 hexadecimal digits.

    Raises:
      InvalidArgumentError: a name is not one that a file can have.

    Example:
      >>> tree_digest({})[:16]
      'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    for name, sha256 in sorted((_encoded(name), sha256) for name, sha256 in files.items()):
        written = name
        for character, escape in _ESCAPES:
            written = written.replace(character, escape)
        mark = b"\\" if written != name else b""
        digest.update(mark + sha256.encode() + b"  ./" + written + b"\n")
    return digest.hexdigest()


def _encoded(name: str) -> bytes:
    try:
        # The bytes that the name has on Linux, on any system.
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{name!r} is no name of a file: {error}. Give names as the system does.") from error
