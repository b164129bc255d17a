"""Paths on stdout: as they are where a program reads them, and safe to look at on a terminal."""

from __future__ import annotations

import os
import sys

import click

from modhub.cli.text import shown

__all__ = ["print_path"]


def print_path(path: str | os.PathLike[str]) -> None:
    """Print a path in a line of its own; in a pipe also the bytes of it that are no text in any encoding."""
    text = os.fspath(path)
    if sys.stdout.isatty():
        click.echo(shown(text))
    else:
        click.echo(os.fsencode(text))
