"""How far a download is: a bar on a terminal, a line now and then elsewhere, or only a log record."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from modhub.settings import Settings

__all__ = ["Progress", "QuietProgress", "portion", "progress_for"]

_LOG = logging.getLogger("modhub")
_SECONDS_BETWEEN_LINES = 5.0
_UNITS = ((0, "bytes"), (1, "kB"), (2, "MB"))


class Progress(Protocol):
    """Is told of a download. All methods may be called from any thread, `start` again when one begins anew."""

    def start(self, total: int | None, label: str) -> None:
        """Begin.

        Args:
          total: how many bytes will come; None where it is not known.
          label: what is fetched.
        """

    def advance(self, count: int) -> None:
        """Count so many bytes more."""

    def note(self, text: str) -> None:
        """Tell of something that happens once, such as a further attempt; also before a start."""

    def done(self) -> None:
        """End, as all came. Nothing where it did not start, or has ended."""

    def stopped(self, *, goes_on: bool = False) -> None:
        """End before all came. Nothing where it did not start, or has ended.

        Args:
          goes_on: whether what came is kept for the next attempt.
        """


def progress_for(settings: Settings) -> Progress:
    """Return what shows downloads.

    It goes to stderr, as stdout is for results.

    Args:
      settings: `progress` False shows nothing; None a bar if stderr is a terminal; True a bar on a terminal, and lines
        elsewhere.

    Returns:
      A progress for one download.
    """
    stream = sys.stderr
    if settings.progress is not False and stream is not None:
        if stream.isatty():
            return _Bar(stream)
        if settings.progress:
            return _Lines(stream)
    return QuietProgress()


def portion(count: int, total: int | None) -> str:
    """Return how much of a total there is, as people read it.

    Example:
      >>> portion(12_500_000, 40_000_000)
      '12.5 of 40.0 MB'
    """
    if total is None:
        return _bytes(count)
    scale, unit = _scale(total)
    return f"{_scaled(count, scale)} of {_scaled(total, scale)} {unit}"


class QuietProgress:
    """Writes log records (level INFO) when a download starts, and of what happens once."""

    def start(self, total: int | None, label: str) -> None:
        """Log what is fetched."""
        _LOG.info("Fetching %s (%s)", label, _bytes(total))

    def advance(self, count: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Log it."""
        _LOG.info("%s", text)

    def done(self) -> None:
        """Do nothing."""

    def stopped(self, *, goes_on: bool = False) -> None:
        """Do nothing: an error tells of it."""


class _Lines:
    """A line at the start, at the end, and every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._total: int | None = None
        self._label: str | None = None
        self._count = 0
        self._next = 0.0

    def start(self, total: int | None, label: str) -> None:
        with self._lock:
            self._total, self._label, self._count = total, label, 0
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self._write(f"Fetching {label} ({_bytes(total)})")

    def advance(self, count: int) -> None:
        with self._lock:
            self._count += count
            if self._label is not None and time.monotonic() >= self._next:
                self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
                share = f" ({100 * self._count // self._total}%)" if self._total else ""
                self._write(f"Fetching {self._label}: {portion(self._count, self._total)}{share}")

    def note(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def done(self) -> None:
        with self._lock:
            if self._label is not None:
                self._write(f"Fetched {_bytes(self._count)} of {self._label}")
                self._label = None

    def stopped(self, *, goes_on: bool = False) -> None:
        with self._lock:
            if self._label is not None:
                self._write(_stopped(self._count, self._total, goes_on))
                self._label = None

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class _Bar:
    """A bar of rich, which keeps its own lock and its own pace."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def start(self, total: int | None, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        if self._bar is None:
            # markup off: a handle may hold brackets
            text = TextColumn("{task.description}", markup=False)
            columns = (text, BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(label, total=total)

    def advance(self, count: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)

    def note(self, text: str) -> None:
        if self._bar is None:
            print(text, file=self._stream, flush=True)
        else:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def done(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None

    def stopped(self, *, goes_on: bool = False) -> None:
        tasks = self._bar.tasks if self._bar is not None else []
        text = [
            _stopped(int(task.completed), None if task.total is None else int(task.total), goes_on) for task in tasks
        ]
        self.done()
        for line in text:
            self.note(line)


def _stopped(count: int, total: int | None, goes_on: bool) -> str:
    return f"Stopped at {portion(count, total)}" + ("; the next attempt goes on from there" if goes_on else "")


def _bytes(count: int | None) -> str:
    """Return a number of bytes as people read it."""
    if count is None:
        return "unknown size"
    scale, unit = _scale(count)
    return f"{_scaled(count, scale)} {unit}"


def _scale(count: int) -> tuple[int, str]:
    """Return the unit in which a number of bytes is written, as bytes and by its name."""
    return next(((1000**power, unit) for power, unit in _UNITS if count < 1000 ** (power + 1)), (1000**3, "GB"))


def _scaled(count: int, scale: int) -> str:
    return str(count) if scale == 1 else f"{count / scale:.1f}"
