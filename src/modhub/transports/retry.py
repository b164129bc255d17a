"""When a request is made again, and how long is waited before."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from modhub.transports.failures import Failed

if TYPE_CHECKING:
    from modhub.transports.job import Job

__all__ = ["Attempts", "retry_after"]

_FIRST_WAIT = 0.5
# From here on progress does not count: a server may say of a file that it grows and grows.
_MOST_ATTEMPTS = 200


class Attempts:
    """Counts the requests for one download.

    Attributes:
      made: how many there were.
    """

    __slots__ = ("_failed", "_progress", "_settings", "_sleep", "made")

    def __init__(self, job: Job, sleep: Callable[[float], object] | None = None) -> None:
        """Begin to count.

        Args:
          job: for its settings, and its progress, which is told of further attempts.
          sleep: waits so many seconds, or raises; `time.sleep` unless given.
        """
        self._settings = job.settings
        self._progress = job.progress
        self._sleep = sleep or time.sleep
        self._failed = 0
        self.made = 0

    def begin(self) -> None:
        """Count a request."""
        self.made += 1

    def after(self, failed: Failed, *, progressed: bool) -> str | None:
        """Wait until the next attempt is due, if there is one.

        It is waited as long as the server asks for; else longer each time, and never the same time for two clients.

        Args:
          failed: how the last attempt ended.
          progressed: whether it brought us nearer to the end: such attempts do not count.

        Returns:
          None for another attempt; else what there is to add to the failure, which may be "".
        """
        self._failed = 0 if progressed and self.made < _MOST_ATTEMPTS else self._failed + 1
        longest = self._settings.retry_max_wait
        retries = self._settings.retries
        if not failed.is_passing or not retries or self._failed > retries:
            return ""
        if failed.wait is not None and failed.wait > longest:
            return (
                f"The server asks to wait {failed.wait:.0f} s, and no more than {longest:g} s are waited "
                "(MODHUB_RETRY_MAX_WAIT)."
            )
        seconds = failed.wait
        if seconds is None:
            # 30 doublings are years
            seconds = min(_FIRST_WAIT * 2 ** min(max(self._failed - 1, 0), 30), longest) * random.uniform(0.5, 1.0)
        # What progressed begins to count anew.
        number = f"Attempt {self._failed + 1} of {retries + 1}" if self._failed else "Another attempt"
        self._progress.note(f"{number} in {seconds:.1f} s: {failed.brief}")
        self._sleep(seconds)
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds a server asks to be left alone (RFC 9110, 10.2.3).

    Args:
      headers: of its answer. A date counts from the server's own clock, where it tells it.

    Returns:
      Seconds, not negative; None where the header is missing or says nothing.

    Example:
      >>> retry_after({"Retry-After": "120"})
      120.0
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:18])
    until = _time(text)
    if until is None:
        return None
    now = _time(headers.get("Date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _time(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
