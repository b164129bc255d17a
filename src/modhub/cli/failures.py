"""Exit statuses, and what an expected error says on stderr: one line, and one more for what to do next."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
import warnings
from collections.abc import Iterator

import click

from modhub import errors
from modhub.cli.commands import COMMANDS
from modhub.cli.text import shown

__all__ = [
    "BAD_USAGE",
    "BROKEN_PIPE",
    "FINDINGS",
    "INTERRUPTED",
    "OK",
    "describe",
    "next_step",
    "wants_traceback",
    "warnings_in_lines",
]

OK = 0
FINDINGS = 1
BAD_USAGE = 2
INTERRUPTED = 128 + 2  # as a shell says it of a process that SIGINT ended
BROKEN_PIPE = 128 + 13  # as of one that SIGPIPE ended

_NEXT = "try: "
# The files that modhub itself writes have names, which their errors say.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def next_step(*words: str, of: tuple[type[Exception], ...] = (errors.ModhubError,)) -> Iterator[None]:
    """Add to errors that pass which command of modhub helps: `next_step("inspect", path)`.

    Args:
      *words: the command line, without "modhub". Nothing is added while there is no such command.
      of: the errors that it helps with.
    """
    try:
        yield
    except of as error:
        if words[0] in COMMANDS and not _next_of(error):
            error.add_note(f"{_NEXT}modhub {shlex.join(words)}")
        raise


def describe(error: BaseException) -> list[str] | None:
    """Return the lines for an error that users are to see; None for one that is a fault of the program."""
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "modhub"
        return [_line(error.format_message()), f"{_NEXT}{path} --help"]
    if isinstance(error, click.ClickException):
        return [_line(error.format_message())]
    if isinstance(error, errors.ModhubError):
        return [_line(error.message), *map(shown, _next_of(error))]
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "tensorflow":
        return [
            "modhub: this command needs TensorFlow, which is not installed: pip install 'modhub[tf]' "
            "(or 'modhub[cpu]', which is smaller and leaves out the GPU)"
        ]
    if isinstance(error, OSError) and error.filename is not None:
        return [_line(f"{error.filename}: {error.strerror}")]
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return [_line(f"stdout cannot be written: {error.strerror}. What it has so far is not all.")]
    return None


@contextlib.contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Show warnings as errors are shown: one line each on stderr, without the line of code that raised it."""

    def show(message: Warning | str, *_: object) -> None:
        print(_line(f"warning: {message}"), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # all but the message is passed over
        yield


def wants_traceback() -> bool:
    """Tell whether the user asked for the traceback of errors, by MODHUB_TRACEBACK=1."""
    return os.environ.get("MODHUB_TRACEBACK", "") not in ("", "0")


def _next_of(error: BaseException) -> list[str]:
    return [note for note in getattr(error, "__notes__", ()) if note.startswith(_NEXT)]


def _line(message: str) -> str:
    return "modhub: " + shown(" ".join(message.split()))
