from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from modhub.errors import (
    CorruptModuleError,
)
from modhub.format.archive import Limits
from tests.format.archive_contents import contents, put
from tests.format.hostile_archives import END, entry, header, pax, record, write_bomb


def pieces(name: bytes, count: int) -> Iterable[bytes]:
    return (entry(name % number) for number in range(count))


@pytest.mark.parametrize(
    ("limits", "data", "message"),
    [
        (Limits(members=3), b"".join(pieces(b"%d", 4)), "more than 3 files and directories"),
        (Limits(members=3), entry(b"a/b/c/d"), "more than 3 files and directories"),
        (Limits(members=3), entry(b"./", kind=b"5") * 4, "more than 3 files and directories"),
        (Limits(members=3), pax(kind=b"g") * 4, "more than 3 files and directories"),
        (Limits(depth=2), entry(b"a/b/c"), "more than 2 parts"),
        (Limits(name_bytes=3), entry("ää".encode()), "more than 3 bytes"),
        (Limits(all_name_bytes=3), entry(b"a/b"), "names of more than 3 bytes"),
        (Limits(bytes=2000), entry(b"a", bytes(2000)), "unpacks to more than 2000 bytes"),
        (Limits(bytes=2000), entry(b"a", bytes(10)) + entry(b"b"), "unpacks to more than 2000 bytes"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limits: Limits, data: bytes, message: str) -> None:
    path = put(tmp_path, data + END)
    contents(path)
    with pytest.raises(CorruptModuleError, match=message):
        contents(path, limits)


def test_limits_let_what_they_name_pass(tmp_path: Path) -> None:
    path = put(tmp_path, entry(b"a/b/c", b"text") + entry(b"a/b/d") + END)
    limits = Limits(members=4, depth=3, name_bytes=5, all_name_bytes=14, bytes=5 * 512)
    assert contents(path, limits) == {"a/b/c": b"text", "a/b/d": b""}


def test_the_ratio_counts_only_for_what_is_large(tmp_path: Path) -> None:
    write_bomb(tmp_path / "bomb", 2**22, header(b"zeros", 2**22 - 1024))
    assert contents(tmp_path / "bomb") == {"zeros": bytes(2**22 - 1024)}
    with pytest.raises(CorruptModuleError, match=r"more than 200 times its \d+ bytes, which is refused"):
        contents(tmp_path / "bomb", Limits(ratio_from=2**20))


# What is left of memory once Python and the archive's reader are there is what reading takes.
MEASURE = """
import json, resource, sys
from pathlib import Path
from modhub.errors import ModhubError
from modhub.format.archive import Limits, members

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
count, message = 0, ""
try:
    for member, reader in members(Path(sys.argv[1]), Limits(**json.loads(sys.argv[2]))):
        count += 1
        while reader.read(2**16):
            pass
except ModhubError as error:
    message = str(error)
print(json.dumps([count, message, (peak() - before) / 1024]))
"""


def measured(path: Path, **limits: int) -> tuple[int, str, float]:
    """Read an archive in a process of its own: how many members, which error, and how many MiB it took."""
    command = [sys.executable, "-c", MEASURE, str(path), json.dumps(limits)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    count, message, mebibytes = json.loads(run.stdout)
    return count, message, mebibytes


@pytest.mark.parametrize("size", [2**30 - 4096, 2**40])
def test_a_bomb_is_stopped_and_takes_no_memory(tmp_path: Path, size: int) -> None:
    size_field = size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    write_bomb(tmp_path / "bomb", 2**30 if size < 2**30 else 2**27, header(b"zeros", size_field))
    _, message, mebibytes = measured(tmp_path / "bomb")
    assert "unpacks to more than" in message
    assert mebibytes < 8
    if size < 2**30:
        # With the limits lifted it is read to its end.
        count, message, mebibytes = measured(tmp_path / "bomb", ratio=10**6)
        assert (count, message) == (1, "")
        assert mebibytes < 8


@pytest.mark.parametrize(
    "start",
    [
        bytes(512),
        header(b"p", 2**29, b"x"),
        header(b"l", 2**29, b"L"),
        pax(record(b"size", b"%d" % 2**27)) + header(b"a"),
    ],
    ids=["zeros", "pax", "long name", "size"],
)
def test_a_bomb_in_another_place_takes_no_memory(tmp_path: Path, start: bytes) -> None:
    write_bomb(tmp_path / "bomb", 2**27, start)
    _, message, mebibytes = measured(tmp_path / "bomb", ratio=300)
    assert message
    assert mebibytes < 8


def test_many_members_take_little_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "many", "wb", 1) as file:
        for piece in pieces(b"%06d", 100_001):
            file.write(piece)
        file.write(END)
    count, message, mebibytes = measured(tmp_path / "many", ratio=10**4)
    assert count == 100_000
    assert "more than 100000 files and directories" in message
    assert mebibytes < 30
    count, message, mebibytes = measured(tmp_path / "many", ratio=10**4, members=100_001)
    assert (count, message) == (100_001, "")
    assert mebibytes < 30


def test_long_names_in_many_directories_take_little_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "many", "wb", 1) as file:
        for number in range(100_000):
            file.write(pax(record(b"path", b"/".join([b"%06d" % number] * 30))) + header(b"x"))
    _, message, mebibytes = measured(tmp_path / "many", ratio=10**4)
    assert "names of more than" in message
    assert mebibytes < 30
