"""What the tests of transports share: the files of a module, and a job to fetch them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

from modhub.format.archive_limits import Limits
from modhub.format.digests import FileDigest
from modhub.settings import Settings
from modhub.transports import Fetched, Job

FILES = {
    "assets/words.txt": b"a\nb\n",
    "saved_model.pb": b"graph",
    "tfhub_module.pb": b"\x08\x03",
    # more than one block of those that transports copy by
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 10_000,
    "variables/variables.index": b"index",
}


class CountingProgress:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.count = 0
        self.notes: list[str] = []
        self._lock = threading.Lock()

    def start(self, total: int | None, label: str) -> None:
        self.total, self.count = total, 0

    def advance(self, count: int) -> None:
        with self._lock:
            self.count += count

    def note(self, text: str) -> None:
        self.notes.append(text)

    def done(self) -> None:
        raise AssertionError("it is the caller of a transport who ends")

    def stopped(self, *, goes_on: bool = False) -> None:
        raise AssertionError("only what can be gone on with is told of by a transport")


def make_job(folder: Path, handle: str, *, limits: Limits | None = None, **settings: Any) -> Job:
    """Return a job whose directory is new."""
    directory = folder / "cache" / "entry.tmp"
    directory.mkdir(parents=True)
    return Job(
        handle=handle,
        directory=directory,
        partial=folder / "cache" / "entry.part",
        settings=Settings(cache_dir=folder / "cache", **settings),
        progress=CountingProgress(),
        limits=limits or Limits(),
    )


def archive_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """Return an archive of files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return stream.getvalue()


def check_fetched(fetched: Fetched, job: Job, files: dict[str, bytes]) -> None:
    """Check that a directory has these files, as they are told of, and nothing else."""
    there = {
        os.path.relpath(os.path.join(above, name), job.directory)
        for above, _, names in os.walk(job.directory)
        for name in names
    }
    assert there == set(files)
    assert {name: (job.directory / name).read_bytes() for name in files} == files
    assert dict(fetched.files) == {
        name: FileDigest(size=len(contents), sha256=hashlib.sha256(contents).hexdigest())
        for name, contents in files.items()
    }
    for name in files:
        status = (job.directory / name).stat()
        assert status.st_mtime_ns % 2_000_000_000 == 0
        assert status.st_mode & 0o777 == 0o644 & ~_umask()
    assert isinstance(job.progress, CountingProgress)
    assert not job.partial.exists()


_WITHOUT = """
import pathlib, sys
sys.modules[sys.argv[1]] = None
from modhub.transports import transport_for
from tests.transports.fake_job import make_job
try:
    transport_for(sys.argv[2])(sys.argv[2], make_job(pathlib.Path(sys.argv[3]), sys.argv[2]))
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def message_without(package: str, url: str, folder: Path) -> str:
    """Return the error of a fetch in a process that cannot import a package."""
    arguments = [sys.executable, "-W", "error", "-c", _WITHOUT, package, url, str(folder)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(arguments, cwd=root, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.strip()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
