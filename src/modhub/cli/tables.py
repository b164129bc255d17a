"""Tables on stdout: drawn on a terminal, plain wide text in a pipe."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["color_option", "console", "print_table", "table"]

_COLOR = "modhub.color"
# Wider than any line: in a pipe nothing is cut off or wrapped, so that `grep` finds whole lines.
_ENDLESS = 1 << 24
_FILL = re.compile(" +$", re.MULTILINE)


def color_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --color to a command; `console()` knows what was chosen."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        expose_value=False,
        callback=_remember,
        help="Whether to color: auto (on a terminal, unless NO_COLOR is set), always, never.",
    )(command)


def console() -> Console:
    """Return a console on stdout; markup in what is printed is text. Names have to go through `text.shown` first."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout,
        color_system="standard" if _wants_color() else None,
        force_terminal=_wants_color(),
        width=None if terminal else _ENDLESS,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=not terminal,
    )


def table(*headers: str) -> Table:
    """Return an empty table: with a rule below its headers on a terminal, columns of text in a pipe."""
    from rich import box
    from rich.table import Table

    terminal = sys.stdout.isatty()
    found = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, header_style="bold")
    for header in headers:
        found.add_column(header, overflow="fold", no_wrap=not terminal)
    return found


def print_table(rows: Table) -> None:
    """Print a table; its last column is not filled up with spaces, which a pager would wrap into empty lines."""
    out = console()
    with out.capture() as captured:
        out.print(rows)
    sys.stdout.write(_FILL.sub("", captured.get()))


def _remember(ctx: click.Context, _: click.Parameter, value: str) -> None:
    ctx.meta[_COLOR] = value


def _wants_color() -> bool:
    """Decide as https://no-color.org and https://force-color.org say; the option wins."""
    context = click.get_current_context(silent=True)
    chosen = "auto" if context is None else context.meta.get(_COLOR, "auto")
    if chosen != "auto":
        return bool(chosen == "always")
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
