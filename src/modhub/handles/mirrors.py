"""Mirrors: what is tried in the place of handles that begin in some way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

from modhub import errors
from modhub.settings.redact import masked

__all__ = ["candidates"]

_HOLE = "{}"
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)")
# What stands before the name that a server or directory is asked for.
_QUERY_OR_FRAGMENT = re.compile(r"[?#]")
# Schemes in which the name after "//" is a host, so that capitals in it say nothing.
_WITH_HOSTS = ("http", "https")


def candidates(handle: str, mirrors: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Return what to try for a handle, in order.

    The longest prefix that the handle begins with counts, and only its targets are tried: who wants the original too
    lists it. A target takes the prefix's place; where it has "{}", the rest of the handle is put there. Slashes are
    added or dropped so that there is one between both. What stands after "{}" comes before the handle's query.

    A prefix of a URL ends after the host or later: "https://tfhub.dev" does not match "https://tfhub.dev.evil/x". The
    scheme, and the host of http and https, may be in capitals. A prefix that is no URL matches no URL.

    Args:
      handle: as the user wrote it.
      mirrors: `Settings.mirrors`: pairs of a prefix and its targets, which are handles of any kind.

    Returns:
      The targets, or the handle itself where no prefix matches.

    Raises:
      InvalidArgumentError: the rest of the handle has a part "..", by which it would leave the mirror.

    Example:
      >>> mirrors = (("https://tfhub.dev/", ("https://mirror.example.com/tf", "/mnt/models/{}.tar.gz")),)
      >>> candidates("https://tfhub.dev/google/elmo/3", mirrors)
      ['https://mirror.example.com/tf/google/elmo/3', '/mnt/models/google/elmo/3.tar.gz']
      >>> candidates("./my-module", mirrors)
      ['./my-module']
    """
    longest, rest = "", ""
    tried: Sequence[str] = ()
    for prefix, targets in mirrors:
        left = _rest(handle, prefix)
        if left is not None and len(prefix) > len(longest):
            longest, rest, tried = prefix, left, targets
    if not longest:
        return [handle]
    _refuse_climbing(handle, rest, longest)
    return list(dict.fromkeys(_filled(target, longest, rest) for target in tried))


def _rest(handle: str, prefix: str) -> str | None:
    """Return what follows a prefix in a handle; None where it does not begin so."""
    theirs, ours = _URL.match(handle), _URL.match(prefix)
    if ours is None or theirs is None:
        return handle[len(prefix) :] if ours is theirs and handle.startswith(prefix) else None
    scheme = ours["scheme"].lower()
    if scheme != theirs["scheme"].lower():
        return None
    start, begin = theirs.end(), prefix[ours.end() :]
    if not ours["authority"]:
        start = theirs.start("authority")  # "kaggle://" is a prefix of all of them
    elif scheme in _WITH_HOSTS:
        if ours["authority"].lower() != theirs["authority"].lower():
            return None
    elif ours["authority"] != theirs["authority"]:
        return None
    # An authority ends where one of "/?#" follows, so equal ones are whole hosts, with their ports.
    return handle[start + len(begin) :] if handle.startswith(begin, start) else None


def _refuse_climbing(handle: str, rest: str, prefix: str) -> None:
    path = _QUERY_OR_FRAGMENT.split(rest, maxsplit=1)[0]
    if ".." in re.split(r"[/\\]", unquote(path)):
        raise errors.InvalidArgumentError(
            f"{masked(handle)!r} has a part '..' after {masked(prefix)!r}, whose mirror it would leave: write the "
            "handle without it."
        )


def _filled(target: str, prefix: str, rest: str) -> str:
    """Return a target with the rest of a handle in it."""
    head, hole, tail = target.partition(_HOLE)
    if "?" in head and hole:
        # A value in the target's query: its own "?", "&" and "=" would be read as the target's. A fragment stays last.
        asked, mark, fragment = rest.partition("#")
        return f"{head}{quote(asked.removeprefix('/'), safe='/', errors='surrogatepass')}{tail}{mark}{fragment}"
    if not tail:
        return _joined(head, prefix, rest)
    found = _QUERY_OR_FRAGMENT.search(rest)
    path, more = (rest[: found.start()], rest[found.start() :]) if found else (rest, "")
    if more.startswith("?") and "?" in tail:
        more = f"&{more[1:]}"
    return _joined(head, prefix if path else "", path + tail) + more


def _joined(head: str, prefix: str, rest: str) -> str:
    """Return both with one slash between them, if there is to be any."""
    if not rest or not head or _QUERY_OR_FRAGMENT.search(head):
        return head + rest
    if head.endswith("/"):
        return head + rest.removeprefix("/")
    # Without the slash "https://mirror" and "models/1" would name the host "mirrormodels".
    whole = _URL.fullmatch(head)
    if prefix.endswith("/") or (whole is not None and whole["authority"] and rest[0] not in "/?#"):
        return f"{head}/{rest}"
    return head + rest
