"""Processes that resolve a handle and may be killed while they do, forked from one that has imported modhub already."""

from __future__ import annotations

import contextlib
import errno
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import requests  # noqa: F401  # so that no child has to import it

import modhub.cache.listing
import modhub.cache.store
import modhub.handles.fetching
import modhub.transports.http
from modhub.errors import ModhubError
from modhub.handles import resolve

__all__ = ["Child", "Result", "Task", "settings_for", "start"]

_PATIENCE = 60.0
_ROOT = Path(__file__).resolve().parents[2]
# What is done to files and shows in no audit event.
_SYSTEM_CALLS = ("write", "fsync", "fdatasync", "close")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a child does.

    Attributes:
      handle: is resolved.
      settings: environment variables.
      verify: as for `resolve`.
      kill_at: the number of the system call, of those that touch files, before which it kills itself; 0 for never.
      no_flock: make flock and lockf do nothing.
      no_links: refuse hard links.
      no_lock: let anyone download at any time.
    """

    handle: str
    settings: Mapping[str, str]
    verify: bool = False
    kill_at: int = 0
    no_flock: bool = False
    no_links: bool = False
    no_lock: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of it.

    Attributes:
      directory: that was returned; None after an error.
      error: an error of modhub; "" for none.
      surprise: another error.
      locked: how often flock or lockf was called.
      calls: how many system calls touched files.
    """

    directory: str | None = None
    error: str = ""
    surprise: str = ""
    locked: int = 0
    calls: int = 0


@dataclass(kw_only=True)
class Child:
    """A process that waits to be let go."""

    process: Any
    connection: Connection

    def go(self) -> None:
        self.connection.send("go")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)

    def result(self) -> Result | None:
        """Wait for the end; None where the process was killed."""
        result = None
        with contextlib.suppress(EOFError, ConnectionError):
            if self.connection.poll(_PATIENCE):
                result = self.connection.recv()
                self.connection.send("bye")
            else:
                self.kill()
                result = Result(surprise=f"no end within {_PATIENCE} s")
        self.process.join(_PATIENCE)
        self.process.close()
        self.connection.close()
        return result


def settings_for(cache: Path, **more: str) -> dict[str, str]:
    """The environment of a child: a cache, and nothing that takes long."""
    return {"TFHUB_CACHE_DIR": str(cache), "MODHUB_LOCK": "", "MODHUB_CONFIG": "", "MODHUB_RETRIES": "1"} | more


def start(task: Task) -> Child:
    """Start a child, and wait until it is about to resolve."""
    context = multiprocessing.get_context("forkserver")
    _start_server(context)
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, task), daemon=True)
    process.start()
    there.close()
    assert here.poll(_PATIENCE)
    assert here.recv() == "ready"
    return Child(process=process, connection=here)


def _start_server(context: Any) -> None:
    """Start the process that forks, with all imported that children need."""
    main = getattr(sys.modules["__main__"], "__spec__", None)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *filter(None, [before])])
    try:
        # Each child imports the main module again, which for pytest would take long.
        mains = [main.name.removesuffix(".__main__")] if main and main.name.endswith(".__main__") else []
        context.set_forkserver_preload([__name__, *mains])
        multiprocessing.forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _work(connection: Connection, task: Task) -> None:
    for name in [name for name in os.environ if name.startswith(("MODHUB_", "TFHUB_"))]:
        del os.environ[name]
    os.environ.update(task.settings)
    logging.getLogger("modhub").setLevel(logging.CRITICAL)
    locked = _without_flock() if task.no_flock else []
    if task.no_links:
        _without_links()
    if task.no_lock:
        modhub.cache.store.download_lock = _no_lock  # type: ignore[assignment]
    connection.send("ready")
    connection.recv()
    calls = _counted(task.kill_at)
    try:
        result = Result(directory=resolve(task.handle, verify=task.verify))
    except ModhubError as error:
        result = Result(error=f"{type(error).__name__}: {error}")
    except BaseException as error:
        result = Result(surprise=f"{type(error).__name__}: {error}")
    sent = Result(
        directory=result.directory,
        error=result.error,
        surprise=result.surprise,
        locked=len(locked),
        calls=calls[0],
    )
    calls[1] = 0
    connection.send(sent)
    # So that the number of the process is its own for as long as it may be killed.
    with contextlib.suppress(EOFError):
        connection.recv()


def _without_flock() -> list[object]:
    import fcntl

    called: list[object] = []
    fcntl.flock = fcntl.lockf = lambda *arguments: called.append(arguments)  # type: ignore[assignment]
    return called


def _without_links() -> None:
    def link(*arguments: object, **more: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    os.link = link  # type: ignore[assignment]


@contextlib.contextmanager
def _no_lock(*arguments: object, **more: object) -> Iterator[None]:
    yield


def _counted(kill_at: int) -> list[int]:
    """Count the calls that touch files, and end the process, as the system would, before one of them."""
    counted = [0, kill_at]
    counting = threading.RLock()  # killing is an event too

    def count() -> None:
        with counting:
            counted[0] += 1
            if counted[0] == counted[1]:
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(("os.", "shutil.")) or event == "open":
            count()

    def counting_call(name: str) -> Any:
        original = getattr(os, name)

        def call(*arguments: Any) -> Any:
            count()
            return original(*arguments)

        return call

    sys.addaudithook(hook)
    for name in _SYSTEM_CALLS:
        setattr(os, name, counting_call(name))
    return counted
