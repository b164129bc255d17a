"""The table of commands, from which `modhub --help` is written without importing one."""

from __future__ import annotations

import dataclasses

__all__ = ["COMMANDS", "Entry"]


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
    "completion": Entry(module="modhub.cli.completion", help="Print the script that completes commands in a shell."),
    "run-signature": Entry(module="modhub.cli.run_signature", help="Compute a signature of a module on given values."),
}
