"""How far an export is: a bar on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from modhub.transports.progress import portion

__all__ = ["telling"]

_SECONDS_BETWEEN_LINES = 5.0


@contextlib.contextmanager
def telling(label: str, total: int, *, in_bytes: bool, progress: bool | None) -> Iterator[Callable[[int], None]]:
    """Say on stderr how far something is, while the block lasts.

    Args:
      label: what is exported.
      total: what there is, in bytes or in words.
      in_bytes: which of them.
      progress: as the setting of that name: False shows nothing; None a bar if stderr is a terminal; True a bar on a
        terminal, and lines elsewhere.

    Yields:
      A function to call with how much of it was done so far.
    """
    stream = sys.stderr
    if stream is None or progress is False or not (progress or stream.isatty()):
        yield lambda done: None
    elif stream.isatty():
        with _bar(label, total, in_bytes=in_bytes) as tell:
            yield tell
    else:
        yield _Lines(stream, label, total, in_bytes=in_bytes)


@contextlib.contextmanager
def _bar(label: str, total: int, *, in_bytes: bool) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}", markup=False)  # a path may hold brackets
    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    console = Console(stderr=True)
    with Progress(text, BarColumn(), amount, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


class _Lines:
    """A line every few seconds."""

    def __init__(self, stream: TextIO, label: str, total: int, *, in_bytes: bool) -> None:
        self._stream = stream
        self._label = label
        self._total = total
        self._in_bytes = in_bytes
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def __call__(self, done: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
        amount = portion(done, self._total) if self._in_bytes else f"{done} of {self._total} words"
        share = f" ({100 * done // self._total}%)" if self._total else ""
        print(f"Exporting {self._label}: {amount}{share}", file=self._stream, flush=True)
