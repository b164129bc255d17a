"""Handles: what names a module."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modhub import errors
from modhub.cache.names import PIN
from modhub.settings.redact import shown

__all__ = ["PIN_FORM", "Handle", "is_url", "parse_handle"]

PIN_FORM = "A pin is '#sha256=' and the 64 hexadecimal digits of a SHA-256."

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
# A user before an http(s) host is a token mostly; elsewhere ("sftp://user@host/") it is none without a password.
_HAS_SECRET = re.compile(r"(?i:https?)://[^/?#]*@|[^:/]+://[^/?#@]*:[^/?#]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A handle taken apart.

    Attributes:
      text: as it was written, but for the pin; what an entry of the cache is named after.
      path: of a local directory or archive, absolute; None for a URL.
      sha256: the digest that it is pinned to; None where it is not.
    """

    text: str
    path: Path | None
    sha256: str | None


def parse_handle(handle: str | os.PathLike[str]) -> Handle:
    """Take a handle apart.

    Args:
      handle: a path, in which a leading "~" is the user's home; a "file://" URL, which is one too; or another URL. At
        its end may stand "#sha256=" and 64 hexadecimal digits: the digest of the archive, or of all files.

    Raises:
      InvalidArgumentError: it is neither a string nor a path, the digest is none, or there is a password in it.
      HandleNotFoundError: it is empty, or names no path of this machine.

    Example:
      >>> parse_handle("https://example.com/module/1").path is None
      True
      >>> parse_handle("file:///srv/modules/text").path
      PosixPath('/srv/modules/text')
    """
    text = os.fspath(handle) if isinstance(handle, str | os.PathLike) else handle
    if not isinstance(text, str):
        raise errors.InvalidArgumentError(f"{handle!r} is no handle: pass a string or a path.")
    text, pin, digest = text.partition(PIN)
    if (pin and not _DIGEST.fullmatch(digest)) or (not pin and _URL.match(text) and "#" in text):
        raise errors.InvalidArgumentError(
            f"{shown(text + pin + digest)!r} has something else than a pin after the '#'. {PIN_FORM}"
        )
    if not text:
        raise errors.HandleNotFoundError(
            "The handle is an empty string. Pass the path of a module's directory, or a URL."
        )
    # A path on Linux is any bytes, which Python shows as surrogates. Nothing else has them.
    if not _is_unicode(text) and (_URL.match(text) or not _is_path(text)):
        raise errors.HandleNotFoundError(f"{text!r} holds half a character (a surrogate), which no path or URL does.")
    found = _URL.match(text)
    is_file = found is not None and found["scheme"].lower() == "file"
    if found is not None and _HAS_SECRET.match(text):
        raise errors.InvalidArgumentError(
            f"{shown(text)!r} has a user name or a password in it, and handles are kept in clear text: in the cache, "
            "in lock files, in code. Put it into ~/.netrc or MODHUB_TOKENS instead."
        )
    path = _file_path(text) if is_file else _local_path(text) if found is None else None
    return Handle(text=text, path=path, sha256=digest.lower() or None)


def is_url(handle: str | os.PathLike[str]) -> bool:
    """Tell whether a handle is a URL, and not of a file: what it names comes from another machine.

    Example:
      >>> is_url("https://example.com/module/1"), is_url("file:///srv/module"), is_url("./module")
      (True, False, False)
    """
    found = _URL.match(os.fspath(handle))
    return found is not None and found["scheme"].lower() != "file"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_path(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _local_path(text: str) -> Path:
    try:
        path = Path(text).expanduser().absolute()
        return path.resolve() if ".." in path.parts else path
    except (OSError, RuntimeError, ValueError) as error:  # no such user, no current directory
        raise errors.HandleNotFoundError(f"{text!r} cannot be looked up: {error}.") from error


def _file_path(text: str) -> Path:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise errors.HandleNotFoundError(f"{text!r} is no URL: {error}.") from error
    if parts.netloc.lower() not in ("", "localhost") or not parts.path.startswith("/"):
        raise errors.HandleNotFoundError(
            f"{text!r} names no file of this machine. Write file:///absolute/path, with three slashes."
        )
    return Path(unquote(parts.path))
