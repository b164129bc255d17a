"""`modhub diff`: in what two modules differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modhub.cli.failures import FINDINGS, OK
from modhub.cli.group import Command
from modhub.cli.json_output import print_json
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.inspection.diff import Change

__all__ = ["command"]

_EXAMPLES = """
modhub diff ./before ./after
modhub diff ./before ./after.tar.gz --no-values
modhub diff ./before ./after --all | grep values
modhub diff ./before ./after --json | jq '.changes[] | select(.what == "values")'
"""

# Of ops and nodes, which are many, and tell less.
_MOST_LINES = 10
_MANY = ("op", "function", "function op", "node")


@click.command("diff", cls=Command, examples=_EXAMPLES)
@click.argument("a", type=click.Path(readable=False))
@click.argument("b", type=click.Path(readable=False))
@click.option("--values/--no-values", default=True, help="Whether to compare the values of variables (the default).")
@click.option("--all", "show_all", is_flag=True, help=f"Show more than {_MOST_LINES} nodes, ops and functions each.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, with every difference.")
@click.pass_context
def command(ctx: click.Context, a: str, b: str, values: bool, show_all: bool, in_json: bool) -> None:
    """Compare the modules A and B: directories, or .tar and .tar.gz files.

    Compared are formats, variants, signatures, attachments, collections, graphs, variables with their values, assets
    and other files. A line starts with - for what only A has, + for what only B has, ~ for what differs. A NaN equals
    a NaN at the same place.

    The exit status is 0 if there is no difference, 1 if there are some, and 2 if A or B cannot be read.
    """
    from modhub.inspection.diff import diff

    found = diff(a, b, values=values)
    if in_json:
        print_json(
            {
                "a": found.a,
                "b": found.b,
                "same": found.same,
                "compared_values": found.compared_values,
                "changes": found.changes,
            }
        )
    else:
        click.echo(_as_text(found.changes, found.compared_values, show_all))
    ctx.exit(OK if found.same else FINDINGS)


def _as_text(changes: tuple[Change, ...], compared_values: bool, show_all: bool) -> str:
    if not changes:
        return "No differences." if compared_values else "No differences; values were not compared."
    lines: list[str] = []
    left_out: dict[str, int] = {}
    shown_of: dict[str, int] = {}
    for change in changes:
        shown_of[change.what] = shown_of.get(change.what, 0) + 1
        if change.what in _MANY and not show_all and shown_of[change.what] > _MOST_LINES:
            left_out[change.what] = left_out.get(change.what, 0) + 1
        else:
            lines.append(shown(_line(change)))
    lines += [f"... and {count} more of kind {what!r}: see --all." for what, count in left_out.items()]
    return "\n".join(lines)


def _line(change: Change) -> str:
    if change.what == "values":
        by = ""
        if change.max_abs_difference is not None:
            by = f", by {change.max_abs_difference:.6g} at most"
        noun = "element differs" if change.unequal == 1 else "elements differ"
        return f"~ {change.place}: {change.unequal} {noun}{by}; {change.a}"
    if change.b is None:
        return f"- {change.place}" + ("" if change.a == "present" else f": {change.a}")
    if change.a is None:
        return f"+ {change.place}" + ("" if change.b == "present" else f": {change.b}")
    if change.what == "node" and change.a == change.b:
        return f"~ {change.place}: {change.a}, with other inputs, device or attributes"
    return f"~ {change.place}: {change.a or repr('')} -> {change.b or repr('')}"
