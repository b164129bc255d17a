"""modhub.lock: which digest each handle is to have, so that a later run gets the same modules."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modhub import errors
from modhub.settings import Settings
from modhub.settings.rereading import read_again

__all__ = ["pinned", "read_lock", "update_lock"]

_VERSION = 1
_MOST_BYTES = 64 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})", re.MULTILINE)

# A lock is held for milliseconds. Whoever holds it longer has been stopped, or means something else by it.
_LONGEST_WAIT = 10.0
_BETWEEN_TRIES = 0.01
_updating = threading.Lock()


def pinned(handle: str, settings: Settings) -> str | None:
    """Return the digest that the lock file has for a handle.

    Args:
      handle: as it was written when it was locked.
      settings: of these the lock file.

    Returns:
      The SHA-256 in hexadecimal; None where there is no lock file, or nothing of the handle in it.

    Raises:
      InvalidArgumentError: the lock file is not there, cannot be read, or is damaged.
    """
    if settings.lock_file is None:
        return None
    locked = read_lock(settings.lock_file)
    if not locked and not settings.lock_file.exists():
        raise errors.InvalidArgumentError(
            f"The lock file {str(settings.lock_file)!r}, which MODHUB_LOCK or the configuration names, does not exist. "
            "`modhub pull --lock` makes one; an empty MODHUB_LOCK goes without."
        )
    return locked.get(handle)


def read_lock(path: Path) -> Mapping[str, str]:
    """Return the digests of a lock file by handle. It is read again only when it has changed.

    Args:
      path: of the file; where there is none, nothing is locked.

    Returns:
      Digests (SHA-256 in hexadecimal) by handle.

    Raises:
      InvalidArgumentError: it cannot be read, or is damaged; the message says in which line.

    Example:
      >>> read_lock(Path("no/such/modhub.lock"))
      mappingproxy({})
    """
    return _read(path)[1]


def update_lock(path: Path, digests: Mapping[str, str]) -> None:
    """Lock handles; what the file says of others stays.

    The file is replaced at once, so that nobody reads half of one. Processes that update it at the same time wait for
    each other; where the file system has no locks, one of them may undo what another has added.

    Args:
      path: of the lock file; it is made where there is none.
      digests: SHA-256 in hexadecimal by handle.

    Raises:
      InvalidArgumentError: the file is damaged, or cannot be read or written; it is as it was. Or what is given is no
        digest.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     lock = Path(folder, "modhub.lock")
      ...     update_lock(lock, {"https://example.com/tiny/1": "0a" * 32})
      ...     sorted(read_lock(lock))
      ['https://example.com/tiny/1']
    """
    for handle, digest in digests.items():
        if not _SHA256.fullmatch(digest):
            raise errors.InvalidArgumentError(
                f"{digest!r} for {handle!r} is no digest: give a SHA-256, in 64 digits of 0-9 and a-f."
            )
    # Where the path is a link, what it leads to is replaced, and not the link.
    target = Path(os.path.realpath(path))
    try:
        with _updating:
            if not target.exists() and _write(target, _with({}, digests), new=True):
                return
            with _held(target):
                document, locked = _read(target)
                if any(locked.get(handle) != digest for handle, digest in digests.items()):
                    _write(target, _with(document, digests), new=False)
    except OSError as error:
        raise errors.InvalidArgumentError(
            f"The lock file {str(path)!r} cannot be written: {error.strerror}. It is as it was."
        ) from error


def _read(path: Path) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Return the whole document, and the digests by handle."""
    try:
        return read_again(os.path.abspath(path), _parse, _MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return MappingProxyType({}), MappingProxyType({})
    except OSError as error:
        raise errors.InvalidArgumentError(
            f"The lock file {str(path)!r} cannot be read: {error.strerror}. Make it readable, or set MODHUB_LOCK to "
            "an empty text to go without."
        ) from error


def _parse(path: str, data: bytes) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    import json

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace")
        raise _damaged(path, before, len(before), "it is not UTF-8") from error
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        raise _damaged(path, text, conflict.start(), "it has the marks of a merge that is not finished")
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise _damaged(path, text, error.pos, f"it is not JSON ({error.msg})") from error
    except _RepeatedError as error:
        raise _damaged(path, text, text.rfind(_written(text, error.key)), f"{error.key!r} is there twice") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise _damaged(path, text, 0, f"it is no lock file ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("modules"), dict) or "version" not in document:
        raise _damaged(path, text, 0, 'it is not an object with "version" and "modules"')
    if document["version"] != _VERSION:
        raise errors.InvalidArgumentError(
            f"The lock file {path!r} has the version {document['version']!r}, and this modhub knows {_VERSION}: use "
            "the modhub that wrote it, or remove it and lock anew."
        )
    digests: dict[str, str] = {}
    for handle, entry in document["modules"].items():
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            what = f'{handle!r} has no "sha256" of 64 digits of 0-9 and a-f'
            raise _damaged(path, text, text.find(_written(text, handle)), what)
        digests[handle] = digest
    return MappingProxyType(document), MappingProxyType(digests)


class _RepeatedError(ValueError):
    """A key that an object has twice. The json module would let the later one count."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedError(key)
        found[key] = value
    return found


def _written(text: str, key: str) -> str:
    """Return a key as the text of a JSON file has it."""
    import json

    plain = json.dumps(key, ensure_ascii=False)
    return plain if plain in text else json.dumps(key)


def _damaged(path: str, text: str, offset: int, what: str) -> errors.InvalidArgumentError:
    line = text.count("\n", 0, max(offset, 0)) + 1
    return errors.InvalidArgumentError(
        f"The lock file {path!r} is damaged in line {line}: {what}. Restore it, or remove it and lock anew."
    )


def _with(document: Mapping[str, Any], digests: Mapping[str, str]) -> bytes:
    """Return a document with digests added or replaced, and all else as it was."""
    import json

    modules = {**document.get("modules", {}), **{handle: {"sha256": digest} for handle, digest in digests.items()}}
    return json.dumps({**document, "version": _VERSION, "modules": modules}, indent=2, sort_keys=True).encode() + b"\n"


def _write(target: Path, data: bytes, *, new: bool) -> bool:
    """Put a file in its place at once.

    Args:
      target: the place.
      data: the contents.
      new: whether there was no file. One that has come meanwhile is left.

    Returns:
      Whether the file is in its place.

    Raises:
      OSError: it cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not new:
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
            return True
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            os.replace(temporary, target)
        return True
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


@contextlib.contextmanager
def _held(target: Path) -> Iterator[None]:
    """Keep other processes from replacing a file, where the system can do that."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is refused later, and not waited for
        try:
            while time.monotonic() < deadline:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                        break  # no locks on this file system
                time.sleep(_BETWEEN_TRIES)
            # Whoever had the lock before may have put another file in the place of this one.
            if time.monotonic() >= deadline or os.path.samestat(os.fstat(descriptor), target.stat()):
                yield
                return
        finally:
            os.close(descriptor)
