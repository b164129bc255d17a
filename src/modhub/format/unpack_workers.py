"""Threads that hash, write and sync while the caller unpacks; their errors are the caller's."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

from modhub.errors import CacheError

__all__ = ["Workers", "start_thread"]

_Call = tuple[Callable[..., None], tuple[object, ...]]


class Workers:
    """Some threads that make calls; with one thread, one call after the other.

    A call that raises is the last: those after it are dropped, and the caller gets the error from `call` or `finish`.
    When the block ends, the threads have ended too.
    """

    __slots__ = ("_calls", "_dropping", "_error", "_free", "_most_pending", "_threads")

    def __init__(self, threads: int, most_pending: int) -> None:
        """Start the threads.

        Args:
          threads: how many.
          most_pending: how many calls may wait or be under way; a caller with one more waits.
        """
        # Of these queues an interrupt leaves nothing behind, as it would of those with locks in Python.
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._free: SimpleQueue[None] = SimpleQueue()
        self._most_pending = most_pending
        self._error: BaseException | None = None
        self._dropping = False
        for _ in range(most_pending):
            self._free.put(None)
        # They do not keep a process alive whose user has had enough.
        self._threads = [Thread(target=self._run, name="modhub-unpack", daemon=True) for _ in range(threads)]

    def __enter__(self) -> Workers:
        try:
            for thread in self._threads:
                start_thread(thread)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dropping = True
        for thread in self._threads:
            if thread.ident is not None:
                self._calls.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Have a call made, later.

        Raises:
          BaseException: what an earlier call raised.
        """
        self._free.get()
        self._raise_error()
        self._calls.put((function, arguments))

    def finish(self) -> None:
        """Wait for all calls. It raises what `call` raises."""
        for _ in range(self._most_pending):
            self._free.get()
        for _ in range(self._most_pending):
            self._free.put(None)
        self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if self._error is None and not self._dropping:
                try:
                    call[0](*call[1])
                except BaseException as error:
                    self._error = self._error or error
            # What it holds is not to wait for the next call.
            del call
            self._free.put(None)


def start_thread(thread: Thread) -> None:
    """Start a thread.

    Raises:
      CacheError: the system has none left.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise CacheError(
            "Unpacking takes threads, and the system starts no more. End other programs, or raise its limit (ulimit)."
        ) from error
