"""What unpacking does where the disk or memory is short, each time in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.format.hostile_archives import END, archive, entry, header

# Unpacks what is given, within the limits that are given, and says how it went.
UNPACK = """
import json, os, resource, sys, threading
from pathlib import Path
from modhub.errors import ModhubError
from modhub.format.unpack import unpack

source, target, limits = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
for name, limit in limits.items():
    resource.setrlimit(getattr(resource, name), (limit, limit))
kind = message = ""
try:
    with source.open("rb") as file:
        unpack(file, "an archive", target)
except ModhubError as error:
    kind, message = type(error).__name__, str(error)
print(json.dumps([kind, message, threading.active_count()]))
"""


def unpacked(source: Path, target: Path, before: tuple[str, ...] = (), **limits: int) -> tuple[str, str, int]:
    """Unpack in a process of its own: the class of the error, its message, and how many threads are left."""
    command = [*before, sys.executable, "-c", UNPACK, str(source), str(target), json.dumps(limits)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    # Nothing else is told, as threads would tell of what they raise.
    assert (run.returncode, run.stderr) == (0, "")
    kind, message, threads = json.loads(run.stdout)
    return kind, message, threads


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [70_000, 3_000_000])
def test_a_file_that_the_system_refuses_to_write_is_told(tmp_path: Path, target: Path, size: int, packed: bool) -> None:
    (tmp_path / "archive").write_bytes(archive({"a": b"1", "variables/x": os.urandom(size), "z": b"2"}, packed=packed))
    kind, message, threads = unpacked(tmp_path / "archive", target, RLIMIT_FSIZE=2**16)
    assert (kind, threads) == ("CacheError", 1)
    path = repr(str(target / "variables" / "x"))
    assert message.startswith(f"{path} cannot be written: [Errno 27] File too large. Make room on that disk, or use")
    assert (target / "variables" / "x").stat().st_size <= 2**16
    shutil.rmtree(target)
    target.mkdir()
    assert unpacked(tmp_path / "archive", target) == ("", "", 1)


def test_too_few_files_that_may_be_open_is_told(tmp_path: Path, target: Path) -> None:
    (tmp_path / "archive").write_bytes(archive({f"{number}": b"text" for number in range(100)}))
    assert unpacked(tmp_path / "archive", target, RLIMIT_NOFILE=64) == ("", "", 1)
    shutil.rmtree(target)
    target.mkdir()
    kind, message, threads = unpacked(tmp_path / "archive", target, RLIMIT_NOFILE=4)
    assert (kind, threads) == ("CacheError", 1)
    assert "Too many open files" in message
    assert str(target) in message


@pytest.mark.parametrize("files", [{"a": 100, "variables/x": 2_000_000}, {f"d/{number}": 100 for number in range(500)}])
def test_a_full_disk_is_told(tmp_path: Path, target: Path, files: dict[str, int]) -> None:
    mount = f'mount -t tmpfs -o size=1m,nr_inodes=300 none "{target}" && exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    (tmp_path / "archive").write_bytes(archive({name: os.urandom(size) for name, size in files.items()}, packed=True))
    kind, message, threads = unpacked(tmp_path / "archive", target, before)
    assert (kind, threads) == ("CacheError", 1)
    assert message.startswith(f"'{target}/")
    assert "cannot be written: [Errno 28] No space left on device" in message
    assert "Make room on that disk" in message


# With a size the archive of one file is made while it is read, so that it is nowhere itself.
MEASURE = """
import json, os, resource, sys, zlib
from pathlib import Path
from modhub.format.unpack import unpack

class Source:
    def __init__(self, start, size, packed, noise):
        # Level 0 takes no time, and stores what cannot be packed anyway.
        self.deflate = zlib.compressobj(0 if noise else 1, zlib.DEFLATED, 31) if packed else None
        self.pieces = self.packed(self.made(start, size, noise)) if packed else self.made(start, size, noise)
        self.left = b""
    def made(self, start, size, noise):
        yield start
        block = os.urandom(2**16) if noise else bytes(2**16)
        for _ in range(size // 2**16):
            yield block
        yield bytes(1024)
    def packed(self, pieces):
        for piece in pieces:
            yield self.deflate.compress(piece)
        yield self.deflate.flush()
    def read(self, size):
        while not self.left and (piece := next(self.pieces, None)) is not None:
            self.left = piece
        data, self.left = self.left[:size], self.left[size:]
        return data

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

target, start, size, packed, noise = sys.argv[1], *json.loads(sys.argv[2])
if size:
    source = Source(bytes.fromhex(start), size, packed, noise)
    # What making it takes is there before.
    Source(b"", 2**20, packed, noise).read(2**16)
else:
    source = open(start, "rb")
before = peak()
unpacked = unpack(source, "an archive", Path(target))
print(json.dumps([sum(file.size for file in unpacked.files.values()), (peak() - before) / 1024]))
"""


def measured(target: Path, *source: object) -> tuple[int, float]:
    """Unpack in a process of its own: how many bytes were written, and how many MiB of memory it took."""
    command = [sys.executable, "-c", MEASURE, str(target), json.dumps(source)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, "")
    written, mebibytes = json.loads(run.stdout)
    return written, mebibytes


@pytest.mark.parametrize(("packed", "noise"), [(False, True), (True, True), (True, False)])
def test_a_large_file_takes_little_memory(target: Path, packed: bool, noise: bool) -> None:
    # Of zeros as many as any ratio is taken for.
    size = 300 * 2**20 if noise else 15 * 2**20
    written, mebibytes = measured(target, header(b"x", size).hex(), size, packed, noise)
    assert written == size
    assert mebibytes < 10


def test_many_small_files_take_little_memory(tmp_path: Path, target: Path) -> None:
    data = b"".join(entry(b"%d/%d" % (number % 7, number), b"text" * 100) for number in range(3000))
    (tmp_path / "archive").write_bytes(gzip.compress(data + END, 1))
    written, mebibytes = measured(target, str(tmp_path / "archive"), 0, True, False)
    assert written == 3000 * 400
    assert mebibytes < 10
