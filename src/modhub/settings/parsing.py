"""From what a user wrote, as text or as a value, to a checked value: switches, numbers, sizes, durations, paths.

Each parser takes a text (of an environment variable, or a string) or a value of Python or TOML, and raises a ValueError
that says what is accepted, to be put after what was given.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["choice", "count", "parse_flag", "parse_lock_path", "parse_path", "parse_path_text", "seconds", "size"]

_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

# Enough digits for any size; more would only make long numbers.
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)")
_SIZE_UNITS = {"": 1, "b": 1}
_SIZE_UNITS |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", start=1)}
_SIZE_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", start=1)}
_TIME_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}

_MOST_BYTES = 2**63 - 1
_MOST_SECONDS = 1e6  # eleven days; what a socket takes as a timeout has an end too

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: "C:" is a drive


def parse_flag(value: object) -> bool:
    """Return the boolean that a value stands for; an empty text is False.

    Example:
      >>> parse_flag("Yes"), parse_flag(""), parse_flag(0)
      (True, False, False)
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not value.strip():
        return False
    known = _FLAGS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if known is None:
        raise ValueError("give 1, true, yes or on, or 0, false, no or off")
    return known


def size(least: int) -> Callable[[object], int]:
    """Return a parser of sizes in bytes: numbers, or texts such as "10GB" (10**10) and "512 MiB" (2**29).

    Args:
      least: what is smaller is refused.

    Example:
      >>> size(0)("1.5 kB"), size(0)("512MiB"), size(0)(3)
      (1500, 536870912, 3)
    """

    def parse(value: object) -> int:
        number: float | None = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str) and (found := _QUANTITY.fullmatch(value.strip())):
            unit = _SIZE_UNITS.get(found[2].lower())
            if unit is not None:
                # A float would round sizes above 2**53.
                number = int(found[1]) * unit if "." not in found[1] else int(float(found[1]) * unit)
        if number is None or not least <= number <= _MOST_BYTES:
            raise ValueError(
                f"give a number of bytes, {least} or more, also with a unit (kB, MB, GB, TB; KiB, MiB, GiB, TiB): "
                '"10GB"'
            )
        return int(number)

    return parse


def seconds(*, zero: bool) -> Callable[[object], float]:
    """Return a parser of durations in seconds: numbers, or texts such as "90", "1.5s", "500 ms", "2min" and "1h".

    Args:
      zero: whether 0 is accepted.

    Example:
      >>> seconds(zero=False)("500 ms"), seconds(zero=False)(3)
      (0.5, 3.0)
    """

    def parse(value: object) -> float:
        number = math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str) and (found := _QUANTITY.fullmatch(value.strip())):
            number = float(found[1]) * _TIME_UNITS.get(found[2].lower(), math.nan)
        if not 0 <= number <= _MOST_SECONDS or (number == 0 and not zero):
            raise ValueError(
                f"give a number of seconds, {'0 or more' if zero else 'more than 0'} and at most {_MOST_SECONDS:.0f}, "
                'also with a unit (ms, s, min, h): "90s"'
            )
        return float(number)

    return parse


def count(most: int) -> Callable[[object], int]:
    """Return a parser of whole numbers from 0 to `most`.

    Example:
      >>> count(9)(" 3 ")
      3
    """

    def parse(value: object) -> int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else -1
        if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value.strip()):
            number = int(value)
        if not 0 <= number <= most:
            raise ValueError(f"give a whole number from 0 to {most}")
        return number

    return parse


def choice(*names: str) -> Callable[[object], str]:
    """Return a parser of one of some names, in capitals or not.

    Example:
      >>> choice("AUTO", "COMPRESSED")("auto")
      'AUTO'
    """

    def parse(value: object) -> str:
        name = value.strip().upper() if isinstance(value, str) else ""
        if name not in names:
            raise ValueError(f"give {', '.join(names[:-1])} or {names[-1]}")
        return name

    return parse


def parse_path(value: object) -> Path:
    """Return an absolute path; a leading "~" is the user's home.

    Example:
      >>> parse_path("models").is_absolute()
      True
    """
    return Path(parse_path_text(value))


def parse_path_text(value: object) -> str:
    """Return an absolute path as text, as `parse_path` does."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise ValueError("give a path")
    if _URL.match(text):
        raise ValueError("it is a URL: give a path on this machine")
    if text.startswith("~"):
        text = os.path.expanduser(text)
        if text.startswith("~"):
            raise ValueError('the home directory that "~" stands for is not known: give an absolute path')
    try:
        return text if os.path.isabs(text) else os.path.join(os.getcwd(), text)
    except OSError as error:  # the directory was removed
        raise ValueError(f"the working directory is not known ({error.strerror}): give an absolute path") from error


def parse_lock_path(value: object) -> Path | None:
    """Return an absolute path, or None for an empty text, by which a lock file is turned off."""
    return None if isinstance(value, str) and not value.strip() else parse_path(value)
