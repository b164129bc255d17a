"""tensorflow_hub 0.15.0 and modhub use one cache directory: each serves what the other fetched, without a request.

The server is on loopback and speaks the compressed protocol; the other side is a process of its own, as in
test_interchange.
"""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from tests.peer.peer import needs_peer, start_peer

pytestmark = needs_peer


class Server(http.server.ThreadingHTTPServer):
    """Sends one archive, as quickly or as far as the test says."""

    archive: bytes
    most: int | None = None  # so many bytes are sent, and the connection is closed
    pause: float = 0.0  # between the two halves
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/google/half/1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.archive
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/x-tar-gz")
        self.end_headers()
        half = len(body) // 2
        sent = body[: self.server.most]
        try:
            self.wfile.write(sent[:half])
            self.wfile.flush()
            time.sleep(self.server.pause)
            self.wfile.write(sent[half:])
        except OSError:  # who asked is gone
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    tf1 = tf.compat.v1

    def half_plus(scale: float = 0.5) -> None:
        x = tf1.placeholder(tf.float32, [None])
        a = tf1.get_variable("a", initializer=scale)
        b = tf1.get_variable("b", initializer=3.0)
        hub.add_signature(inputs=x, outputs=a * x + b)

    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(hub.create_module_spec(half_plus))
        session.run(tf1.global_variables_initializer())
        module.export(tmp_path / "half", session)
    # Names of each directory too: tensorflow_hub unpacks no file into one that it was not told of.
    with tarfile.open(tmp_path / "half.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "half", ".")
    with Server() as started:
        started.archive = (tmp_path / "half.tar.gz").read_bytes()
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def finish(peer: subprocess.Popen[str]) -> dict[str, object]:
    out, err = peer.communicate(timeout=300)
    assert peer.returncode == 0, err
    found: dict[str, object] = json.loads(out.splitlines()[-1])
    return found


def compute(url: str) -> list[float]:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        outputs = hub.Module(url)(tf.constant([2.0, 10.0]))
        session.run(tf.compat.v1.global_variables_initializer())
        values: list[float] = session.run(outputs).tolist()
    return values


def test_what_tensorflow_hub_fetched_is_a_hit(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = finish(start_peer("peer_cache.py", server.url))
    assert server.requests == ["/google/half/1?tf-hub-format=compressed"]
    monkeypatch.setenv("MODHUB_OFFLINE", "1")
    assert hub.resolve(server.url) == found["path"]
    assert compute(server.url) == found["outputs"] == [4.0, 8.0]
    (entry,) = hub.cache.entries()
    assert (entry.handle, entry.by) == (server.url, "tensorflow_hub")
    # With modhub's manifest in it, tensorflow_hub still takes it for what it fetched.
    assert finish(start_peer("peer_cache.py", server.url)) == found
    assert len(server.requests) == 1


def test_what_modhub_fetched_is_a_hit_for_tensorflow_hub(server: Server, cache: Path) -> None:
    path = hub.resolve(server.url)
    assert server.requests == ["/google/half/1?tf-hub-format=compressed"]
    assert finish(start_peer("peer_cache.py", server.url)) == {"path": path, "outputs": [4.0, 8.0]}
    assert len(server.requests) == 1
    assert not hub.cache.verify()[0].damage


def test_the_two_wait_for_each_other(server: Server, cache: Path) -> None:
    server.pause = 3.0
    peer = start_peer("peer_cache.py", server.url)
    _wait_for(lambda: bool(server.requests))
    assert compute(server.url) == [4.0, 8.0]  # while the other is fetching
    assert finish(peer)["outputs"] == [4.0, 8.0]
    assert len(server.requests) == 1


def test_tensorflow_hub_waits_for_modhub(server: Server, cache: Path) -> None:
    server.pause = 15.0  # as long as the other takes to start
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(hub.resolve(server.url)))
    thread.start()
    _wait_for(lambda: bool(server.requests))
    assert finish(start_peer("peer_cache.py", server.url))["outputs"] == [4.0, 8.0]
    thread.join()
    assert len(server.requests) == 1


def test_a_lock_of_a_tensorflow_hub_that_was_killed_is_taken_away(server: Server, cache: Path) -> None:
    server.pause = 60.0
    peer = start_peer("peer_cache.py", server.url)
    _wait_for(lambda: bool(server.requests) and any(cache.glob("*.lock")))
    peer.send_signal(signal.SIGKILL)
    peer.communicate(timeout=60)
    server.pause = 0.0
    assert compute(server.url) == [4.0, 8.0]
    assert not list(cache.glob("*.lock"))


def test_what_a_broken_connection_left_to_tensorflow_hub_is_not_served(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A plain archive that ends between two members: tensorflow_hub takes it for whole.
    with tarfile.open(cache.parent / "half.tar", "w") as archive:
        archive.add(cache.parent / "half", ".", recursive=False)
        archive.add(cache.parent / "half" / "saved_model.pb", "./saved_model.pb")
        whole_until = archive.offset
        for name in ("tfhub_module.pb", "variables"):
            archive.add(cache.parent / "half" / name, f"./{name}")
    server.archive = (cache.parent / "half.tar").read_bytes()
    server.most = whole_until
    peer = start_peer("peer_cache.py", server.url)
    _, complaint = peer.communicate(timeout=300)
    assert peer.returncode, "a module without its variables"
    (entry,) = [path for path in cache.iterdir() if path.is_dir()]
    assert sorted(path.name for path in entry.iterdir()) == ["saved_model.pb"], complaint
    monkeypatch.setenv("MODHUB_OFFLINE", "1")
    with pytest.raises(hub.errors.OfflineError, match=r"variables"):
        hub.resolve(server.url)
    monkeypatch.delenv("MODHUB_OFFLINE")
    server.most = None
    assert compute(server.url) == [4.0, 8.0]
    assert finish(start_peer("peer_cache.py", server.url))["outputs"] == [4.0, 8.0]


def _wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
