"""`modhub cache`: what is in the cache of modules. One file for each of its commands."""

from __future__ import annotations

import click

from modhub.cli.commands import CACHE_COMMANDS
from modhub.cli.group import LazyGroup

__all__ = ["command"]

_EXAMPLES = """
modhub cache ls
modhub cache info https://tfhub.dev/google/elmo/3
modhub cache verify --repair
modhub cache gc --older-than 90d --max-size 20GB
modhub cache export modules.tar --all
"""


@click.group("cache", cls=LazyGroup, commands_table=CACHE_COMMANDS, examples=_EXAMPLES)
def command() -> None:
    """Look at, check and tidy the modules that were fetched.

    The cache is TFHUB_CACHE_DIR, or the platform's directory for caches. It may be one that tensorflow_hub uses too.
    TensorFlow is not needed, and only `verify --repair` fetches anything.
    """
