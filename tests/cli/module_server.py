"""A server of modules on loopback, and the module that it has."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modhub.format.layout import MODULE_DEF_BYTES

FILES = {"tfhub_module.pb": MODULE_DEF_BYTES, "saved_model.pb": b"", "assets/words.txt": b"a\nb\n"}


def archive() -> bytes:
    """Return the module as an archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(target.getvalue(), mtime=1)


class ModuleServer(ThreadingHTTPServer):
    """Has the module at every path but those with "missing", and says half of it at those with "slow".

    Attributes:
      asked: the paths that were asked for.
      hanging: set when half of a module was said.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.hanging = threading.Event()
        self.ended = threading.Event()

    def url(self, name: str) -> str:
        """Return a handle."""
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: ModuleServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if "missing" in path:
            self.send_error(404)
            return
        data = archive()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if "slow" in path:
            self.wfile.write(data[: len(data) // 2])
            self.server.hanging.set()
            self.server.ended.wait(60)
            return
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def module_server() -> Iterator[ModuleServer]:
    """Run a server."""
    with ModuleServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
