"""Handles of this machine: directories as they are, archives through the cache."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import modhub
from modhub.errors import CorruptModuleError, DigestMismatchError, HandleNotFoundError, NotAModuleError
from modhub.handles import find_path
from modhub.handles.local import check_digest, state_of
from tests.cache.publishing import contents, digest_of, made_files, packed, sha256, write_files

ONE, TWO = made_files(1), made_files(2)
FORMS: dict[str, Callable[[Path], str]] = {"path": str, "URL": Path.as_uri}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "mo dule.tar.gz"
    path.write_bytes(packed(ONE))
    return aged(path)


def aged(path: Path) -> Path:
    """Make a file look as if it had been there for long. What its status was last changed cannot be set."""
    os.utime(path, (1e9, 1e9))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_directory_is_given_as_it_is(tmp_path: Path, cache_dir: Path, form: str) -> None:
    directory = write_files(tmp_path / "m", ONE)
    assert modhub.resolve(FORMS[form](directory)) == str(directory)
    assert modhub.resolve(f"{FORMS[form](directory)}#sha256={digest_of(ONE)}") == str(directory)
    assert not cache_dir.exists()


def test_a_directory_that_is_not_what_it_is_pinned_to(tmp_path: Path) -> None:
    directory = write_files(tmp_path / "m", ONE)
    with pytest.raises(DigestMismatchError, match=digest_of(ONE)):
        modhub.resolve(f"{directory}#sha256={digest_of(TWO)}")


def test_links_are_followed_for_a_digest(tmp_path: Path) -> None:
    directory = write_files(tmp_path / "m", ONE)
    (directory / "saved_model.pb").rename(tmp_path / "blob")
    (directory / "saved_model.pb").symlink_to(tmp_path / "blob")
    check_digest("m", directory, digest_of(ONE))


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_is_unpacked_once(archive: Path, cache_dir: Path, form: str) -> None:
    directory = modhub.resolve(FORMS[form](archive))
    assert contents(Path(directory)) == ONE
    inode = os.stat(directory).st_ino
    assert modhub.resolve(archive) == directory
    assert os.stat(directory).st_ino == inode
    assert find_path(archive) == archive


@pytest.mark.parametrize("pin", [sha256(packed(ONE)), digest_of(ONE)])
def test_an_archive_that_is_pinned(archive: Path, cache_dir: Path, pin: str) -> None:
    assert contents(Path(modhub.resolve(f"{archive}#sha256={pin}"))) == ONE
    aged(archive).write_bytes(packed(TWO))
    with pytest.raises(DigestMismatchError, match=pin):
        modhub.resolve(f"{archive}#sha256={pin}")
    assert contents(Path(modhub.resolve(archive))) == TWO


def test_an_archive_that_was_replaced_is_unpacked_again(archive: Path, cache_dir: Path) -> None:
    for number in range(6):
        files = made_files(number, count=0, size=100)
        archive.write_bytes(packed(files))
        assert contents(Path(modhub.resolve(archive))) == files


def test_an_archive_that_was_written_again_within_a_tick_of_the_clock(archive: Path, cache_dir: Path) -> None:
    """All that the system says of it is the same then."""
    one, two = made_files(1, count=0, size=100), made_files(2, count=0, size=100)
    archives = [packed(files, compressed=False) for files in (one, two)]
    assert len(archives[0]) == len(archives[1])
    now = time.time()
    for files, data in zip((one, two, one), (*archives, archives[0]), strict=True):
        archive.write_bytes(data)
        os.utime(archive, (now, now))
        assert contents(Path(modhub.resolve(archive))) == files


def test_an_archive_that_was_only_touched_keeps_its_directory(archive: Path, cache_dir: Path) -> None:
    directory = Path(modhub.resolve(archive))
    inode = directory.stat().st_ino
    os.utime(archive)
    assert modhub.resolve(archive) == str(directory)
    assert directory.stat().st_ino == inode


def test_an_archive_whose_directory_is_damaged(archive: Path, cache_dir: Path) -> None:
    directory = Path(modhub.resolve(archive))
    (directory / "saved_model.pb").unlink()
    assert contents(Path(modhub.resolve(archive))) == ONE
    path = directory / "saved_model.pb"
    times = path.stat()
    path.write_bytes(b"!" + ONE["saved_model.pb"][1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert contents(Path(modhub.resolve(archive, verify=True))) == ONE


@pytest.mark.parametrize("length", [0, 1, 100, 5000])
def test_an_archive_that_was_cut(archive: Path, cache_dir: Path, length: int) -> None:
    os.truncate(archive, length)
    with pytest.raises((CorruptModuleError, NotAModuleError)):
        modhub.resolve(archive)
    assert os.listdir(cache_dir) == []


def test_an_archive_that_is_written_to_meanwhile(
    archive: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modhub.handles import fetching

    def slowly(*arguments: object, **more: object) -> object:
        os.utime(archive)
        return original(*arguments, **more)  # type: ignore[arg-type]

    original = fetching.unpack
    monkeypatch.setattr(fetching, "unpack", slowly)
    with pytest.raises(CorruptModuleError, match="written to"):
        modhub.resolve(archive)
    assert os.listdir(cache_dir) == []


@pytest.mark.parametrize("name", ["nowhere", "a\0b", "x" * 300, "m/nowhere", "m/saved_model.pb/x"])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    write_files(tmp_path / "m", ONE)
    with pytest.raises(HandleNotFoundError):
        modhub.resolve(f"{tmp_path}/{name}")


def test_a_file_that_is_no_archive(tmp_path: Path, cache_dir: Path) -> None:
    (tmp_path / "m.txt").write_text("text")
    with pytest.raises(NotAModuleError):
        modhub.resolve(tmp_path / "m.txt")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_things_that_are_neither(tmp_path: Path, cache_dir: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "thing")
    with pytest.raises(modhub.errors.ModhubError):
        modhub.resolve(tmp_path / "thing")


def test_the_state_of_a_file_changes_when_it_is_written(archive: Path) -> None:
    before = state_of("x", archive)
    assert before == state_of("x", archive)
    archive.write_bytes(packed(TWO))
    os.utime(archive, (1e9, 1e9))
    assert state_of("x", archive) != before
