from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import modhub
from modhub.cache.leftovers import claimed_partial, find_leftovers, sweep
from modhub.cache.names import key_of, lock_name, temporary_name
from modhub.cache.owner import new_owner
from tests.cache.publishing import Publisher, contents, made_files, packed

HANDLE = "https://example.com/module/1"
KEY = key_of(HANDLE)
ELSEWHERE = "m00000000p1s1r00000000"
KINDS = ["tmp", "part", "part.json", "old", "lock", "descriptor", "manifest"]


@pytest.fixture(scope="module")
def dead() -> str:
    """The owner that a process had which is gone."""
    code = "from modhub.cache.owner import new_owner; print(new_owner())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def put(directory: Path, owner: str, kind: str, age: float = 0) -> Path:
    path = directory / temporary_name(KEY, owner, kind)
    if kind in ("tmp", "old"):
        (path / "variables").mkdir(parents=True)
        (path / "saved_model.pb").write_bytes(b"x")
        os.utime(path / "saved_model.pb", (time.time() - age,) * 2)
        os.utime(path / "variables", (time.time() - age,) * 2)
    else:
        path.write_bytes(b"x")
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dead_process_left_is_found_at_once(tmp_path: Path, dead: str, kind: str) -> None:
    assert find_leftovers(tmp_path) == []
    path = put(tmp_path, dead, kind)
    put(tmp_path, new_owner(), kind, age=100)
    put(tmp_path, ELSEWHERE, kind, age=100)
    assert find_leftovers(tmp_path) == [path]
    assert find_leftovers(tmp_path, key_of("another")) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("owner", [ELSEWHERE, "0123456789abcdef" * 2])
def test_what_others_left_is_found_after_a_day(tmp_path: Path, owner: str, kind: str) -> None:
    path = put(tmp_path, owner, kind, age=23 * 3600)
    assert find_leftovers(tmp_path) == []
    path = put(tmp_path, owner.replace("1", "2"), kind, age=25 * 3600)
    assert find_leftovers(tmp_path) == [path]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_running_process_is_at_work_on_stays_however_old_it_looks(tmp_path: Path, kind: str) -> None:
    code = "from modhub.cache.owner import new_owner; print(new_owner(), flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = put(tmp_path, process.stdout.readline().strip(), kind, age=72 * 3600)
        put(tmp_path, new_owner(), kind, age=72 * 3600)
        assert find_leftovers(tmp_path) == []
        process.communicate("\n")
    assert find_leftovers(tmp_path) == [path]


def test_a_file_that_is_written_deep_below_counts(tmp_path: Path) -> None:
    path = put(tmp_path, ELSEWHERE, "tmp", age=25 * 3600)
    (path / "variables/data").write_bytes(b"x")
    for above in (path / "variables", path):
        os.utime(above, (time.time() - 25 * 3600,) * 2)
    assert find_leftovers(tmp_path) == []
    os.utime(path / "variables/data", (time.time() - 25 * 3600,) * 2)
    assert find_leftovers(tmp_path) == [path]


def test_locks_of_dead_processes(tmp_path: Path, dead: str) -> None:
    lock = tmp_path / lock_name(KEY)
    lock.write_text(f"{socket.gethostname()}.1.{dead}")
    (tmp_path / lock_name(key_of("live"))).write_text(f"{socket.gethostname()}.1.{new_owner()}")
    assert find_leftovers(tmp_path) == [lock]
    assert find_leftovers(tmp_path, KEY) == [lock]
    assert find_leftovers(tmp_path, key_of("live")) == []


def test_entries_and_files_of_others_are_none(tmp_path: Path) -> None:
    for name in (KEY, f"{KEY}.descriptor.txt", lock_name(KEY), "README", f"{KEY}.tmp", f"x{KEY}.{ELSEWHERE}.tmp"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    assert find_leftovers(tmp_path) == []
    assert find_leftovers(tmp_path / "nowhere") == []


def test_sweeping_takes_what_is_dead_and_of_the_same_handle(tmp_path: Path, dead: str) -> None:
    mine = put(tmp_path, new_owner(), "tmp")
    for kind in KINDS:
        put(tmp_path, dead, kind)
    another = tmp_path / temporary_name(key_of("another"), dead, "tmp")
    another.mkdir()
    sweep(tmp_path, HANDLE, keep=new_owner())
    assert sorted(tmp_path.iterdir()) == sorted([mine, another])


def test_the_largest_download_is_taken_up(tmp_path: Path, dead: str) -> None:
    for owner, size in ((dead, 5), (dead[:-1] + ("0" if dead[-1] != "0" else "1"), 9)):
        put(tmp_path, owner, "part").write_bytes(b"x" * size)
        put(tmp_path, owner, "part.json").write_text(str(size))
    owner = new_owner()
    with claimed_partial(tmp_path, HANDLE, owner) as path:
        assert path.name == temporary_name(KEY, owner, "part")
        assert path.read_bytes() == b"x" * 9
        assert path.with_name(f"{path.name}.json").read_text() == "9"


@pytest.mark.parametrize("owner", ["running", ELSEWHERE])
def test_the_download_of_another_is_left_alone(tmp_path: Path, owner: str) -> None:
    owner = new_owner() if owner == "running" else owner
    with claimed_partial(tmp_path, HANDLE, owner) as theirs:
        for kind in ("part", "part.json"):
            put(tmp_path, owner, kind)
        with claimed_partial(tmp_path, HANDLE, new_owner()) as path:
            assert not path.exists()
        assert theirs.exists()


def test_a_download_of_this_process_that_failed_is_taken_up(tmp_path: Path) -> None:
    owner = new_owner()
    with claimed_partial(tmp_path, HANDLE, owner):
        for kind in ("part", "part.json"):
            put(tmp_path, owner, kind)
    with claimed_partial(tmp_path, HANDLE, new_owner()) as path:
        assert path.read_bytes() == b"x"


def test_a_download_without_its_note_is_of_no_use(tmp_path: Path, dead: str) -> None:
    put(tmp_path, dead, "part")
    with claimed_partial(tmp_path, HANDLE, new_owner()) as path:
        assert not path.exists()


def test_what_one_killed_over_and_over_left_goes_with_the_next_attempt(
    cache_dir: Path, publisher: Publisher, dead: str
) -> None:
    files = made_files(1)
    publisher.archives["/m"] = packed(files)
    handle = publisher.url("/m")
    cache_dir.mkdir()
    for number in range(5):
        (cache_dir / temporary_name(key_of(handle), f"{dead[:-1]}{number}", "tmp")).mkdir()
    publisher.is_down = True
    with pytest.raises(modhub.errors.DownloadError):
        modhub.resolve(handle)
    assert os.listdir(cache_dir) == []
    publisher.is_down = False
    assert contents(Path(modhub.resolve(handle))) == files
