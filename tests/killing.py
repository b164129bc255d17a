"""Forks a process for an action, and kills or interrupts it in the middle.

Where that is is a number of calls into the interpreter, which are counted once: points spread over them fall on every
step of the action. Imports and sessions come before the fork, so that each takes milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["count_calls", "ended", "forked", "interrupted_at", "killed_at", "spread", "was_killed"]


def forked(action: Callable[[], Any]) -> int:
    """Run `action` in a forked process, whose exit status is 1 if it raises; return its number."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    """Wait for a process; return its wait status."""
    return os.waitpid(pid, 0)[1]


def count_calls(action: Callable[[], Any]) -> int:
    """Return how many calls an action makes, which is run in a forked process."""
    reader, writer = os.pipe()

    def counted() -> None:
        calls = 0

        def count(*_: Any) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        action()
        sys.setprofile(None)
        os.write(writer, str(calls).encode())

    assert ended(forked(counted)) == 0
    os.close(writer)
    with open(reader, "rb") as file:
        return int(file.read())


def killed_at(point: int, action: Callable[[], Any]) -> int:
    """Run an action in a forked process, which kills itself at a call; return its wait status."""
    return ended(forked(lambda: _call_at(point, action, lambda: os.kill(os.getpid(), signal.SIGKILL))))


def interrupted_at(point: int, action: Callable[[], Any]) -> int:
    """Run an action in a forked process, and press Ctrl-C right after a call; return its wait status.

    Raised in the profiler, an interrupt would come in the midst of what Python does at once, such as the beginning and
    the end of a `with` block. So it comes from outside, and once more where it finds the process in this file.
    """
    reader, writer = os.pipe()

    def ask() -> None:
        sys.setprofile(None)
        os.write(writer, b"now")

    def interrupt(number: int, frame: Any) -> None:
        if frame.f_code.co_filename == __file__:
            os.write(writer, b"again")
        else:
            signal.default_int_handler(number, frame)

    def interruptible() -> None:
        signal.signal(signal.SIGINT, interrupt)
        _call_at(point, action, ask)

    pid = forked(interruptible)
    os.close(writer)
    while os.read(reader, 100):
        os.kill(pid, signal.SIGINT)  # of a process that has ended, too, its parent may say so
    os.close(reader)
    return ended(pid)


def _call_at(point: int, action: Callable[[], Any], act: Callable[[], Any]) -> None:
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == point:
            act()

    sys.setprofile(count)
    action()


def spread(points: int, calls: int) -> Iterator[int]:
    """Spread points evenly over calls; the last one lies behind the end, so that nothing happens to one action."""
    for number in range(points - 1):
        yield 1 + number * calls // (points - 2)
    yield 10 * calls


def was_killed(status: int) -> bool:
    """Tell whether a process of this wait status was killed."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
