"""`modhub cache import`: takes the modules of a file into the cache."""

from __future__ import annotations

import sys

import click

from modhub.cli.amounts import size_text
from modhub.cli.cache.entries import as_json, counted, name_of
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.json_output import print_json
from modhub.cli.text import shown

__all__ = ["command"]

_EXAMPLES = """
modhub cache import modules.tar
modhub cache import modules.tar --cache-dir /srv/modules
"""


@click.command("import", cls=SettingsCommand, examples=_EXAMPLES)
@click.argument("file", type=click.Path(allow_dash=False, readable=False))
@click.option("--trust", is_flag=True, help="Let handles that are pinned to the digest of an archive find its modules.")
@cache_dir_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def command(file: str, trust: bool, in_json: bool) -> None:
    """Take the modules of FILE, which `modhub cache export` wrote, into the cache.

    The file is checked to its end before anything is taken. What is in the cache already, and whole, stays as it is.

    The file says which module is of which handle, so take it from whom you would take modules. A handle that is pinned
    to the digest of its files (`modhub cache info`), or is in a lock file, finds those files or nothing. The digest of
    the archive that a module once came in cannot be compared with anything, and is believed only with --trust.
    """
    if file == "-":
        raise click.UsageError("FILE is a file; save what stdin has first.")
    from modhub.cache.transfer import import_archive

    found = import_archive(file, trust=trust)
    if in_json:
        print_json({"entries": [as_json(entry) for entry in found]})
    else:
        for entry in found:
            click.echo(shown(name_of(entry)))
    size = size_text(sum(entry.size for entry in found))
    print(f"{counted(len(found), 'module')}, {size}, in the cache", file=sys.stderr)
