"""`modhub lint`: checks modules against the rules of `hub.lint`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modhub.cli.group import Command
from modhub.cli.json_output import print_json
from modhub.cli.several import read_each
from modhub.cli.tables import color_option, console, print_table, table
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.inspection.lint import LintReport

__all__ = ["command"]

_EXAMPLES = """
modhub lint ./module
modhub lint module.tar.gz --strict
modhub lint ./module --ignore random-output='it samples' --json
modhub lint ./module --ignore random-output --reason 'it samples'
modhub lint --rules
"""
_COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command("lint", cls=Command, examples=_EXAMPLES)
@click.argument("handles", nargs=-1, metavar="HANDLE...", type=click.Path(readable=False))
@click.option(
    "--ignore", "ignored", multiple=True, metavar="ID[=REASON]", help="Let what this rule finds pass; say why."
)
@click.option(
    "--reason", "reasons", multiple=True, metavar="TEXT", help="Why: of each --ignore without =REASON, in order."
)
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@click.option("--rules", "lists_rules", is_flag=True, help="List all rules, and check nothing.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@color_option
@click.pass_context
def command(
    ctx: click.Context,
    handles: tuple[str, ...],
    ignored: tuple[str, ...],
    reasons: tuple[str, ...],
    strict: bool,
    lists_rules: bool,
    in_json: bool,
) -> None:
    """Check modules against what the documentation promises to those who use them.

    A HANDLE is a directory or a tar archive. TensorFlow is not needed. The exit status is 0 when there are no errors,
    1 when there are (with --strict: or warnings), and 2 when a module cannot be read; the others are reported
    all the same.
    """
    if lists_rules:
        _print_rules(in_json)
        return
    if not handles:
        raise click.UsageError("No module is given, and --rules is not either.")
    from modhub.inspection.lint import check_ignore, lint

    ignore = _reasons(ignored, reasons)
    check_ignore(ignore)
    reports = read_each(handles, lambda handle: lint(handle, ignore=ignore))
    failed = [bool(report.errors or (strict and report.warnings)) for report in reports.found]
    if in_json and reports.found:
        listed = [_as_json(*each) for each in zip(reports.found, failed, strict=True)]
        print_json({"reports": listed, "unreadable": reports.unreadable})
    elif not in_json:
        for report in reports.found:
            _print(report)
    ctx.exit(reports.status(any(failed)))


def _reasons(ignored: tuple[str, ...], reasons: tuple[str, ...]) -> dict[str, str]:
    """Pair the rules to be ignored with their reasons."""
    bare = [each for each in ignored if "=" not in each]
    if len(bare) != len(reasons):
        raise click.UsageError(
            f"A reason is needed for each rule that is ignored: --ignore ID=REASON, or --ignore ID --reason TEXT. "
            f"There are {len(bare)} --ignore without one, and {len(reasons)} --reason."
        )
    found: dict[str, str] = {}
    waiting = iter(reasons)
    for each in ignored:
        name, equals, reason = each.partition("=")
        found[name] = reason if equals else next(waiting)
    return found


def _as_json(report: LintReport, failed: bool) -> dict[str, object]:
    return {
        "handle": report.handle,
        "ok": not failed,
        "findings": report.findings,
        "ignored": [{"finding": finding, "reason": reason} for finding, reason in report.ignored],
    }


def _print(report: LintReport) -> None:
    from rich.text import Text

    out = console()
    out.print(f"{shown(report.handle)}: {_summary(report)}")
    if report.findings:
        rows = table("severity", "rule", "where", "message")
        for finding in report.findings:
            severity = Text(finding.severity.value, style=_COLORS[finding.severity.value])
            rows.add_row(severity, finding.rule, Text(shown(finding.where)), Text(shown(finding.message)))
        print_table(rows)
        for name, fix in {finding.rule: finding.fix for finding in report.findings}.items():
            out.print(f"fix {name}: {fix}")
    for finding, reason in report.ignored:
        out.print(f"ignored {finding.rule} at {shown(finding.where)}: {shown(reason)}")


def _summary(report: LintReport) -> str:
    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.severity.value] = counts.get(finding.severity.value, 0) + 1
    words = [f"{count} {name}" + ("" if count == 1 else "s") for name, count in counts.items()]
    return ", ".join(words) or "no findings"


def _print_rules(in_json: bool) -> None:
    from modhub.inspection.lint import all_rules

    rules = list(all_rules().values())
    if in_json:
        print_json(
            {
                "rules": [
                    {
                        "id": rule.id,
                        "severity": rule.severity,
                        "about": rule.about,
                        "source": rule.source,
                        "fix": rule.fix,
                        "formats": rule.formats,
                    }
                    for rule in rules
                ]
            }
        )
        return
    rows = table("rule", "severity", "source", "fix")
    for rule in rules:
        rows.add_row(rule.id, rule.severity.value, rule.source, rule.fix)
    print_table(rows)
