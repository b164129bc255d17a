"""The tables of commands, from which `modhub --help` is written without importing one."""

from __future__ import annotations

import dataclasses

__all__ = ["CACHE_COMMANDS", "COMMANDS", "Entry"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a command is, and what the list of commands says of it.

    Attributes:
      module: the Python module that defines it, as a click command called `command`. It imports click and little
        else at its top: what takes time to import (TensorFlow, NumPy, rich) is imported where it is used.
      help: one line.
    """

    module: str
    help: str


COMMANDS: dict[str, Entry] = {
    "inspect": Entry(module="modhub.cli.inspect", help="Show what is in a module: signatures, variables, assets."),
    "lint": Entry(module="modhub.cli.lint", help="Check a module against the common signatures and for fine-tuning."),
    "scan": Entry(module="modhub.cli.scan", help="List what a module could do beside computing."),
    "diff": Entry(module="modhub.cli.diff", help="Compare two modules: signatures, variables, assets, ops."),
    "pull": Entry(module="modhub.cli.pull", help="Fetch modules into the cache, and print where they are."),
    "cache": Entry(module="modhub.cli.cache", help="List, check, remove and pack what is in the cache."),
    "export-text-embeddings": Entry(
        module="modhub.cli.export_text_embeddings", help="Make a module that embeds texts, of a file of word vectors."
    ),
    "completion": Entry(module="modhub.cli.completion", help="Print the script that completes commands in a shell."),
    "run": Entry(module="modhub.cli.run", help="Run a script that was written for TensorFlow 1, as it is."),
    "run-signature": Entry(module="modhub.cli.run_signature", help="Compute a signature of a module on given values."),
}

# Of `modhub cache`.
CACHE_COMMANDS: dict[str, Entry] = {
    "dir": Entry(module="modhub.cli.cache.dir", help="Print where the cache is."),
    "ls": Entry(module="modhub.cli.cache.ls", help="List the modules in the cache."),
    "info": Entry(module="modhub.cli.cache.info", help="Show all that is known of a module, and how to pin it."),
    "verify": Entry(module="modhub.cli.cache.verify", help="Read every byte, and compare it with the digests."),
    "rm": Entry(module="modhub.cli.cache.rm", help="Remove modules."),
    "gc": Entry(module="modhub.cli.cache.gc", help="Remove leftovers, and what was not used for long."),
    "export": Entry(module="modhub.cli.cache.export", help="Pack modules into a file, for machines without a network."),
    "import": Entry(module="modhub.cli.cache.importing", help="Take the modules of such a file into the cache."),
}
