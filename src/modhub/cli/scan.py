"""`modhub scan`: lists what modules could do beside computing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modhub.cli.group import Command
from modhub.cli.json_output import print_json
from modhub.cli.several import read_each
from modhub.cli.tables import color_option, print_table, table
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.inspection.scan.report import ScanFinding, ScanReport

__all__ = ["command"]

_EXAMPLES = """
modhub scan ./module
modhub scan module.tar.gz --all
modhub scan ./modules/* --json | jq '.reports[] | select(.ok | not) | .handle'
"""
_COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}
_MOST_NODES = 3
_MOST_NAME = 60
_MOST_ROWS = 50


@click.command("scan", cls=Command, examples=_EXAMPLES)
@click.argument("handles", nargs=-1, required=True, metavar="HANDLE...", type=click.Path(readable=False))
@click.option("--all", "show_all", is_flag=True, help=f"Show all nodes, notes, and more than {_MOST_ROWS} findings.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, with every finding and node.")
@color_option
@click.pass_context
def command(ctx: click.Context, handles: tuple[str, ...], show_all: bool, in_json: bool) -> None:
    """List what modules could do beside computing: run code, write or read files, use the network.

    A HANDLE is a directory or a tar archive. Nothing of it is run, and TensorFlow is not needed. A module with no
    finding is not thereby safe: docs/scan.md says what a scan cannot tell.

    The exit status is 0 when nothing would be refused, 1 when something would (an error in the list), and 2 when a
    module cannot be read; the others are reported all the same.
    """
    from modhub.inspection.scan.scanning import scan

    reports = read_each(handles, scan)
    if in_json and reports.found:
        print_json({"reports": [_as_json(report) for report in reports.found], "unreadable": reports.unreadable})
    elif not in_json:
        for report in reports.found:
            _print(report, show_all)
    ctx.exit(reports.status(any(report.refused for report in reports.found)))


def _as_json(report: ScanReport) -> dict[str, object]:
    return {
        "handle": report.handle,
        "ok": not report.refused,
        "ops": report.ops,
        "kinds": report.kinds,
        "variants": report.variants,
        "functions": report.functions,
        "findings": report.findings,
    }


def _print(report: ScanReport, show_all: bool) -> None:
    listed = [each for each in report.findings if show_all or each.severity.value != "note"]
    rows = listed if show_all else listed[:_MOST_ROWS]
    if rows:
        from rich.text import Text

        grid = table("severity", "rule", "op", "reached by", "nodes", "where", "message")
        for finding in rows:
            severity = finding.severity.value
            cells = [finding.rule, finding.op, finding.reached_by, _nodes(finding, show_all), finding.where]
            texts = [Text(shown(each)) for each in (*cells, finding.message)]
            grid.add_row(Text(severity, style=_COLORS[severity]), *texts)
        print_table(grid)
    hidden = len(report.findings) - len(rows)
    if hidden:
        click.echo(f"... and {hidden} {_plural('finding', hidden)} more: see --all.")
    click.echo(f"{shown(report.handle)}: read {_what_was_read(report)}. {_verdict(report)}")


def _nodes(finding: ScanFinding, show_all: bool) -> str:
    if show_all:
        return " ".join(finding.nodes)
    first = [name if len(name) <= _MOST_NAME else f"...{name[-_MOST_NAME:]}" for name in finding.nodes[:_MOST_NODES]]
    more = len(finding.nodes) - len(first)
    return " ".join(first) + (f" and {more} more" if more else "")


def _what_was_read(report: ScanReport) -> str:
    return (
        f"{report.ops} {_plural('op', report.ops)} of {report.kinds} {_plural('kind', report.kinds)} in "
        f"{report.variants} {_plural('variant', report.variants)} and "
        f"{report.functions} {_plural('function', report.functions)}"
    )


def _verdict(report: ScanReport) -> str:
    count = len(report.refused)
    if count:
        return f"Refused: {count} {_plural('error', count)}."
    return "Nothing to refuse."


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
