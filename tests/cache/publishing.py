"""Modules as a server has them: their files, how they are packed, and the server, whose pace and answers can be set."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from modhub.format.digests import tree_digest
from modhub.format.layout import MANIFEST, MODULE_DEF_BYTES
from tests.transports.misbehaving import Exchange, Server

__all__ = ["Publisher", "contents", "digest_of", "made_files", "module_files", "packed", "sha256", "write_files"]

Files = Mapping[str, bytes]


def made_files(seed: int, *, count: int = 3, size: int = 20_000) -> dict[str, bytes]:
    """Files like those of a module; their bytes do not compress, and mean nothing to TensorFlow."""
    draw = random.Random(seed)
    files = {"tfhub_module.pb": MODULE_DEF_BYTES, "saved_model.pb": draw.randbytes(size)}
    return files | {f"variables/part-{i:05}": draw.randbytes(draw.randint(0, 2 * size)) for i in range(count)}


def module_files(seed: int) -> dict[str, bytes]:
    """The files of a small module that is one: a graph with a variable and an asset."""
    import numpy as np

    from modhub.format.bundle_writer import BundleWriter
    from modhub.format.protos import SavedModel

    saved_model = SavedModel(saved_model_schema_version=1)
    meta_graph = saved_model.meta_graphs.add()
    meta_graph.meta_info_def.tags.append("serve")
    for name in ("w", "vocab", f"version_{seed}"):
        meta_graph.graph_def.node.add(name=name, op="Placeholder")
    meta_graph.collection_def["variables"].bytes_list.value.append(b"\n\x03w:0")
    asset = meta_graph.asset_file_def.add()
    asset.tensor_info.name, asset.filename = "vocab:0", "vocab.txt"
    with tempfile.TemporaryDirectory() as folder:
        with BundleWriter(Path(folder, "variables/variables")) as writer:
            writer.add("w", 1, np.full([100], seed, np.float32))
        values = contents(Path(folder))
    return values | {
        "tfhub_module.pb": MODULE_DEF_BYTES,
        "saved_model.pb": saved_model.SerializeToString(),
        "assets/vocab.txt": b"version %d\n" % seed,
    }


def write_files(directory: Path, files: Files) -> Path:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def packed(files: Files, *, compressed: bool = True, folder: str = "./") -> bytes:
    """An archive of files, the same each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(folder + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 1, mtime=0) if compressed else buffer.getvalue()


def contents(directory: Path) -> dict[str, bytes]:
    """All files below a directory, but for the manifest in its root."""
    paths = [path for path in directory.rglob("*") if not path.is_dir() or path.is_symlink()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths if path != directory / MANIFEST}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(files: Files) -> str:
    return tree_digest({name: sha256(data) for name, data in files.items()})


class Publisher:
    """A server of archives by path. To be used by `with`.

    Attributes:
      archives: what it has; paths begin with a slash.
      pace: bytes a second, or None for as fast as it goes.
      alter: what is done to an archive on its way, at each request.
      headers: more of them, made of the archive as it should be.
      is_down: whether it refuses all requests.
      served: how often each path was asked for.
      seconds: how long the last answer for a path took.
    """

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.pace: float | None = None
        self.alter: Callable[[bytes], bytes] | None = None
        self.headers: Callable[[bytes], Mapping[str, str]] | None = None
        self.is_down = False
        self.served: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self._counting = threading.Lock()
        self._server = Server(script=[self._answer])

    def __enter__(self) -> Publisher:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(None, None, None)

    def url(self, path: str) -> str:
        return self._server.url(path)

    def _answer(self, exchange: Exchange) -> None:
        path = exchange.request.target.partition("?")[0]
        with self._counting:
            self.served[path] = self.served.get(path, 0) + 1
        data = self.archives.get(path)
        if self.is_down or data is None:
            exchange.head(404, {"Content-Length": "0"})
            return
        more = dict(self.headers(data)) if self.headers else {}
        etag = f'"{sha256(data)}"'
        data = self.alter(data) if self.alter else data
        status, own, position = exchange.part(data, etag)
        begin = time.monotonic()
        try:
            exchange.head(status, own | more)
            while position < len(data):
                block = data[position : position + 16384]
                exchange.send(block)
                position += len(block)
                if self.pace is not None:
                    exchange.ended.wait(len(block) / self.pace)
        finally:
            self.seconds[path] = time.monotonic() - begin
