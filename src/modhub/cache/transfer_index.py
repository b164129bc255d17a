"""What is in a file of packed modules: `modhub-cache.json` in its root."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modhub import errors
from modhub.cache.names import is_key

__all__ = ["INDEX", "Listed", "index_bytes", "is_portable", "read_index"]

INDEX = "modhub-cache.json"
_VERSION = 1
_MOST_BYTES = 2**26
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://.", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A module in such a file.

    Attributes:
      key: the name of the folder that it lies in, as in the cache.
      handle: what it is asked for as.
      sha256: the digest of its files.
    """

    key: str
    handle: str
    sha256: str


def index_bytes(listed: Iterable[Listed]) -> bytes:
    """Return the contents of the index."""
    value = {"version": _VERSION, "entries": [asdict(each) for each in listed]}
    return json.dumps(value, indent=1).encode() + b"\n"


def is_portable(handle: str) -> bool:
    """Tell whether a handle is the same on another machine: a URL, and not of a file.

    Example:
      >>> is_portable("https://example.com/module/1"), is_portable("file:///srv/module.tar")
      (True, False)
    """
    return _URL.match(handle) is not None


def read_index(path: Path, where: str) -> list[Listed]:
    """Read the index of a file that was unpacked.

    Args:
      path: of the index.
      where: what messages call the packed file.

    Returns:
      What it lists, in its order: no key twice, and only URLs.

    Raises:
      NotAModuleError: there is no index.
      UnsupportedFormatError: it is of a later version.
      CorruptModuleError: it is damaged.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        value = json.loads(path.read_bytes())
        version = value["version"]
        if isinstance(version, int) and version > _VERSION:
            raise errors.UnsupportedFormatError(
                f"{where} has version {version} of the format, and this modhub knows {_VERSION}: use a later modhub."
            )
        if version != _VERSION:
            raise ValueError(f"its version is {version!r}")
        listed = [_listed(each) for each in value["entries"]]
        if len({each.key for each in listed}) < len(listed):
            raise ValueError("it lists a module twice")
        return listed
    except FileNotFoundError as error:
        raise errors.NotAModuleError(
            f"{where} has no {INDEX!r}: `modhub cache export` did not write it. An archive of one module is a handle "
            "by itself, and needs no import."
        ) from error
    except errors.ModhubError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise errors.CorruptModuleError(f"The index {INDEX!r} of {where} is damaged: {error}.") from error


def _listed(value: Any) -> Listed:
    found = Listed(key=value["key"], handle=value["handle"], sha256=value["sha256"])
    if not is_key(found.key):
        raise ValueError(f"{found.key!r} is no key of a cache")
    if not is_portable(found.handle):
        raise ValueError(f"{found.handle!r} is no URL that is the same on every machine")
    return found
