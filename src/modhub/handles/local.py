"""Handles that are paths of this machine."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from modhub import errors
from modhub.format.digests import digest_file, tree_digest
from modhub.format.files import open_files
from modhub.handles.handle import PIN_FORM

__all__ = ["check_digest", "state_from", "state_of"]

_FOLDED_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


def state_of(text: str, path: Path) -> tuple[bool, str]:
    """Look a path up.

    Args:
      text: the handle, for messages.
      path: what it names.

    Returns:
      Whether it is a directory, and what else the system knows of it, which differs once it was written to.

    Raises:
      HandleNotFoundError: there is nothing.
      NotAModuleError: it is neither a directory nor a file, but a pipe, say, which would be waited for.
    """
    try:
        if not path.exists():
            raise errors.HandleNotFoundError(f"{text!r} does not exist. {_siblings(path)}{_hint(text)}")
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            raise errors.NotAModuleError(f"{text!r} is neither a directory nor a file.")
        return stat.S_ISDIR(status.st_mode), state_from(status)
    except (OSError, ValueError) as error:  # no permission, a name too long, a null byte
        if isinstance(error, errors.ModhubError):
            raise
        raise errors.HandleNotFoundError(f"{text!r} cannot be looked up: {error}.") from error


def state_from(status: os.stat_result) -> str:
    """Return what the system knows of a file, which differs once it was written to."""
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def check_digest(text: str, path: Path, sha256: str) -> None:
    """Compare the files of a directory with the digest that a handle is pinned to. All of them are read.

    Raises:
      DigestMismatchError: it is another.
    """
    files = open_files(path).sizes
    found = tree_digest({name: digest_file((path / name).resolve()).sha256 for name in files})
    if found != sha256:
        raise errors.DigestMismatchError(f"{text!r} is pinned to the SHA-256 {sha256}, and its files have {found}.")


def _hint(text: str) -> str:
    """Say what may have been meant where a path looks like something else."""
    if _FOLDED_URL.match(text):
        return " A URL is passed as a string: pathlib folds its slashes."
    return f" {PIN_FORM}" if "#" in text else ""


def _siblings(path: Path) -> str:
    """Say what is there instead, in the nearest directory above that exists."""
    near = next((parent for parent in path.parents if parent.exists()), Path("/"))
    listing = [entry.name for entry in near.iterdir()] if near.is_dir() else []
    return errors.accepted(path.relative_to(near).parts[0], listing, f"entries of {near}")
