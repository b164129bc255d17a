from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.cache import lock
from modhub.cache.lock import download_lock, is_abandoned
from modhub.cache.names import key_of, lock_name, temporary_name
from modhub.cache.owner import new_owner

KEY = key_of("https://example.com/module/1")
HERE = socket.gethostname()
HUB_OWNER = "0123456789abcdef" * 2


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def taken(directory: Path, stale_after: float = 0.3) -> list[str]:
    """Take the lock; return who had it."""
    waited: list[str] = []
    with download_lock(directory, KEY, new_owner(), waited.append, stale_after):
        assert any(name.startswith(KEY) for name in os.listdir(directory))
    return waited


def test_it_is_there_while_it_is_held_and_as_tensorflow_hub_writes_it(tmp_path: Path) -> None:
    owner = new_owner()
    with download_lock(tmp_path, KEY, owner, print):
        assert os.listdir(tmp_path) == [lock_name(KEY)]
        assert (tmp_path / lock_name(KEY)).read_text() == f"{HERE}.{os.getpid()}.{owner}"
    assert os.listdir(tmp_path) == []


def test_it_goes_when_an_error_passes(tmp_path: Path) -> None:
    with pytest.raises(KeyError), download_lock(tmp_path, KEY, new_owner(), print):
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_whoever_comes_second_waits(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with download_lock(tmp_path, KEY, new_owner(), lambda who: waits.set()):
            order.append("second")

    with download_lock(tmp_path, KEY, new_owner(), print):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_live_holder_that_shows_signs_of_life_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with download_lock(tmp_path, KEY, new_owner(), lambda who: waits.set(), stale_after=1.0):
            order.append("second")

    with download_lock(tmp_path, KEY, new_owner(), print):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        time.sleep(1.5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: f"{HERE}.{dead_pid()}.{HUB_OWNER}", id="tensorflow_hub, process gone"),
        pytest.param(
            lambda: f"x.1.{new_owner().replace(f'p{os.getpid()}s', f'p{dead_pid()}s')}", id="modhub, process gone"
        ),
        pytest.param(lambda: f"x.1.{new_owner().partition('s')[0]}s1r00000000", id="modhub, number given again"),
    ],
)
def test_the_lock_of_a_dead_process_is_taken_at_once(tmp_path: Path, content: Callable[[], str]) -> None:
    path = tmp_path / lock_name(KEY)
    holder = content()
    path.write_text(holder)
    assert is_abandoned(path)
    assert taken(tmp_path, stale_after=1e6) == [holder]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"elsewhere.1.{HUB_OWNER}".encode(), id="tensorflow_hub, other machine"),
        pytest.param(f"{HERE}.{os.getpid()}.{HUB_OWNER}".encode(), id="tensorflow_hub, number given again"),
        pytest.param(b"elsewhere.1.m00000000p1s1r00000000", id="modhub, other machine"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\x00" * 9000, id="bytes"),
        pytest.param(f"{HERE}.\u00b2.{HUB_OWNER}".encode(), id="a digit that is no number"),
        pytest.param(f"{HERE}.{'9' * 4000}.{HUB_OWNER}".encode()[:4000], id="a long number"),
        pytest.param(b"...", id="dots"),
        pytest.param(b"elsewhere.1.a/b", id="a path"),
    ],
)
def test_a_lock_without_a_sign_of_life_is_taken_after_some_time(tmp_path: Path, content: bytes) -> None:
    (tmp_path / lock_name(KEY)).write_bytes(content)
    assert not is_abandoned(tmp_path / lock_name(KEY))
    begin = time.monotonic()
    taken(tmp_path, stale_after=0.3)
    assert time.monotonic() - begin > 0.3
    assert os.listdir(tmp_path) == []


def test_a_growing_directory_is_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    (tmp_path / lock_name(KEY)).write_text(f"elsewhere.1.{HUB_OWNER}")
    growing = tmp_path / temporary_name(KEY, HUB_OWNER, "tmp")
    growing.mkdir()
    stop = threading.Event()
    got: list[float] = []

    def second() -> None:
        with download_lock(tmp_path, KEY, new_owner(), lambda who: None, stale_after=1.0):
            got.append(time.monotonic())

    thread = threading.Thread(target=second)
    thread.start()
    for count in range(15):
        (growing / "data").write_bytes(b"x" * count)
        stop.wait(0.1)
    grown = time.monotonic()
    thread.join()
    assert got[0] > grown


def test_without_hard_links_it_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    test_whoever_comes_second_waits(tmp_path)
    assert os.listdir(tmp_path) == []


def test_another_failure_of_the_link_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="broken disk"):
        taken(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_lock_that_nobody_holds_and_cannot_be_removed_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_dead: bool
) -> None:
    pid = dead_pid() if is_dead else 1
    path = tmp_path / lock_name(KEY)
    path.write_text(f"{HERE if is_dead else 'elsewhere'}.{pid}.{HUB_OWNER}")

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "someone else's, in a sticky directory")

    monkeypatch.setattr(os, "rename", refuse)
    taken(tmp_path)
    assert os.listdir(tmp_path) == [path.name]


NO_LOCKS: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "pipe": os.mkfifo,
    "link to nothing": lambda path: path.symlink_to("/nonexistent/x"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", NO_LOCKS)
def test_what_is_no_file_in_its_place_is_taken_away_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / lock_name(KEY)
    NO_LOCKS[name](path)
    assert not is_abandoned(path)
    assert taken(tmp_path, stale_after=1e6) == []
    assert not os.path.lexists(path)


@pytest.mark.parametrize("name", NO_LOCKS)
def test_what_is_no_file_and_cannot_be_taken_away_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "someone else's, in a sticky directory")

    path = tmp_path / lock_name(KEY)
    NO_LOCKS[name](path)
    monkeypatch.setattr(os, "rename", refuse)
    assert taken(tmp_path, stale_after=1e6) == []
    assert os.listdir(tmp_path) == [path.name]


def test_one_that_comes_and_goes_for_ever_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*arguments: object) -> None:
        raise FileExistsError

    monkeypatch.setattr(os, "link", link)
    with download_lock(tmp_path, KEY, new_owner(), print):
        assert os.listdir(tmp_path) == []


def test_who_has_it_is_told_in_a_few_printable_characters(tmp_path: Path) -> None:
    (tmp_path / lock_name(KEY)).write_bytes(b"\x1b[31melse\nwhere\r\xff.1." + b"x" * 4000)
    (told,) = taken(tmp_path)
    assert told.startswith("[31melsewhere\ufffd.1.xxx")
    assert told.isprintable()
    assert len(told) == 200


def test_a_lock_made_anew_is_not_taken_with_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / lock_name(KEY)
    path.write_text("new")
    assert lock._take_away(path, b"old")
    assert path.read_text() == "new"


def test_one_that_someone_else_has_taken_is_not_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / lock_name(KEY)
    with download_lock(tmp_path, KEY, new_owner(), print):
        path.write_text("someone else's")
    assert path.read_text() == "someone else's"


def test_a_holder_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from modhub.cache.lock import download_lock;"
        "from modhub.cache.owner import new_owner\n"
        "with download_lock(Path(sys.argv[1]), sys.argv[2], new_owner(), print):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), KEY], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert not is_abandoned(tmp_path / lock_name(KEY))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert taken(tmp_path, stale_after=1e6)
    assert os.listdir(tmp_path) == []
