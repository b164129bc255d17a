"""What an error of another package means: which status it tells of, whether it is the network, and if it may pass."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from modhub.settings.redact import masked
from modhub.transports.failures import NO_NETWORK, RETRIED_STATUS, Failed, is_unknown_host, root_of, words_of

__all__ = ["package_failure", "quiet", "status_of"]

# Classes of the system, requests, aiohttp, botocore, httpx and google.auth, by name, as none of these has to be there.
_OF_THE_NETWORK = frozenset(
    {
        *("gaierror", "ConnectionError", "TimeoutError", "Timeout", "ClientConnectionError", "ClientPayloadError"),
        *("HTTPClientError", "TransportError", "IncompleteRead", "ChunkedEncodingError", "ProxyError"),
    }
)
_lock = threading.Lock()
_quieted: dict[str, tuple[int, int]] = {}  # how often, and the level that it had


def package_failure(url: str, error: BaseException) -> Failed:
    """Return what an error of another package means.

    Args:
      url: that was to be fetched, as it may be shown.
      error: what was raised.

    Returns:
      The failure, in the package's words but where these are those of the network.
    """
    status, root = status_of(error), root_of(error)
    names = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    if status is None and isinstance(root, ssl.SSLCertVerificationError):
        return Failed(f"the certificate is not trusted ({getattr(root, 'verify_message', root)})", url)
    if status is None and not names.isdisjoint(_OF_THE_NETWORK):
        # asyncio has a text of its own, with the address.
        words = os.strerror(root.errno) if isinstance(root, ConnectionError) and root.errno else words_of(root)
        what = f"the connection failed ({words})"
        return Failed(what, url, is_passing=not is_unknown_host(root), hint=NO_NETWORK, brief=words)
    text = masked(" ".join(f"{type(error).__name__}: {error}".split()).rstrip(":"))
    brief = text if status is None else f"status {status}"
    return Failed(text, url, status=status, is_passing=status in RETRIED_STATUS, brief=brief)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error of another package tells of, or that of its cause; or None."""
    for name in ("status", "code", "status_code"):
        status = getattr(error, name, None)
        if isinstance(status, int | str) and str(status).isdecimal() and 100 <= int(status) < 600:
            return int(status)
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # of botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(response, "status_code", None)
    if isinstance(status, int):
        return status
    return status_of(error.__cause__) if error.__cause__ is not None else None


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keep loggers from telling, with tracebacks, what an error tells; not those that the user gave a level.

    Args:
      names: of the loggers. They are let go when the last of several blocks ends, in whatever thread.
    """
    with _lock:
        for name in names:
            count, level = _quieted.get(name, (0, logging.getLogger(name).level))
            _quieted[name] = count + 1, level
            if level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        with _lock:
            for name in names:
                count, level = _quieted.pop(name)
                if count > 1:
                    _quieted[name] = count - 1, level
                else:
                    logging.getLogger(name).setLevel(level)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
