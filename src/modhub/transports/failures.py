"""What went wrong with a request, whether it may pass, and the words for it."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING

from modhub.errors import DownloadError
from modhub.settings.redact import shown
from modhub.transports.credentials import Credentials, host_of, names_of

if TYPE_CHECKING:
    from modhub.settings import Settings

__all__ = [
    "AGAIN",
    "NO_NETWORK",
    "RETRIED_STATUS",
    "Failed",
    "body_failure",
    "download_error",
    "exception_failure",
    "is_unknown_host",
    "root_of",
    "status_failure",
    "words_of",
]

RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
NO_NETWORK = (
    "Is there a network here, and does it ask for a proxy (HTTPS_PROXY)? Another place to fetch from can be given with "
    "MODHUB_MIRRORS; a module that is in the cache is served without a network (MODHUB_OFFLINE=1)."
)
_WORDS = {
    "IncompleteRead": "the answer ended early",
    "InvalidChunkLength": "the answer ended early",
    "RemoteDisconnected": "it was closed without an answer",
    "BadStatusLine": "the answer is not HTTP",
}
_PROXY_PASSWORD = "The proxy wants a user name and a password: HTTPS_PROXY=http://user:password@host:port."
_PROXY_HINT = "Look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."
_OF_THE_SYSTEM = ("builtins", "socket", "ssl")
AGAIN = "Is the network, or the server, overloaded? Try again: what came is kept if it has a strong ETag."
_LATER = "Try again later, or name another place to fetch from with MODHUB_MIRRORS."


class Failed(Exception):
    """A request that did not bring the file; it becomes a `DownloadError` unless another attempt goes well.

    Attributes:
      what: happened, in words, with the URL, and without a full stop.
      brief: the same for whoever waits for the next attempt, without the URL.
      url: that failed.
      status: of HTTP; None where there was no answer.
      is_passing: whether it may go well another time.
      wait: for how many seconds the server asked to be left alone; None where it did not.
      hint: what to do next.
      cause: the error of the system below it, whose text holds no URL.
    """

    def __init__(
        self,
        what: str,
        url: str,
        *,
        status: int | None = None,
        is_passing: bool = False,
        wait: float | None = None,
        hint: str = "",
        cause: BaseException | None = None,
        brief: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.brief = brief or what
        self.url = url
        self.status = status
        self.is_passing = is_passing
        self.wait = wait
        self.hint = hint
        self.cause = cause


def download_error(handle: str, failed: Failed, attempts: int, proxy: str | None, more: str = "") -> DownloadError:
    """Return the error for the caller.

    Args:
      handle: as the user wrote it.
      failed: the last failure.
      attempts: how many requests were made.
      proxy: that was in use; None without.
      more: said before the hint.

    Returns:
      The error, without credentials in it.
    """
    through = f", through the proxy {_proxy_name(proxy)!r}" if proxy else ""
    times = f" ({attempts} attempts)" if attempts > 1 else ""
    parts = (f"{shown(handle)!r} could not be fetched: {failed.what}{through}{times}.", more, failed.hint)
    return DownloadError(" ".join(part for part in parts if part), shown(failed.url), failed.status)


def status_failure(url: str, status: int, credentials: Credentials, wait: float | None) -> Failed:
    """Return what is wrong with an answer that has a status other than those for success."""
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    brief = f"status {status}{phrase}"
    hint = _status_hint(url, status, credentials)
    is_passing = status in RETRIED_STATUS
    what = f"{shown(url)!r} answered with {brief}"
    return Failed(what, url, status=status, is_passing=is_passing, wait=wait, hint=hint, brief=brief)


def exception_failure(url: str, error: BaseException, settings: Settings) -> Failed:
    """Return what an error of requests or urllib3 means. Their own texts hold the URL with all that is secret in it."""
    import socket
    import ssl

    import requests
    import urllib3

    where, root = repr(shown(url)), root_of(error)
    cause = root if type(root).__module__ in _OF_THE_SYSTEM else None
    if isinstance(root, ssl.SSLCertVerificationError):
        hint = (
            "If an authority of your organisation signed it, name its certificates with MODHUB_CA_BUNDLE (a file); "
            "TFHUB_DISABLE_CERT_VALIDATION=true checks none, and lets anyone on the way change what comes."
        )
        return Failed(
            f"{where} has a certificate that is not trusted ({root.verify_message})", url, hint=hint, cause=root
        )
    if settings.ca_bundle is not None and getattr(root, "library", "SSL") in ("ASN1", "PEM", "X509"):
        what = f"the file {settings.ca_bundle!r} of certificates for {where} cannot be used ({words_of(root)})"
        return Failed(what, url, hint="It is to hold certificates in PEM format.", cause=cause)
    if isinstance(error, requests.exceptions.SSLError):
        hint = "Does the server speak TLS on this port, and of a version that this machine takes?"
        return Failed(f"{where} cannot be asked by TLS ({words_of(root)})", url, hint=hint, cause=cause)
    if isinstance(error, requests.exceptions.ProxyError):
        return _proxy_failure(where, url, root, cause)
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return Failed(f"the proxy for {where} has a URL that is none", url, hint=_PROXY_HINT)
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return Failed(
            f"the proxy for {where} speaks SOCKS", url, hint="pip install pysocks, which makes that possible."
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        brief = f"not reached within {settings.connect_timeout:g} s"
        what = f"{where} could not be reached within {settings.connect_timeout:g} s"
        return Failed(what, url, is_passing=True, hint=NO_NETWORK, cause=cause, brief=brief)
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)):
        hint = "A server that needs longer can be waited for with MODHUB_READ_TIMEOUT (seconds)."
        brief = f"nothing came for {settings.read_timeout:g} s"
        what = f"{where} sent nothing for {settings.read_timeout:g} s"
        return Failed(what, url, is_passing=True, hint=hint, cause=cause, brief=brief)
    if isinstance(root, socket.gaierror):
        what = f"the host {host_of(url)!r} of {where} is not known ({words_of(root)})"
        return Failed(
            what, url, is_passing=not is_unknown_host(root), hint=NO_NETWORK, cause=cause, brief=words_of(root)
        )
    if isinstance(error, requests.exceptions.InvalidHeader):
        return Failed(f"{where} answered with headers that contradict each other, or are none", url)
    if isinstance(error, ValueError) and not isinstance(error, urllib3.exceptions.ProtocolError):
        return Failed(f"{where} is no URL that can be asked ({type(error).__name__})", url)
    what = f"the connection to {where} failed ({words_of(root)})"
    return Failed(what, url, is_passing=True, hint=NO_NETWORK, cause=cause, brief=words_of(root))


def body_failure(url: str, error: BaseException, settings: Settings) -> Failed:
    """Return what broke off an answer in the middle, which may always pass."""
    failure = exception_failure(url, error, settings)
    failure.is_passing = True
    if failure.hint == NO_NETWORK:
        failure.hint = AGAIN
    return failure


def _proxy_name(proxy: str) -> str:
    """Return scheme, host and port of a proxy, however the user and the password before them are written."""
    scheme, separator, rest = proxy.rpartition("://")
    return f"{scheme.rpartition('@')[2]}{separator}{rest.rpartition('@')[2]}"


def _proxy_failure(where: str, url: str, root: BaseException, cause: BaseException | None) -> Failed:
    wants_password = "407" in str(root)
    # Nobody listens, or nobody is there: that is a setting to be mended, and waiting does not.
    is_lasting = wants_password or isinstance(root, ConnectionRefusedError) or is_unknown_host(root)
    hint = _PROXY_PASSWORD if wants_password else _PROXY_HINT
    words = "it answered with status 407" if wants_password else words_of(root)
    what = f"the proxy for {where} failed ({words})"
    return Failed(what, url, is_passing=not is_lasting, hint=hint, cause=cause, brief=words)


def _status_hint(url: str, status: int, credentials: Credentials) -> str:
    host = names_of(url)[0]
    if status in (401, 403):
        if credentials.header is not None:
            return f"The credentials from {credentials.source} were sent; they are not enough, or no longer valid."
        if credentials.source:
            return (
                f"The credentials from {credentials.source} were not sent, because http shows them to everyone on the "
                "way: ask by https."
            )
        return (
            f"No credentials for {host!r} were found: set MODHUB_TOKENS='{host}=TOKEN', or write the host, a login and "
            f"a password to {os.environ.get('NETRC') or '~/.netrc'}."
        )
    if status in (404, 410):
        return (
            "Is the handle spelt right, and is there such a version of the module? Its page lists them. If it moved, "
            "MODHUB_MIRRORS maps the old address to the new one."
        )
    if status == 407:
        return _PROXY_PASSWORD
    return _LATER if status in RETRIED_STATUS else "Does the server follow the hosting protocol of hub modules?"


def root_of(error: BaseException) -> BaseException:
    """Return the innermost error: packages wrap it in one way or another."""
    root, seen = error, {id(error)}
    while True:
        inner = [getattr(root, "reason", None), *root.args, root.__cause__, root.__context__]
        below = next((item for item in inner if isinstance(item, BaseException) and id(item) not in seen), None)
        if below is None:
            return root
        seen.add(id(below))
        root = below


def words_of(error: BaseException) -> str:
    """Return what the system says, which holds no URL; the class of an error that is not the system's."""
    text = getattr(error, "strerror", None)
    if isinstance(error, OSError) and isinstance(text, str):
        return text
    name = type(error).__name__
    return _WORDS.get(name, name)


def is_unknown_host(root: BaseException) -> bool:
    """Return whether an innermost error says for good that there is no such host."""
    import socket

    return isinstance(root, socket.gaierror) and root.errno == socket.EAI_NONAME
