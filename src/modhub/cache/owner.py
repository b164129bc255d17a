"""Who a temporary file or a lock belongs to, in a form from which others on the machine can tell that it is dead."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import socket
from pathlib import Path

__all__ = ["OWNER", "is_alive", "is_dead", "is_dead_process", "new_owner"]

OWNER = re.compile(r"m(?P<machine>[0-9a-f]{8})p(?P<pid>[0-9]+)s(?P<start>[0-9]+)r[0-9a-f]{8}")


def new_owner() -> str:
    """Return a name that no other operation has: machine, process, when the process started, and a random number.

    Example:
      >>> OWNER.fullmatch(new_owner()) is not None
      True
    """
    pid = os.getpid()
    return f"m{_machine()}p{pid}s{_start(pid)}r{secrets.token_hex(4)}"


def is_dead(owner: str) -> bool:
    """Tell whether the process behind a name is known to be gone: never where it is on another machine.

    Example:
      >>> is_dead(new_owner())
      False
    """
    found = OWNER.fullmatch(owner)
    if found is None or found["machine"] != _machine():
        return False
    pid, start = int(found["pid"]), int(found["start"])
    # A process that began at another time has only been given the number of one that is gone.
    return is_dead_process(pid) or (start != 0 and _start(pid) not in (0, start))


def is_alive(owner: str) -> bool:
    """Tell whether the process behind a name is known to run: never where it is on another machine.

    Example:
      >>> is_alive(new_owner())
      True
    """
    found = OWNER.fullmatch(owner)
    if found is None or found["machine"] != _machine():
        return False
    pid = int(found["pid"])
    # Where the system does not say when a process started, its number may be another one's now.
    is_same = pid == os.getpid() or int(found["start"]) != 0 != _start(pid)
    return is_same and not is_dead(owner)


def is_dead_process(pid: int) -> bool:
    """Tell whether no process of this machine has a number, or only one that has ended and waits for its parent."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it belongs to someone else
        return False
    return _state(pid)[:1] in ("Z", "X")


def _start(pid: int) -> int:
    """Return when a process started, in the kernel's ticks since it was booted; 0 where the system does not say."""
    fields = _state(pid).split()
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else 0


def _state(pid: int) -> str:
    """Return what Linux says of a process after its name, which may hold anything; "" elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].strip()
    except OSError:
        return ""


@functools.cache
def _machine() -> str:
    """Return what a process number is unique in: a booted system, and in it a namespace of processes."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux
        pass
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
