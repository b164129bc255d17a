"""Which credentials go to which host, and where none may go."""

from __future__ import annotations

import base64
import ipaddress
import logging
import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from modhub.errors import InvalidArgumentError

if TYPE_CHECKING:
    from modhub.settings import Settings

__all__ = ["Credentials", "credentials_for", "host_of", "names_of", "origin", "split_userinfo"]

_LOG = logging.getLogger("modhub")
_KAGGLE_ENDPOINT = "KAGGLE_API_ENDPOINT"
_KAGGLE_HOST = "www.kaggle.com"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a host is told of who asks.

    Attributes:
      header: of "Authorization"; None where there are no credentials, or where they may not be sent.
      source: where they are from, in words; "" without any.
    """

    header: str | None
    source: str

    def __repr__(self) -> str:
        """Show where they are from, not what they are."""
        return f"Credentials(source={self.source!r}, sent={self.header is not None})"


def credentials_for(url: str, settings: Settings, userinfo: str | None = None) -> Credentials:
    """Look up the credentials of a host.

    In this order: what is in the URL itself; `settings.tokens`, by "host:port" or, where the port is the usual one, by
    "host"; KAGGLE_USERNAME and KAGGLE_KEY for Kaggle's host; the netrc file (NETRC, or ~/.netrc), without its
    "default" entry, which would go to every host there is.

    Args:
      url: whose host is asked.
      settings: for the tokens.
      userinfo: "user:password" of the handle, percent-encoded, while its origin is still the one that is asked.

    Returns:
      The credentials. They are sent by https, and by http to this machine only.

    Raises:
      InvalidArgumentError: a token cannot be sent in a header.
    """
    header, source = _found(url, settings, userinfo)
    may_be_sent = urlsplit(url).scheme.lower() == "https" or _is_loopback(host_of(url))
    return Credentials(header=header if may_be_sent else None, source=source)


def host_of(url: str) -> str:
    """Return the host of a URL in lower case; "" where there is none."""
    return (urlsplit(url).hostname or "").lower().rstrip(".")


def names_of(url: str) -> list[str]:
    """Return how the host of a URL may be written in `settings.tokens`: the shortest name first.

    Example:
      >>> names_of("https://example.com/x"), names_of("http://[::1]:8080/x")
      (['example.com', 'example.com:443'], ['[::1]:8080'])
    """
    scheme, host, port = origin(url)
    host = f"[{host}]" if ":" in host else host
    return [f"{host}:{port}"] if port != _PORTS.get(scheme) else [host, f"{host}:{port}"]


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL: credentials stay where they are equal."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, host_of(url), parts.port or _PORTS.get(scheme)


def _found(url: str, settings: Settings, userinfo: str | None) -> tuple[str | None, str]:
    if userinfo is not None:
        user, _, password = userinfo.partition(":")
        return _basic(unquote(user), unquote(password)), "the URL itself"
    _, host, port = origin(url)
    for name in names_of(url):
        token = _token(settings.tokens, name)
        if token is not None:
            return f"Bearer {token}", f"the token of {name!r}"
    user, password = os.environ.get("KAGGLE_USERNAME", ""), os.environ.get("KAGGLE_KEY", "")
    if user and password and (host, port) == _kaggle():
        return _basic(user, password), "KAGGLE_USERNAME and KAGGLE_KEY"
    return _from_netrc(host)


def _token(tokens: Mapping[str, str], name: str) -> str | None:
    token = next((value for key, value in tokens.items() if key.lower() == name), None)
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise InvalidArgumentError(
            f"The token of {name!r} cannot be sent: it is empty, or holds spaces or characters other than ASCII. "
            "Look at MODHUB_TOKENS, or at tokens in the configuration."
        )
    return token


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _kaggle() -> tuple[str, int | None]:
    try:
        return origin(os.environ.get(_KAGGLE_ENDPOINT) or f"https://{_KAGGLE_HOST}")[1:]
    except ValueError:  # no URL, so no host that is asked
        return "", None


def _from_netrc(host: str) -> tuple[str | None, str]:
    name = os.environ.get("NETRC")
    try:
        candidates = [Path(given).expanduser() for given in ([name] if name else ["~/.netrc", "~/_netrc"])]
        path = next((path for path in candidates if path.is_file()), None)
    except (OSError, RuntimeError):  # a user without a home, or whose home is not for this process
        path = None
    # netrc's name for all hosts that it does not have is no host's.
    if path is None or host == "default":
        return None, ""
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # Its text may quote the line, and so a password.
        line = getattr(error, "lineno", None)
        reason = f"line {line} is none of such a file" if line else getattr(error, "strerror", "") or "it is no text"
        _LOG.warning("The netrc file %s is not used: %s", path, reason)
        return None, ""
    if entry is None:
        return None, ""
    return _basic(entry[0], entry[2] or ""), f"{path}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_userinfo(url: str) -> tuple[str, str | None]:
    """Take "user:password" out of a URL.

    Returns:
      The URL without it, and what was taken out, still percent-encoded; None where there was none.
    """
    parts = urlsplit(url)
    userinfo, separator, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl() if separator else url, userinfo if separator else None
