"""One download of a module at a time: a lock that saves bandwidth, and on which nothing else depends.

It is tensorflow_hub's: a file `<key>.lock` that holds "host.pid.owner", so the two wait for each other. It needs no
`flock`, which does nothing on some file systems. Two who both believe to have it download twice, and no more.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modhub.cache.checking import size_of
from modhub.cache.names import lock_name, parse_temporary, temporary_name
from modhub.cache.owner import is_dead, is_dead_process, new_owner
from modhub.cache.regular import open_regular

__all__ = ["download_lock", "is_abandoned"]

_POLL_S = 0.05
_BEAT_S = 1.0
_STALE_S = 30.0
# Where there are no hard links, a lock is empty for an instant; one that stays so was left by a process that died then.
_NAMELESS_STALE_S = 0.5
_MOST_BYTES = 4096
_MOST_SHOWN = 200
# So often a lock may be gone and another one there before ours; then it is passed by.
_MOST_ROUNDS = 100
# What file systems without hard links answer.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is in the place of a lock.

    Attributes:
      is_file: whether it is one.
      content: what it says; nothing where it is not for us to read.
      written: when it was last touched.
    """

    is_file: bool
    content: bytes = b""
    written: int = 0


@contextmanager
def download_lock(
    directory: Path, key: str, owner: str, on_wait: Callable[[str], None], stale_after: float = _STALE_S
) -> Iterator[None]:
    """Hold the lock of an entry; wait while another process has it.

    A lock whose process is known to be gone is taken away at once; one that shows no sign of life (its time does not
    change, and its directory does not grow) after some time. What is no file is nobody's lock.

    Args:
      directory: the cache.
      key: of the entry.
      owner: who asks, see `new_owner`.
      on_wait: called once with who has the lock, if it has to be waited for: a short text that can be printed.
      stale_after: seconds without a sign of life after which a lock is taken away.

    Raises:
      OSError: the directory cannot be written.
    """
    path = directory / lock_name(key)
    content = f"{socket.gethostname()}.{os.getpid()}.{owner}".encode()
    waited = False
    for _ in range(_MOST_ROUNDS):
        if _create(path, content, directory / temporary_name(key, owner, "lock")):
            break
        seen = _read(path)
        if not waited and seen is not None and seen.content:
            waited = True
            on_wait(_printable(seen.content))
        if not _wait(path, key, stale_after):
            # Nobody holds it, and it is not ours to remove. It is only there to save a download.
            yield
            return
    else:
        yield
        return
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), name="modhub-lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        seen = _read(path)
        if seen is not None and seen.content == content:
            with suppress(OSError):
                path.unlink()


def is_abandoned(path: Path) -> bool:
    """Tell whether a file is the lock of a process that is known to be gone."""
    seen = _read(path)
    return seen is not None and _is_abandoned(seen.content)


def _create(path: Path, content: bytes, temporary: Path) -> bool:
    """Create the lock with its content, or find it there. It appears whole, as a hard link to a finished file."""
    try:
        with open(temporary, "xb") as file:
            file.write(content)
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with open(path, "xb") as file:
                file.write(content)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _wait(path: Path, key: str, stale_after: float) -> bool:
    """Wait until a lock is gone, or was taken away; False where it should be taken away and cannot."""
    before: object = None
    since = time.monotonic()
    size_at = 0.0
    size = 0
    while True:
        # Opened anew each time: network file systems show what others wrote only then.
        seen = _read(path)
        if seen is None:
            return True
        if not seen.is_file or _is_abandoned(seen.content):
            return _take_away(path, seen.content)
        now = time.monotonic()
        growing = _growing(key, seen.content)
        if growing and now - size_at > _BEAT_S:
            size_at, size = now, size_of(path.parent / growing)
        if before != (seen, size):
            before, since = (seen, size), now
        elif now - since > (stale_after if seen.content else min(stale_after, _NAMELESS_STALE_S)):
            return _take_away(path, seen.content)
        time.sleep(_POLL_S)


def _is_abandoned(content: bytes) -> bool:
    """Tell whether the process that a lock names is known to be gone."""
    host, _, rest = content.decode("utf-8", "replace").rpartition(".")[0].rpartition(".")
    owner = content.decode("utf-8", "replace").rpartition(".")[2]
    if is_dead(owner):
        return True
    # tensorflow_hub's, which names the process only by its number.
    return host == socket.gethostname() and len(owner) == 32 and rest.isdecimal() and is_dead_process(int(rest))


def _take_away(path: Path, content: bytes) -> bool:
    """Remove a lock, but not one that someone else has made meanwhile; False where it stays."""
    key = path.name.partition(".")[0]
    grave = path.with_name(temporary_name(key, new_owner(), "lock"))
    try:
        os.rename(path, grave)
    except FileNotFoundError:
        return True
    except OSError:  # it is someone else's, in a directory from which only they can remove it
        return False
    with suppress(OSError):
        seen = _read(grave)
        if seen is not None and seen.content != content:
            with suppress(OSError):
                os.link(grave, path)
        grave.unlink()
    return True


def _beat(path: Path, stop: threading.Event) -> None:
    """Show that the lock's owner is at work."""
    while not stop.wait(_BEAT_S):
        with suppress(OSError):
            os.utime(path)


def _read(path: Path) -> _Seen | None:
    """Return what is in the place of a lock; None where there is nothing."""
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            return _Seen(is_file=True, content=file.read(_MOST_BYTES), written=status.st_mtime_ns)
    except FileNotFoundError:
        return None
    except OSError:  # it is there, and not for us to read, or no file
        pass
    try:
        status = path.lstat()
    except OSError:
        return None
    return _Seen(is_file=stat.S_ISREG(status.st_mode), written=status.st_mtime_ns)


def _printable(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    return "".join(character for character in text if character.isprintable())[:_MOST_SHOWN]


def _growing(key: str, content: bytes) -> str:
    """Return the name of the directory that whoever has the lock fills; "" where it names nobody."""
    name = temporary_name(key, content.decode("utf-8", "replace").rpartition(".")[2], "tmp")
    return name if parse_temporary(name) else ""
