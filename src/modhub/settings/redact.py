"""What of a URL may be shown, logged and kept: no password, and no value of a query key that looks like a secret."""

from __future__ import annotations

import re
from urllib.parse import unquote

__all__ = ["masked", "shown"]

_SECRET = re.compile(
    r"signature|token|key|credential|secret|passw|pwd|auth|session|hmac|ticket|jwt|^hdn|^sig$|^sas$|^code$",
    re.IGNORECASE,
)
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
# What stands before the host. A "/" in a password is not allowed and happens; what looks like a port is none.
_USERINFO = re.compile(rf"^({_SCHEME})(?:[^/?#]*@|[^/?#:@]*:(?![0-9]*(?:[/?#]|$))[^?#]*@)")
# One that another follows, as in "PREFIX=TARGET", ends there.
_URL = re.compile(rf"{_SCHEME}(?:(?!{_SCHEME})[^\s'\"<>])*")
_PIN = "sha256="


def shown(url: str) -> str:
    """Return a URL as it may be shown in messages, logs and manifests.

    Args:
      url: any text, of which a URL is changed.

    Returns:
      The URL without userinfo, and with `***` for the values of query keys such as "token" and "X-Amz-Signature".

    Example:
      >>> shown("https://user:pw@example.com/m/1?a=b&access_token=abc#sha256=00")
      'https://example.com/m/1?a=b&access_token=***#sha256=00'
    """
    url = _USERINFO.sub(r"\1", url)
    before, mark, rest = url.partition("?")
    if not mark:
        before, _, fragment = url.partition("#")
        return _joined(before, "", fragment)
    query, _, fragment = rest.partition("#")
    return _joined(before, mark + re.sub(r"[^&;]+", _hidden, query), fragment)


def masked(text: str) -> str:
    """Return a text in which each URL is as `shown` gives it.

    Example:
      >>> masked("no answer from https://me:secret@example.com/x, and none from ftp://example.com")
      'no answer from https://example.com/x, and none from ftp://example.com'
    """
    return _URL.sub(lambda match: shown(match[0]), text)


def _joined(before: str, query: str, fragment: str) -> str:
    if not fragment:
        return before + query
    kept = fragment if fragment.startswith(_PIN) else re.sub(r"[^&;]+", _hidden, fragment)
    return f"{before}{query}#{kept}"


def _hidden(match: re.Match[str]) -> str:
    key, separator, _ = match[0].partition("=")
    return f"{key}=***" if separator and _SECRET.search(unquote(key)) else match[0]
