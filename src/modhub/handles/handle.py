"""Handles: what names a module."""

from __future__ import annotations

import os
import re
from pathlib import Path

from modhub import errors

__all__ = ["resolve"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def resolve(handle: str | os.PathLike[str]) -> Path:
    """Return the local directory that a handle names.

    Args:
      handle: the path of a directory; a leading "~" is the user's home.

    Returns:
      The directory's absolute path.

    Raises:
      HandleNotFoundError: it does not exist, or is a URL, which this version does not download.

    Example:
      >>> resolve(".").is_absolute()
      True
    """
    text = os.fspath(handle)
    if _URL.match(text):
        raise errors.HandleNotFoundError(
            f"{text!r} is a URL, and this version of modhub reads local directories: download the module, unpack it, "
            "and pass its directory."
        )
    path = Path(text).expanduser().absolute()
    if not text or not path.exists():
        near = next((parent for parent in path.parents if parent.exists()), Path("/"))
        listing = sorted(entry.name for entry in near.iterdir()) if near.is_dir() else []
        missing = path.relative_to(near).parts[0] if path != near else text
        hint = errors.accepted(missing, listing[:20], f"entries of {near}")
        raise errors.HandleNotFoundError(f"{text!r} does not exist. {hint}")
    if not path.is_dir():
        raise errors.HandleNotFoundError(
            f"{text!r} is a file, and a module is a directory: unpack it, and pass its directory."
        )
    return path
