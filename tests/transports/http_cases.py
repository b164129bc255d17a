"""What the tests of downloads share: archives, jobs, and a look at what a job left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modhub.format.archive_limits import DEFAULT_LIMITS
from modhub.settings import Settings
from modhub.transports import Fetched, Job
from modhub.transports.http import fetch_http
from modhub.transports.progress import QuietProgress

__all__ = ["FILES", "PACKED", "PLAIN", "Place", "archive_of", "settings_with"]

_RANDOM = random.Random(5)
FILES = {
    "tfhub_module.pb": b"\x08\x03",
    "saved_model.pb": b"graph " * 300,
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": _RANDOM.randbytes(30_000),
    "assets/empty.txt": b"",
}


def archive_of(files: dict[str, bytes], *, packed: bool = True) -> bytes:
    """Return an archive without entries for directories."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(target.getvalue(), mtime=1) if packed else target.getvalue()


PACKED = archive_of(FILES)
PLAIN = archive_of(FILES, packed=False)


def settings_with(directory: Path, **changes: Any) -> Settings:
    """Return settings with tiny waits, but for what a busy machine may take to answer at all."""
    values: dict[str, Any] = {
        "cache_dir": directory,
        "connect_timeout": 10.0,
        "read_timeout": 10.0,
        "min_speed": 0,
        "retries": 2,
        "retry_max_wait": 0.01,
        "progress": False,
    }
    return Settings(**values | changes)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where downloads of a test go."""

    root: Path

    @property
    def directory(self) -> Path:
        return self.root / "new"

    @property
    def partial(self) -> Path:
        return self.root / "new.part"

    def job(self, handle: str, **changes: Any) -> Job:
        """Return a job with an empty directory, as the cache would make it."""
        self.directory.mkdir(exist_ok=True)
        for entry in sorted(self.directory.rglob("*"), reverse=True):
            entry.rmdir() if entry.is_dir() else entry.unlink()
        return Job(
            handle=handle,
            directory=self.directory,
            partial=self.partial,
            settings=settings_with(self.root, **changes),
            progress=QuietProgress(),
            limits=DEFAULT_LIMITS,
        )

    def fetch(self, url: str, **changes: Any) -> Fetched:
        """Fetch, and check that what is there is what the answer says."""
        fetched = fetch_http(url, self.job(url, **changes))
        found = self.files()
        assert {name: digest.sha256 for name, digest in fetched.files.items()} == {
            name: hashlib.sha256(data).hexdigest() for name, data in found.items()
        }
        assert not self.has_partial()
        return fetched

    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.directory.rglob("*") if path.is_file()]
        return {path.relative_to(self.directory).as_posix(): path.read_bytes() for path in paths}

    def has_partial(self) -> bool:
        return any(path.name.startswith("new.part") for path in self.root.iterdir())
