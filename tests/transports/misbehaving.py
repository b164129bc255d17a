"""An HTTP server on loopback that does as it is told, request by request, and a proxy in front of it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = [
    "Behaviour",
    "Exchange",
    "Proxy",
    "Request",
    "Server",
    "answer",
    "chunked",
    "cut",
    "drip",
    "garbage",
    "raw",
    "redirect",
    "serve",
    "stall",
]

# Nothing here waits longer, whatever happens to a test.
_PATIENCE = 20.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked: its request line, and its headers with names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(kw_only=True)
class Exchange:
    """One request, and the connection to answer it on."""

    request: Request
    connection: socket.socket
    ended: threading.Event

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        self.send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))

    def reset(self) -> None:
        """Make the client see a reset instead of an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def part(self, data: bytes, etag: str | None) -> tuple[int, dict[str, str], int]:
        """Return status, headers and start of what an honest server would send for a request with a range."""
        headers = {} if etag is None else {"ETag": etag}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.request.headers.get("range", ""))
        if wanted is None or self.request.headers.get("if-range") != etag:
            return 200, headers | {"Content-Length": str(len(data))}, 0
        start = int(wanted[1])
        if start >= len(data):
            return 416, headers | {"Content-Length": "0", "Content-Range": f"bytes */{len(data)}"}, len(data)
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return 206, headers | {"Content-Length": str(len(data) - start)}, start


Behaviour = Callable[[Exchange], None]


@dataclass(kw_only=True)
class Server:
    """Answers each request with the next behaviour of a script, and with the last one from there on."""

    script: list[Behaviour]
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((self.host, 0))
        self._listener.settimeout(_PATIENCE)
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def url(self, path: str = "/module/1", host: str = "") -> str:
        return f"{'http' if self.tls is None else 'https'}://{host or self.host}:{self.port}{path}"

    def ranges(self) -> list[str | None]:
        """Return the range that each request asked for."""
        return [request.headers.get("range") for request in self.requests]

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ended.is_set():
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        # A client that goes away in the middle is what many tests are about.
        with contextlib.suppress(OSError), connection:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                request = _read_request(connection)
                if request is None:
                    return
                with self._lock:
                    behaviour = self.script[min(len(self.requests), len(self.script) - 1)]
                    self.requests.append(request)
                behaviour(Exchange(request=request, connection=connection, ended=self._ended))


def serve(data: bytes, etag: str | None = None, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Send a file as it should be, the asked part of it where there is an ETag."""

    def behave(exchange: Exchange) -> None:
        status, own, start = exchange.part(data, etag)
        exchange.head(status, own | dict(headers or {}))
        exchange.send(data[start:])

    return behave


def answer(
    body: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None, length: int | None = -1
) -> Behaviour:
    """Send these bytes; the length is told rightly, wrongly, or (None) not at all."""

    def behave(exchange: Exchange) -> None:
        told = {} if length is None else {"Content-Length": str(len(body) if length < 0 else length)}
        exchange.head(status, told | dict(headers or {}))
        exchange.send(body)

    return behave


def cut(data: bytes, at: int, etag: str | None = None, *, reset: bool = True, least: int = 0) -> Behaviour:
    """Send a file, and break off `at` bytes into it, or `least` bytes into the part that was asked for."""

    def behave(exchange: Exchange) -> None:
        status, own, start = exchange.part(data, etag)
        exchange.head(status, own)
        exchange.send(data[start : max(at, start + least)])
        if reset:
            exchange.reset()

    return behave


def chunked(data: bytes, at: int | None = None, etag: str | None = None, *, chunk: int = 1000) -> Behaviour:
    """Send a file in chunks, and break off in the middle of a chunk."""

    def behave(exchange: Exchange) -> None:
        own = {} if etag is None else {"ETag": etag}
        exchange.head(200, own | {"Transfer-Encoding": "chunked"})
        encoded = b"".join(
            b"%x\r\n%b\r\n" % (len(data[i : i + chunk]), data[i : i + chunk]) for i in range(0, len(data), chunk)
        )
        exchange.send((encoded + b"0\r\n\r\n") if at is None else encoded[:at])

    return behave


def stall(data: bytes, at: int, etag: str | None = None) -> Behaviour:
    """Send a file, and say nothing more after so many bytes of it, without closing."""

    def behave(exchange: Exchange) -> None:
        status, own, start = exchange.part(data, etag)
        exchange.head(status, own)
        exchange.send(data[start : max(at, start)])
        _wait_for_the_end(exchange)

    return behave


def drip(data: bytes, pause: float, etag: str | None = None, *, head_too: bool = False) -> Behaviour:
    """Send a file byte by byte, so slowly that it never ends, but never silent for long."""

    def behave(exchange: Exchange) -> None:
        if head_too:
            slow = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000
        else:
            status, own, start = exchange.part(data, etag)
            exchange.head(status, own)
            slow = data[start:]
        for index in range(len(slow)):
            exchange.send(slow[index : index + 1])
            if exchange.ended.wait(pause):
                return

    return behave


def raw(start: bytes, endless: bytes) -> Behaviour:
    """Send these bytes, and then others again and again, never silent for long."""

    def behave(exchange: Exchange) -> None:
        exchange.send(start)
        while not exchange.ended.wait(0.02):
            exchange.send(endless)

    return behave


def redirect(location: str, status: int = 302, body: bytes = b"") -> Behaviour:
    """Send the client elsewhere."""
    return answer(body, status, {"Location": location})


def garbage(data: bytes, *, reset: bool = False) -> Behaviour:
    """Send what is no HTTP."""

    def behave(exchange: Exchange) -> None:
        exchange.send(data)
        if reset:
            exchange.reset()

    return behave


class Proxy(Server):
    """Forwards what it is asked: requests with a whole URL, and CONNECT. Its script is for refusals (407)."""

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        with contextlib.suppress(OSError), connection:
            request = _read_request(connection)
            if request is None:
                return
            self.requests.append(request)
            if self.script:
                self.script[0](Exchange(request=request, connection=connection, ended=self._ended))
                return
            is_tunnel = request.method == "CONNECT"
            rest = request.target if is_tunnel else request.target.removeprefix("http://")
            address, _, path = rest.partition("/")
            host, _, port = address.rpartition(":")
            with socket.create_connection((host, int(port)), _PATIENCE) as upstream:
                if is_tunnel:
                    connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                    self._start(_pump, connection, upstream)
                else:
                    lines = [f"{request.method} /{path} HTTP/1.1", *(f"{k}: {v}" for k, v in request.headers.items())]
                    upstream.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
                _pump(upstream, connection)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _wait_for_the_end(exchange: Exchange) -> None:
    exchange.ended.wait(_PATIENCE)


def _read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return None
        data += received
        if data.startswith(b"\x16"):  # the hello of TLS, to which servers of plain HTTP answer so
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
    first, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    return Request(method=method, target=target, headers=dict(_fields(lines)))


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()
