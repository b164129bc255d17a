"""Sizes, times and durations, as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import click

__all__ = ["DURATION", "SIZE", "moment_text", "size_text", "time_text"]

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_QUANTITY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]*)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def size_text(count: int) -> str:
    """Return a number of bytes for people, in powers of 1000.

    Example:
      >>> size_text(1), size_text(1_234_567)
      ('1 byte', '1.2 MB')
    """
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    size, power = float(count), 0
    # What would be rounded to 1000 of a unit is 1 of the next.
    while size >= 999.95 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.1f} {_UNITS[power]}"


def time_text(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as the clock here shows it, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def moment_text(text: str) -> str:
    """Return a time that was written in ISO 8601 as the clock here shows it; another text as it is.

    Example:
      >>> moment_text("2026-01-31 12:34:56.789"), moment_text("some day")
      ('2026-01-31 12:34', 'some day')
    """
    try:
        return time_text(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        return text


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A size such as 10GB, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from modhub.settings.parsing import size

        try:
            return size(0)(value)
        except ValueError as error:
            self.fail(f"{value!r} is no size: {error}.", param, ctx)


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A duration such as 30d, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = _QUANTITY.fullmatch(str(value).strip().lower())
        if found is None or found[2] not in _SECONDS:
            self.fail(
                f'{value!r} is no duration: give a number and a unit ({", ".join(_SECONDS)}), such as "30d".',
                param,
                ctx,
            )
        return float(found[1]) * _SECONDS[found[2]]


SIZE = _Size()
DURATION = _Duration()
