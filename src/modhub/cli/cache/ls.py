"""`modhub cache ls`: the modules in the cache."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from modhub.cli.amounts import moment_text, size_text, time_text
from modhub.cli.cache.entries import as_json, counted, name_of
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.json_output import print_json
from modhub.cli.tables import color_option, print_table, table
from modhub.cli.text import shown

if TYPE_CHECKING:
    from modhub.cache.listing import Entry

__all__ = ["command"]

_EXAMPLES = """
modhub cache ls
modhub cache ls --sort size
modhub cache ls --json | jq -r '.entries[] | [.size, .handle] | @tsv'
"""


@click.command("ls", cls=SettingsCommand, examples=_EXAMPLES)
@click.option(
    "--sort",
    type=click.Choice(["handle", "size", "used"]),
    default="handle",
    show_default=True,
    help="By handle; the largest first; or what was used last first.",
)
@cache_dir_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON; sizes in bytes, last_used in seconds since 1970.")
@color_option
def command(sort: str, in_json: bool) -> None:
    """List the modules in the cache, those that tensorflow_hub fetched too.

    Nothing is verified. When a module was last used is known to an hour.
    """
    from modhub.cache.listing import directory, entries

    found = entries()
    if sort == "size":
        found.sort(key=lambda entry: -entry.size)
    elif sort == "used":
        found.sort(key=lambda entry: -entry.last_used)
    if in_json:
        print_json({"directory": directory(), "entries": [as_json(entry) for entry in found]})
        return
    if found:
        _print(found)
    total = sum(entry.size for entry in found)
    print(f"{counted(len(found), 'module')}, {size_text(total)}, in {shown(str(directory()))}", file=sys.stderr)


def _print(found: list[Entry]) -> None:
    from rich.text import Text

    rows = table("handle", "size", "downloaded", "last used")
    for entry in found:
        cells = (name_of(entry), size_text(entry.size), moment_text(entry.downloaded), time_text(entry.last_used))
        rows.add_row(*(Text(shown(cell)) for cell in cells))
    print_table(rows)
