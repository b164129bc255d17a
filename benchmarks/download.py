"""Time a download of 500 MB from loopback: fetched, checked, unpacked and in the cache; and a hit.

python benchmarks/download.py [--rounds N] [--cache DIRECTORY] [--without-peer]

Side by side, in turns, each round into empty directories: modhub (which also digests, and waits for the disk),
tensorflow_hub 0.15.0 on this TensorFlow, and `curl | tar xz`, once as it is and once with a `sync` of what it wrote.
The server is a process of its own that sends a file, and does nothing else. Times are of the call alone: no imports.
"""

from __future__ import annotations

import argparse
import http.server
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from inspection import large_module
from peer_stub import import_peer

HITS = 200


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends the archive to whoever asks for it."""

    archive: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, under the name that http.server calls."""
        with self.archive.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.send_header("ETag", '"one"')
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "modhub-benchmarks")
    parser.add_argument("--without-peer", action="store_true", help="leave tensorflow_hub out, which takes longest")
    parser.add_argument("--contestant", choices=("modhub", "tensorflow_hub", "hit"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(CONTESTANTS[options.contestant](options.url)))
        return
    archive = packed(large_module(options.cache))
    receive, send = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(archive, send), daemon=True)
    server.start()
    try:
        race(f"http://127.0.0.1:{receive.recv()}/module/1", archive, options)
    finally:
        server.terminate()
        server.join()


def race(url: str, archive: Path, options: argparse.Namespace) -> None:
    """Let each contestant download in turns, and print the medians."""
    runners: dict[str, Any] = {
        "modhub": lambda folder: in_process("modhub", url, folder),
        "curl | tar xz": lambda folder: by_shell(url, folder, waits=False),
        "curl | tar xz, and sync": lambda folder: by_shell(url, folder, waits=True),
    }
    if not options.without_peer:
        runners["tensorflow_hub 0.15.0"] = lambda folder: in_process("tensorflow_hub", url, folder)
    found: dict[str, list[float]] = {name: [] for name in runners}
    hits = []
    for _ in range(options.rounds + 1):  # the first fills the system's cache
        for name, runner in runners.items():
            with tempfile.TemporaryDirectory(dir=options.cache) as folder:
                os.sync()
                found[name].append(runner(Path(folder)))
                if name == "modhub":
                    hits.append(in_process("hit", url, Path(folder), MODHUB_OFFLINE="1"))
    medians = {name: statistics.median(seconds[1:]) for name, seconds in found.items()}
    print(f"{archive.stat().st_size / 1e6:.0f} MB from loopback; median (fastest) of {options.rounds} rounds")
    print(f"{'':28}  {'seconds':>16}  {'modhub is':>10}")
    for name, seconds in found.items():
        ratio = medians["modhub"] / medians[name]
        print(f"{name:28}  {medians[name]:7.2f} ({min(seconds[1:]):5.2f})  {ratio:9.2f}x")
    print(f"a hit in the cache, offline: {statistics.median(hits[1:]) * 1e3:.2f} ms")


def in_process(contestant: str, url: str, folder: Path, **environment: str) -> float:
    """Return the seconds that a contestant needs in a process of its own."""
    words = [sys.executable, __file__, "--contestant", contestant, "--url", url]
    env = {**os.environ, "TFHUB_CACHE_DIR": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, check=True, text=True)
    return float(json.loads(done.stdout))


def by_shell(url: str, folder: Path, *, waits: bool) -> float:
    """Return the seconds that curl and tar need."""
    start = time.perf_counter()
    pipe = 'set -o pipefail; curl -sf "$1" | tar xz -C "$2"' + ('; sync -f "$2"' if waits else "")
    subprocess.run(["bash", "-c", pipe, "bash", url, str(folder)], check=True)
    return time.perf_counter() - start


def fetch_by_modhub(url: str) -> float:
    import modhub

    resolve = modhub.resolve
    start = time.perf_counter()
    resolve(url)
    return time.perf_counter() - start


def fetch_by_peer(url: str) -> float:
    hub = import_peer()
    start = time.perf_counter()
    hub.resolve(url)
    return time.perf_counter() - start


def hit(url: str) -> float:
    """Return the mean of some hits."""
    import modhub

    resolve = modhub.resolve
    resolve(url)
    start = time.perf_counter()
    for _ in range(HITS):
        resolve(url)
    return (time.perf_counter() - start) / HITS


CONTESTANTS = {"modhub": fetch_by_modhub, "tensorflow_hub": fetch_by_peer, "hit": hit}


def packed(module: Path) -> Path:
    """Return the archive of a module, which is packed where it is missing."""
    archive = module.with_suffix(".tar.gz")
    if not archive.exists():
        part = archive.with_suffix(".part")
        with part.open("wb") as file:
            tar = subprocess.Popen(["tar", "c", "-C", str(module), "."], stdout=subprocess.PIPE)
            subprocess.run(["gzip", "-6"], stdin=tar.stdout, stdout=file, check=True)
            if tar.wait():
                raise SystemExit(f"tar could not pack {module}")
        shutil.move(part, archive)
    return archive


def serve(archive: Path, connection: Any) -> None:
    Handler.archive = archive
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        connection.send(server.server_address[1])
        server.serve_forever()


if __name__ == "__main__":
    main()
