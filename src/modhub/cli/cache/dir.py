"""`modhub cache dir`: where the cache is."""

from __future__ import annotations

import click

from modhub.cli.fetch_options import SettingsCommand, cache_dir_option
from modhub.cli.paths import print_path

__all__ = ["command"]

_EXAMPLES = """
modhub cache dir
du -sh "$(modhub cache dir)"
"""


@click.command("dir", cls=SettingsCommand, examples=_EXAMPLES)
@cache_dir_option
def command() -> None:
    """Print the path of the cache, which need not exist yet."""
    from modhub.settings import current

    print_path(current().cache_dir)
