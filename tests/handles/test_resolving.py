"""From URLs to directories, with a server: hits, pins, lock files, mirrors, and no network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import modhub
from modhub.cache.names import key_of
from modhub.errors import (
    CorruptModuleError,
    DigestMismatchError,
    DownloadError,
    HandleNotFoundError,
    InvalidArgumentError,
    OfflineError,
)
from tests.cache.publishing import Publisher, contents, digest_of, made_files, packed, sha256, write_files

ONE, TWO = made_files(1), made_files(2)
PINS: dict[str, Callable[[dict[str, bytes]], str]] = {
    "archive": lambda files: sha256(packed(files)),
    "files": digest_of,
}


@pytest.fixture
def handle(cache_dir: Path, publisher: Publisher) -> str:
    publisher.archives["/module/1"] = packed(ONE)
    return publisher.url("/module/1")


def test_a_module_is_fetched_once(handle: str, publisher: Publisher, cache_dir: Path) -> None:
    directory = modhub.resolve(handle)
    assert directory == str(cache_dir / key_of(handle))
    assert contents(Path(directory)) == ONE
    publisher.is_down = True
    assert modhub.resolve(handle) == directory
    assert modhub.resolve(handle, verify=True) == directory
    assert publisher.served == {"/module/1": 1}


def test_what_is_in_the_cache_stays_when_the_server_has_another(handle: str, publisher: Publisher) -> None:
    modhub.resolve(handle)
    publisher.archives["/module/1"] = packed(TWO)
    assert contents(Path(modhub.resolve(handle))) == ONE


@pytest.mark.parametrize("kind", PINS)
def test_two_versions_side_by_side(handle: str, publisher: Publisher, kind: str) -> None:
    first = modhub.resolve(f"{handle}#sha256={PINS[kind](ONE)}")
    publisher.archives["/module/1"] = packed(TWO)
    second = modhub.resolve(f"{handle}#sha256={PINS[kind](TWO).upper()}")
    publisher.is_down = True
    assert modhub.resolve(handle) == modhub.resolve(f"{handle}#sha256={PINS[kind](ONE)}") == first
    assert modhub.resolve(f"{handle}#sha256={PINS[kind](TWO)}") == second
    assert (contents(Path(first)), contents(Path(second))) == (ONE, TWO)
    assert publisher.served == {"/module/1": 2}


@pytest.mark.parametrize("kind", PINS)
def test_another_module_than_the_one_it_is_pinned_to(
    handle: str, publisher: Publisher, cache_dir: Path, kind: str
) -> None:
    wanted = PINS[kind](TWO)
    with pytest.raises(DigestMismatchError, match=wanted) as caught:
        modhub.resolve(f"{handle}#sha256={wanted}")
    assert PINS[kind](ONE) in str(caught.value)
    assert os.listdir(cache_dir) == []


def test_a_wrong_pin_leaves_what_is_in_the_cache(handle: str, publisher: Publisher) -> None:
    modhub.resolve(handle)
    with pytest.raises(DigestMismatchError):
        modhub.resolve(f"{handle}#sha256={'0' * 64}")
    publisher.is_down = True
    assert contents(Path(modhub.resolve(handle))) == ONE


def test_a_lock_file_pins(handle: str, publisher: Publisher, tmp_path: Path) -> None:
    lock = tmp_path / "modhub.lock"
    lock.write_text(json.dumps({"version": 1, "modules": {handle: {"sha256": digest_of(TWO)}}}))
    modhub.configure(lock_file=lock)
    with pytest.raises(DigestMismatchError, match=digest_of(TWO)):
        modhub.resolve(handle)
    publisher.archives["/module/1"] = packed(TWO)
    assert contents(Path(modhub.resolve(handle))) == TWO
    lock.write_text("{")
    with pytest.raises(InvalidArgumentError, match="damaged"):
        modhub.resolve(handle)


def test_a_pin_goes_before_the_lock_file(handle: str, tmp_path: Path) -> None:
    lock = tmp_path / "modhub.lock"
    lock.write_text(json.dumps({"version": 1, "modules": {handle: {"sha256": digest_of(TWO)}}}))
    modhub.configure(lock_file=lock)
    assert contents(Path(modhub.resolve(f"{handle}#sha256={digest_of(ONE)}"))) == ONE


def test_offline_nothing_is_asked_for(handle: str, publisher: Publisher, offline: Callable[[], None]) -> None:
    offline()
    with pytest.raises(OfflineError, match="MODHUB_OFFLINE") as caught:
        modhub.resolve(handle)
    assert handle in str(caught.value)
    assert publisher.served == {}


def test_offline_what_is_damaged_is_told(handle: str, publisher: Publisher, offline: Callable[[], None]) -> None:
    directory = Path(modhub.resolve(handle))
    (directory / "saved_model.pb").unlink()
    offline()
    for _ in range(2):
        with pytest.raises(OfflineError, match="damaged") as caught:
            modhub.resolve(handle)
        assert "'saved_model.pb' is missing" in str(caught.value)
    assert directory.is_dir()
    assert publisher.served == {"/module/1": 1}


def test_the_damaged_one_stays_until_there_is_another(handle: str, publisher: Publisher) -> None:
    directory = Path(modhub.resolve(handle))
    (directory / "saved_model.pb").unlink()
    publisher.is_down = True
    with pytest.raises(DownloadError, match="damaged"):
        modhub.resolve(handle)
    assert (directory / "tfhub_module.pb").exists()
    publisher.is_down = False
    assert contents(Path(modhub.resolve(handle))) == ONE


def test_neighbours_are_named(handle: str, publisher: Publisher, offline: Callable[[], None]) -> None:
    modhub.resolve(handle)
    offline()
    with pytest.raises(OfflineError, match="module/1"):
        modhub.resolve(publisher.url("/module/2"))


def test_verifying_finds_bits_that_rot(handle: str, publisher: Publisher) -> None:
    path = Path(modhub.resolve(handle), "saved_model.pb")
    times = path.stat()
    path.write_bytes(b"!" + ONE["saved_model.pb"][1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert contents(Path(modhub.resolve(handle, verify=True))) == ONE
    assert publisher.served == {"/module/1": 2}


def test_a_module_that_is_not_there(handle: str, publisher: Publisher, cache_dir: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        modhub.resolve(publisher.url("/module/2"))
    assert os.listdir(cache_dir) == []


def test_an_archive_that_is_damaged_on_the_way(handle: str, publisher: Publisher, cache_dir: Path) -> None:
    publisher.alter = lambda data: data[:-5] + b"\0" + data[-4:]
    with pytest.raises(CorruptModuleError):
        modhub.resolve(handle)
    assert os.listdir(cache_dir) == []


def test_a_scheme_that_nobody_knows(cache_dir: Path) -> None:
    with pytest.raises(HandleNotFoundError, match="https"):
        modhub.resolve("no-such-scheme://module")


def test_a_mirror_in_a_directory_of_this_machine(handle: str, publisher: Publisher, tmp_path: Path) -> None:
    directory = write_files(tmp_path / "mirror/module/1", ONE)
    modhub.configure(mirrors={publisher.url("/"): f"{tmp_path}/mirror/"}, offline=True)
    assert modhub.resolve(handle) == str(directory)
    assert modhub.resolve(f"{handle}#sha256={digest_of(ONE)}") == str(directory)
    with pytest.raises(DigestMismatchError):
        modhub.resolve(f"{handle}#sha256={digest_of(TWO)}")
    assert publisher.served == {}


def test_mirrors_are_tried_in_order(handle: str, publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    prefix = publisher.url("/module/")
    modhub.configure(mirrors={prefix: [f"{tmp_path}/nowhere/", publisher.url("/gone/"), publisher.url("/copy/")]})
    with pytest.raises(DownloadError, match="None of the 3 mirrors"):
        modhub.resolve(handle)
    publisher.archives["/copy/1"] = packed(ONE)
    assert contents(Path(modhub.resolve(handle))) == ONE
    assert "/module/1" not in publisher.served
