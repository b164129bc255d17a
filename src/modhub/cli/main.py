"""`modhub COMMAND ...`: runs a command, and turns what it raises into a line and an exit status."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

import click

from modhub._version import __version__
from modhub.cli.commands import COMMANDS
from modhub.cli.failures import BAD_USAGE, BROKEN_PIPE, INTERRUPTED, OK, describe, wants_traceback, warnings_in_lines
from modhub.cli.group import COMPLETION_VARIABLE, LazyGroup
from modhub.cli.text import escape_what_cannot_be_written

__all__ = ["cli", "main"]


@click.group(cls=LazyGroup, commands_table=COMMANDS)
@click.version_option(__version__, prog_name="modhub", message="%(prog)s %(version)s")
def cli() -> None:
    """Look at, check and run TF1 Hub modules.

    `modhub COMMAND --help` says more about a command, with examples. The exit status is 0 when all is well, 1 when a
    command that looks for problems or differences found some, and 2 when it could not do what was asked.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
      args: its words after "modhub"; None for those of this process.

    Returns:
      The exit status: 0, 1 (findings, differences), 2 (bad usage or input), 130 (Ctrl-C), 141 (nobody reads stdout).

    Example:
      >>> main(["--version"])
      modhub ...
      0
    """
    escape_what_cannot_be_written()
    with _streams_that_exist(), warnings_in_lines():
        return _status(args)


def _status(args: Sequence[str] | None) -> int:
    """Run a command line, and say what it raises."""
    try:
        status = _run(list(sys.argv[1:] if args is None else args))
        sys.stdout.flush()  # so that a pipe that was closed is noticed here, and not when Python ends
        return status
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _let_go_of_stdout()
        return BROKEN_PIPE
    except Exception as error:
        lines = None if wants_traceback() else describe(error)
        if lines is None:
            raise
        with contextlib.suppress(OSError):
            print(*lines, sep="\n", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # Python would say so once more when it ends
            _let_go_of_stdout()
        return BAD_USAGE


def _run(args: list[str]) -> int:
    """Run a command line as click's own `main` does, which would turn a closed pipe into status 1."""
    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "modhub", COMPLETION_VARIABLE, instruction)
    try:
        with cli.make_context("modhub", args) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return OK


@contextlib.contextmanager
def _streams_that_exist() -> Iterator[None]:
    """Write to nowhere what is for a stdout or stderr that the process was started without (`>&-`): Python has None."""
    with contextlib.ExitStack() as stack:
        for stream, redirect in ((sys.stdout, contextlib.redirect_stdout), (sys.stderr, contextlib.redirect_stderr)):
            if stream is None:
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(redirect(nowhere))
        yield


def _let_go_of_stdout() -> None:
    """Let Python write what it still holds, when it ends, to where it is no error."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
