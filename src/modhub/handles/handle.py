"""Handles: what names a module."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from modhub import errors

__all__ = ["find_directory", "find_path", "is_url", "resolve"]

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
      handle: as for `find_path`, but no archive.

    Returns:
      The directory's absolute path.

    Raises:
      HandleNotFoundError: it does not exist, is a file, or is a URL that is not in the cache.

    Example:
      >>> find_directory(".").is_absolute()
      True
    """
    path = find_path(handle)
    if not path.is_dir():
        raise errors.HandleNotFoundError(
            f"{os.fspath(handle)!r} is a file, and a module is a directory: unpack it, and pass its directory."
        )
    return path


def find_path(handle: str | os.PathLike[str]) -> Path:
    """Return the local directory or archive that a handle names.

    Args:
      handle: a path; a leading "~" is the user's home. Or a URL that tensorflow_hub has downloaded to
        `TFHUB_CACHE_DIR`.

    Returns:
      The absolute path.

    Raises:
      HandleNotFoundError: it does not exist, or is a URL that is not in the cache; this version does not download.
      InvalidArgumentError: it is neither a string nor a path.
    """
    text = os.fspath(handle) if isinstance(handle, str | os.PathLike) else handle
    if not isinstance(text, str):
        raise errors.InvalidArgumentError(f"{handle!r} is no handle: pass a string or a path.")
    if is_url(text):
        return _cached(text)
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
    return path


def is_url(handle: str | os.PathLike[str]) -> bool:
    """Tell whether a handle is a URL: what it names comes from another machine."""
    return _URL.match(os.fspath(handle)) is not None


def _cached(url: str) -> Path:
    """Return where tensorflow_hub keeps the module of a URL: below the SHA-1 of the URL as it was written."""
    cache = os.environ.get("TFHUB_CACHE_DIR")
    if cache:
        path = Path(cache).expanduser().absolute() / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
        if path.is_dir() and any(path.iterdir()):
            return path
    where = f"it is not in TFHUB_CACHE_DIR={cache!r}" if cache else "TFHUB_CACHE_DIR is not set"
    raise errors.HandleNotFoundError(
        f"{url!r} is a URL, and this version of modhub reads local directories ({where}): download the module, unpack "
        "it, and pass its directory."
    )


def _siblings(path: Path) -> str:
    """Say what is there instead, in the nearest directory above that exists."""
    near = next((parent for parent in path.parents if parent.exists()), Path("/"))
    listing = [entry.name for entry in near.iterdir()] if near.is_dir() else []
    return errors.accepted(path.relative_to(near).parts[0], listing, f"entries of {near}")
