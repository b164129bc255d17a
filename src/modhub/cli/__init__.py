"""The command `modhub`: one file for each of its commands, which is imported when that command is asked for."""

from modhub.cli.main import main

__all__ = ["main"]
