"""Reads the modules of a command that takes several: one that cannot be read does not hide what is found in others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from modhub import errors
from modhub.cli.failures import BAD_USAGE, FINDINGS, OK, describe, wants_traceback

__all__ = ["Reports", "Unreadable", "read_each"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A handle that could not be read.

    Attributes:
      handle: as it was given.
      message: why, as stderr says it.
    """

    handle: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports(Generic[R]):
    """What was found, in the order of the handles.

    Attributes:
      found: of the modules that could be read.
      unreadable: the others.
    """

    found: tuple[R, ...]
    unreadable: tuple[Unreadable, ...]

    def status(self, failed: bool) -> int:
        """Return the exit status, if `failed` says whether something was found that makes a module fail."""
        if self.unreadable:
            return BAD_USAGE
        return FINDINGS if failed else OK


def read_each(handles: Sequence[str], read: Callable[[str], R]) -> Reports[R]:
    """Call `read` for each handle; those that it cannot read are said on stderr, in a line each.

    Args:
      handles: of modules.
      read: what a command does with one. What it raises for any handle alike has to be found out before.
    """
    found: list[R] = []
    unreadable: list[Unreadable] = []
    for handle in handles:
        try:
            found.append(read(handle))
        except (errors.ModhubError, OSError) as error:
            lines = None if wants_traceback() else describe(error)
            if lines is None:
                raise
            print(*lines, sep="\n", file=sys.stderr)
            unreadable.append(Unreadable(handle=handle, message=lines[0].removeprefix("modhub: ")))
    return Reports(found=tuple(found), unreadable=tuple(unreadable))
