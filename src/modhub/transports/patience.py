"""Connections that wait for ever neither for the head of an answer nor within its body, and take no half head."""

from __future__ import annotations

import errno
import http.client
import io
import time
from typing import TYPE_CHECKING, Any

import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["PatientAdapter"]


class PatientAdapter(HTTPAdapter):
    """Gives up a connection on which one step takes too long: the head of an answer (a proxy's too), or one `read1`.

    The read timeout itself is for a single read of the system, of which a step may make any number: of the header that
    drips, of the hints before it, of the extensions and trailers of chunks. Once a step has taken twice the timeout, no
    further read is begun.
    """

    def __init__(self, read_timeout: float) -> None:
        """Make connections for this read timeout, in seconds."""
        self._pools = _pools(2 * read_timeout)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(longest: float) -> dict[str, type[urllib3.connectionpool.HTTPConnectionPool]]:
    class Answer(_Answer):
        seconds = longest

    class Connection(urllib3.connection.HTTPConnection):
        response_class = Answer

    class SecureConnection(urllib3.connection.HTTPSConnection):
        response_class = Answer

    class Pool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


class _Answer(http.client.HTTPResponse):
    """An answer whose bytes come through a `_Watched`. http.client reads the head of a proxy's answer from it, too."""

    seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched = _Watched(self.fp.detach(), self.seconds)
        self.fp = io.BufferedReader(self._watched)

    def begin(self) -> None:
        super().begin()
        self._watched.is_head = False

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
        # http.client passes over 100 alone; 103 (early hints) and the like come before the answer as well.
        return version, http.client.CONTINUE if 101 < status < 200 else status, reason

    def read1(self, n: int = -1) -> bytes:
        self._watched.begin_step()
        return super().read1(n)


class _Watched(io.RawIOBase):
    """The bytes of a connection, as long as they come in time.

    Attributes:
      is_head: whether the connection may not end yet. http.client takes its end for that of the head, and the target of
        a redirect, cut off, may be a URL with something else.
    """

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._seconds = seconds
        self._is_begun = False
        self.is_head = True
        self.begin_step()

    def begin_step(self) -> None:
        self._until = time.monotonic() + self._seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if time.monotonic() > self._until:
            # A plain one: of a TimeoutError is said that nothing came.
            raise OSError(errno.EIO, f"what it sent did not end within {self._seconds:g} s")
        count: int | None = self._raw.readinto(buffer)
        if not count and self.is_head and self._is_begun:
            raise http.client.IncompleteRead(b"")
        self._is_begun = True
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()
