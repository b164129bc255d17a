"""`modhub cache gc`: removes what is of no more use."""

from __future__ import annotations

import sys

import click

from modhub.cli.amounts import DURATION, SIZE, size_text, time_text
from modhub.cli.cache.entries import as_json, name_of
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.json_output import print_json
from modhub.cli.text import shown

__all__ = ["command"]

_EXAMPLES = """
modhub cache gc
modhub cache gc --older-than 90d --dry-run
modhub cache gc --max-size 20GB
"""


@click.command("gc", cls=SettingsCommand, examples=_EXAMPLES)
@click.option(
    "--max-size", type=SIZE, metavar="SIZE", help="Keep the modules used last that fit into SIZE: 10GB, 500MiB."
)
@click.option("--older-than", type=DURATION, metavar="TIME", help="Remove modules not used for TIME: 30d, 12h, 2w.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@cache_dir_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def command(max_size: int | None, older_than: float | None, dry_run: bool, in_json: bool) -> None:
    """Remove what broken downloads have left, and, if asked to, modules that were not used for long.

    What is being downloaded stays. When a module was last used is known to an hour.
    """
    from modhub.cache.listing import gc

    done = gc(max_size=max_size, older_than=older_than, dry_run=dry_run)
    if in_json:
        entries = [as_json(entry) for entry in done.entries]
        print_json({"entries": entries, "leftovers": done.leftovers, "freed": done.freed, "dry_run": dry_run})
        return
    verb = "would remove" if dry_run else "removed"
    for entry in done.entries:
        size, used = size_text(entry.size), time_text(entry.last_used)
        click.echo(shown(f"{verb}  {size:>9}  last used {used}  {name_of(entry)}"))
    for path in done.leftovers:
        click.echo(shown(f"{verb}  leftover of a download  {path}"))
    print(f"{'would free' if dry_run else 'freed'} {size_text(done.freed)}", file=sys.stderr)
