"""`modhub cache rm`: removes modules from the cache."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from modhub import errors
from modhub.cli.amounts import size_text
from modhub.cli.cache.entries import as_json, counted, name_of
from modhub.cli.failures import next_step
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.json_output import print_json
from modhub.cli.several import read_each
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.cache.listing import Entry

__all__ = ["command"]

_EXAMPLES = """
modhub cache rm https://tfhub.dev/google/elmo/2
modhub cache rm --all --yes
"""


@click.command("rm", cls=SettingsCommand, examples=_EXAMPLES)
@click.argument("handles", nargs=-1, metavar="HANDLE...")
@click.option("--all", "everything", is_flag=True, help="Remove all modules, and what broken downloads have left.")
@click.option("-y", "--yes", is_flag=True, help="With --all: do not ask first.")
@cache_dir_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, handles: tuple[str, ...], everything: bool, yes: bool, in_json: bool) -> None:
    """Remove the modules of each HANDLE from the cache.

    HANDLE is what a module was fetched as, or the name of its directory in the cache; with #sha256=... at its end only
    the version that has this digest goes. A program that has the module in memory goes on; one that still reads it may
    not.
    """
    if everything == bool(handles):
        raise click.UsageError("Name the modules to be removed, or give --all, and not both.")
    from modhub.cache.listing import entries, gc, remove

    if everything:
        found = entries()
        if found and not yes:
            _ask(found)
        handles = tuple(entry.key for entry in found)

    def removed(handle: str) -> list[Entry]:
        with next_step("cache", "ls", of=(errors.HandleNotFoundError,)):
            gone = remove(handle)
        if not in_json:
            for entry in gone:
                click.echo(shown(f"removed  {size_text(entry.size):>9}  {name_of(entry)}"))
        return gone

    reports = read_each(handles, removed)
    if everything:
        gc()
    gone = [entry for found in reports.found for entry in found]
    if in_json and (gone or not reports.unreadable):
        print_json({"removed": [as_json(entry) for entry in gone], "unreadable": reports.unreadable})
    ctx.exit(reports.status(failed=False))


def _ask(found: list[Entry]) -> None:
    """Ask whether all modules may go; where nobody can answer they stay."""
    from modhub.cache.listing import directory

    what = f"{counted(len(found), 'module')} ({size_text(sum(entry.size for entry in found))})"
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"--all would remove {what}, and nobody can be asked here: add --yes.")
    if not click.confirm(f"Remove {what} from {shown(str(directory()))}?", err=True):
        raise click.ClickException("nothing was removed.")
