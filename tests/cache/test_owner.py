from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from modhub.cache import owner
from modhub.cache.names import key_of, parse_temporary, temporary_name
from modhub.cache.owner import OWNER, is_alive, is_dead, is_dead_process, new_owner


def changed(name: str, **parts: str) -> str:
    found = OWNER.fullmatch(name)
    assert found is not None
    for part, value in parts.items():
        name = name[: found.start(part)] + value + name[found.end(part) :]
    return name


def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_no_two_owners_are_the_same() -> None:
    assert len({new_owner() for _ in range(100)}) == 100


def test_a_running_process_is_not_dead() -> None:
    assert not is_dead(new_owner())
    assert not is_dead(changed(new_owner(), pid=str(os.getppid()), start="0"))


def test_a_running_process_is_alive() -> None:
    assert is_alive(new_owner())
    code = "from modhub.cache.owner import new_owner; print(new_owner(), flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert is_alive(name)
        process.communicate("\n")
    assert not is_alive(name)


def test_a_process_that_may_be_another_one_is_neither_dead_nor_alive() -> None:
    for name in (changed(new_owner(), pid=str(os.getppid()), start="0"), changed(new_owner(), machine="00000000")):
        assert not is_dead(name)
        assert not is_alive(name)


def test_a_process_that_is_gone_is_dead() -> None:
    assert is_dead(changed(new_owner(), pid=str(ended_pid())))


def test_a_process_that_waits_for_its_parent_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead_process(process.pid)
    process.wait()


def test_the_number_of_a_process_may_be_given_again() -> None:
    assert is_dead(changed(new_owner(), start="1"))


def test_a_system_that_does_not_say_when_a_process_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "_state", lambda pid: "")
    name = new_owner()
    assert "s0r" in name
    assert not is_dead(name)
    assert is_alive(name)
    assert is_dead(changed(name, pid=str(ended_pid())))
    assert not is_alive(changed(name, pid=str(ended_pid())))


def test_nobody_knows_of_another_machine() -> None:
    assert not is_dead(changed(new_owner(), machine="00000000", pid=str(ended_pid())))


@pytest.mark.parametrize("name", ["", "0123456789abcdef" * 2, "m1p2s3r4", "m00000000p1s1r0000000g", "\x00"])
def test_what_is_no_owner_is_neither_dead_nor_alive(name: str) -> None:
    assert not is_dead(name)
    assert not is_alive(name)


@pytest.mark.parametrize(("pid", "dead"), [(0, False), (-1, False), (2**31, True), (10**100, True)])
def test_numbers_that_no_process_has(pid: int, dead: bool) -> None:
    assert is_dead_process(pid) is dead
    assert is_dead(changed(new_owner(), pid=str(max(pid, 0)))) is dead


@pytest.mark.parametrize("kind", ["tmp", "part", "part.json", "old", "lock", "descriptor"])
@pytest.mark.parametrize("who", [new_owner(), "0123456789abcdef" * 2])
def test_names_of_temporary_files(kind: str, who: str) -> None:
    key = key_of("https://example.com/1")
    found = parse_temporary(temporary_name(key, who, kind))
    assert found is not None
    assert (found.key, found.owner, found.kind) == (key, who, kind)


@pytest.mark.parametrize(
    "name", ["", "a" * 40, "a" * 40 + ".lock", "a" * 40 + ".descriptor.txt", "x.tmp", "A" * 40 + ".tmp"]
)
def test_names_of_other_files(name: str) -> None:
    assert parse_temporary(name) is None


@pytest.mark.parametrize("handle", ["", "https://example.com/\u00e9", "/srv/\udcff", "x\ud800", "\x00"])
def test_every_handle_has_a_key(handle: str) -> None:
    assert re.fullmatch("[0-9a-f]{40}", key_of(handle))
    assert key_of(handle) != key_of(handle + "/")
