"""`modhub cache export`: modules of the cache as one file."""

from __future__ import annotations

import os
import sys

import click

from modhub.cli.amounts import size_text
from modhub.cli.cache.entries import as_json, counted, name_of
from modhub.cli.failures import next_step
from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.json_output import print_json
from modhub.cli.text import shown

__all__ = ["command"]

_EXAMPLES = """
modhub cache export modules.tar --all
modhub cache export text.tar https://tfhub.dev/google/elmo/3 https://tfhub.dev/google/nnlm-en-dim128/1
"""


@click.command("export", cls=SettingsCommand, examples=_EXAMPLES)
@click.argument("file", type=click.Path(allow_dash=False, readable=False))
@click.argument("handles", nargs=-1, metavar="HANDLE...")
@click.option("--all", "everything", is_flag=True, help="Pack all modules whose handles are URLs.")
@click.option("-f", "--force", is_flag=True, help="Overwrite FILE.")
@cache_dir_option
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def command(file: str, handles: tuple[str, ...], everything: bool, force: bool, in_json: bool) -> None:
    """Pack the modules of each HANDLE into FILE, for `modhub cache import` on a machine without a network.

    FILE is a tar archive. It is compressed where its name ends in .gz or .tgz, which takes long and seldom saves much.
    Every byte is compared with the digests on the way.
    """
    if everything == bool(handles):
        raise click.UsageError("Name the modules to be packed, or give --all, and not both.")
    if file == "-":
        raise click.UsageError("FILE is written under another name first, and so it cannot be stdout.")
    from modhub import errors
    from modhub.cache.listing import entries
    from modhub.cache.transfer import export

    with (
        next_step("cache", "ls", of=(errors.HandleNotFoundError,)),
        next_step("cache", "verify", "--repair", of=(errors.CorruptModuleError,)),
    ):
        packed = export(file, None if everything else handles, overwrite=force)
    if in_json:
        print_json({"path": file, "entries": [as_json(entry) for entry in packed]})
    else:
        for entry in packed:
            click.echo(shown(name_of(entry)))
    left = len(entries()) - len(packed) if everything else 0
    if left > 0:
        print(f"modhub: left out {counted(left, 'module')} whose handle is no URL, or not known", file=sys.stderr)
    size = size_text(os.stat(file).st_size)
    print(shown(f"packed {counted(len(packed), 'module')} into {file}, {size}"), file=sys.stderr)
