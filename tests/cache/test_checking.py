from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.cache.checking import find_damage, listed_files
from modhub.cache.manifest import Manifest, new_manifest, read_manifest, write_manifest
from modhub.format import digests
from modhub.format.digests import digest_file
from tests.cache.publishing import made_files, write_files

FILES = made_files(3)
OLD = (time.time_ns() // 10**9 - 3600) * 10**9


@pytest.fixture
def entry(tmp_path: Path) -> tuple[Path, Manifest]:
    write_files(tmp_path, FILES)
    for name in FILES:
        os.utime(tmp_path / name, ns=(OLD, OLD))
    manifest = new_manifest(tmp_path, {name: digest_file(tmp_path / name) for name in FILES}, handle="https://x/1")
    write_manifest(tmp_path, manifest, ".new")
    return tmp_path, manifest


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def linked(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


@pytest.mark.parametrize("digests", [False, True])
def test_a_whole_entry(entry: tuple[Path, Manifest], digests: bool) -> None:
    assert find_damage(*entry, digests=digests) == ()


def test_files_that_were_not_written_to_are_not_read(
    entry: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr("modhub.cache.checking.digest_file", refuse)
    assert find_damage(*entry, digests=False) == ()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (os.unlink, "is missing"),
        (lambda path: os.truncate(path, 3), "has 3 bytes"),
        (rewritten, "was altered"),
        (linked, "is not a file"),
        (lambda path: (path.unlink(), path.mkdir()), "is missing"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is not a file"),
        (lambda path: path.with_name("more").touch(), "does not belong"),
        (lambda path: path.with_name("more").symlink_to("/dev/zero"), "does not belong"),
    ],
)
def test_damage_is_told(entry: tuple[Path, Manifest], harm: Callable[[Path], object], told: str) -> None:
    harm(entry[0] / "saved_model.pb")
    assert told in find_damage(*entry, digests=False)[0]


def test_a_linked_directory_is_damage(entry: tuple[Path, Manifest]) -> None:
    (entry[0] / "variables").rename(entry[0].with_name("elsewhere"))
    (entry[0] / "variables").symlink_to(entry[0].with_name("elsewhere"))
    assert any("does not belong" in each for each in find_damage(*entry, digests=False))


@pytest.mark.parametrize("name", [".DS_Store", ".nfs0001", "variables/.x", ".hidden/file"])
def test_files_that_systems_leave_about_are_none(entry: tuple[Path, Manifest], name: str) -> None:
    write_files(entry[0], {name: b"x"})
    assert find_damage(*entry, digests=True) == ()


def test_bits_that_rot_show_in_the_digests(entry: tuple[Path, Manifest]) -> None:
    path = entry[0] / "saved_model.pb"
    rewritten(path)
    os.utime(path, ns=(OLD, OLD))
    assert find_damage(*entry, digests=False) == ()
    assert "was altered" in find_damage(*entry, digests=True)[0]


def test_files_that_were_copied_are_read_once(entry: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> digests.FileDigest:
        read.append(path)
        return digest_file(path)

    monkeypatch.setattr("modhub.cache.checking.digest_file", counted)
    for name in FILES:
        os.utime(entry[0] / name, ns=(OLD + 5, OLD + 5))
    directory, manifest = entry
    assert find_damage(directory, manifest, digests=False) == ()
    assert len(read) == len(FILES)
    again = read_manifest(directory)
    assert again is not None
    assert find_damage(directory, again, digests=False) == ()
    assert len(read) == len(FILES)


def test_a_file_written_twice_within_a_tick_of_the_clock(entry: tuple[Path, Manifest]) -> None:
    """Its time is the same both times, so what was seen in between must not be believed."""
    directory, manifest = entry
    path = directory / "saved_model.pb"
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    assert find_damage(directory, manifest, digests=False) == ()
    rewritten(path)
    os.utime(path, ns=(now, now))
    again = read_manifest(directory)
    assert again is not None
    assert "was altered" in find_damage(directory, again, digests=False)[0]


@pytest.mark.parametrize("when", [0, 1, 2**31 * 10**9, time.time_ns() + 10**15])
def test_clocks_that_are_wrong(entry: tuple[Path, Manifest], when: int) -> None:
    directory, manifest = entry
    path = directory / "saved_model.pb"
    os.utime(path, ns=(when, when))
    assert find_damage(directory, manifest, digests=False) == ()
    rewritten(path)
    again = read_manifest(directory)
    assert again is not None
    assert "was altered" in find_damage(directory, again, digests=False)[0]


def test_where_nothing_can_be_written_files_are_read_each_time(
    entry: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("modhub.cache.checking.write_manifest", refuse)
    os.utime(entry[0] / "saved_model.pb", ns=(1, 1))
    assert find_damage(*entry, digests=False) == ()
    assert read_manifest(entry[0]) == entry[1]


def test_folders_without_an_end(entry: tuple[Path, Manifest]) -> None:
    deep = entry[0]
    for _ in range(70):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert "too deep" in find_damage(*entry, digests=False)[0]
    with pytest.raises(OSError, match="too deep"):
        list(listed_files(entry[0]))


def test_a_directory_that_went_away(entry: tuple[Path, Manifest], tmp_path: Path) -> None:
    assert "cannot be read" in find_damage(tmp_path / "gone", entry[1], digests=False)[0]
