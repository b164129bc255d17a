"""Handles: what names a module."""

from __future__ import annotations

import os
import re
from pathlib import Path

from modhub import errors

__all__ = ["find_directory", "resolve"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def resolve(handle: str | os.PathLike[str]) -> str:
    """Return the path of the local directory that a handle names.

    Args and errors are those of `find_directory`.

    Example:
      >>> os.path.isabs(resolve("."))
      True
    """
    return str(find_directory(handle))


def find_directory(handle: str | os.PathLike[str]) -> Path:
    """Return the local directory that a handle names.

    Args:
      handle: the path of a directory; a leading "~" is the user's home.

    Returns:
      The directory's absolute path.

    Raises:
      HandleNotFoundError: it does not exist, or is a URL, which this version does not download.

    Example:
      >>> find_directory(".").is_absolute()
      True
    """
    text = os.fspath(handle)
    if _URL.match(text):
        raise errors.HandleNotFoundError(
            f"{text!r} is a URL, and this version of modhub reads local directories: download the module, unpack it, "
            "and pass its directory."
        )
    if not text:
        raise errors.HandleNotFoundError("The handle is an empty string. Pass the path of a module's directory.")
    try:
        path = Path(text).expanduser().absolute()
        if not path.exists():
            raise errors.HandleNotFoundError(f"{text!r} does not exist. {_siblings(path)}")
    except (OSError, RuntimeError, ValueError) as error:  # no such user, no permission, a name too long, a null byte
        if isinstance(error, errors.ModhubError):
            raise
        raise errors.HandleNotFoundError(f"{text!r} cannot be looked up: {error}.") from error
    if not path.is_dir():
        raise errors.HandleNotFoundError(
            f"{text!r} is a file, and a module is a directory: unpack it, and pass its directory."
        )
    return path


def _siblings(path: Path) -> str:
    """Say what is there instead, in the nearest directory above that exists."""
    near = next((parent for parent in path.parents if parent.exists()), Path("/"))
    listing = [entry.name for entry in near.iterdir()] if near.is_dir() else []
    return errors.accepted(path.relative_to(near).parts[0], listing, f"entries of {near}")
