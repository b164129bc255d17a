from __future__ import annotations

import json
import multiprocessing
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from modhub.errors import InvalidArgumentError
from modhub.handles import lock_file as room
from modhub.handles.lock_file import pinned, read_lock, update_lock
from modhub.settings import Settings

A, B, C = ("0a" * 32, "0b" * 32, "0c" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "modhub.lock"


def write(path: Path, modules: object, **more: object) -> None:
    path.write_text(json.dumps({"version": 1, "modules": modules, **more}))


def test_what_is_written(path: Path) -> None:
    update_lock(path, {"https://b": B, "https://a": A})
    assert path.read_text() == (
        '{\n  "modules": {\n'
        f'    "https://a": {{\n      "sha256": "{A}"\n    }},\n'
        f'    "https://b": {{\n      "sha256": "{B}"\n    }}\n'
        '  },\n  "version": 1\n}\n'
    )
    assert dict(read_lock(path)) == {"https://a": A, "https://b": B}
    assert list(path.parent.iterdir()) == [path]


def test_pinned(path: Path) -> None:
    update_lock(path, {"https://a": A})
    settings = Settings(cache_dir=path.parent, lock_file=path)
    assert pinned("https://a", settings) == A
    assert pinned("https://a/", settings) is None
    assert pinned("https://a", Settings(cache_dir=path.parent)) is None
    path.unlink()
    with pytest.raises(InvalidArgumentError, match=r"lock file '.*modhub\.lock', which MODHUB_LOCK .* does not exist"):
        pinned("https://a", settings)


def test_what_did_not_change_stays(path: Path) -> None:
    """Also what a later modhub may write; but nothing that was said of another digest."""
    write(path, {"a": {"sha256": A, "size": 3}, "b": {"sha256": B, "size": 4}}, made="by hand")
    update_lock(path, {"b": C, "c": C})
    assert json.loads(path.read_text()) == {
        "version": 1,
        "modules": {"a": {"sha256": A, "size": 3}, "b": {"sha256": C}, "c": {"sha256": C}},
        "made": "by hand",
    }
    update_lock(path, {"a": A})
    assert json.loads(path.read_text())["modules"]["a"] == {"sha256": A, "size": 3}


def test_a_file_that_says_it_already_is_not_written(path: Path) -> None:
    write(path, {"a": {"sha256": A}})
    before = path.stat()
    update_lock(path, {"a": A})
    update_lock(path, {})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_handles_of_any_kind(path: Path) -> None:
    handles = ["/a b", "\u00e4\U0001f600", "\ud800", 'a"\\\n', "", "https://x/?y=z#w", "\ufffd"]
    update_lock(path, dict.fromkeys(handles, A))
    assert sorted(read_lock(path)) == sorted(handles)
    path.write_text(json.dumps(json.loads(path.read_text())["modules"], ensure_ascii=True))
    write(path, {"\ufffd\u00e4": {"sha256": A}})
    path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False))
    assert read_lock(path) == {"\ufffd\u00e4": A}


def test_changes_are_seen(path: Path) -> None:
    assert read_lock(path) == {}
    for digest in [A, B] * 50:
        write(path, {"a": {"sha256": digest}})
        assert read_lock(path) == {"a": digest}
    assert read_lock(path) is read_lock(path)
    path.unlink()
    assert read_lock(path) == {}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n  "version": 1,\n  "modules" {}\n}', 3, "it is not JSON (Expecting ':' delimiter)"),
        ("", 1, "it is not JSON"),
        ('{"version": 1}', 1, 'it is not an object with "version" and "modules"'),
        ('{"modules": {}}', 1, "it is not an object"),
        ('{"version": 1, "modules": []}', 1, "it is not an object"),
        ("[]", 1, "it is not an object"),
        ("[" * 100_000, 1, "it is no lock file"),
        ('{"version": ' + "9" * 5000 + "}", 1, "it is no lock file"),
        (
            f'{{"version": 1, "modules": {{\n"a": {{"sha256": "{A}"}},\n"b": {{"sha256": "{A[1:]}"}}\n}}}}',
            3,
            "'b' has no \"sha256\" of 64 digits",
        ),
        (f'{{"version": 1, "modules": {{\n\n"\\u00e4": "{A}"}}}}', 3, "'\u00e4' has no \"sha256\""),
        (
            f'{{"version": 1, "modules": {{\n\n"\u00e4": {{"sha256": "{A.upper()}"}}}}}}',
            3,
            "'\u00e4' has no \"sha256\"",
        ),
        ('{"version": 1, "modules": {\n"\\ud800": {"sha256": null}}}', 2, "'\\ud800' has no \"sha256\""),
        (
            f'{{"version": 1, "modules": {{\n"a": {{"sha256": "{A}"}},\n"a": {{"sha256": "{B}"}}}}}}',
            3,
            "'a' is there twice",
        ),
        (
            f'{{"version": 1, "modules": {{\n<<<<<<< ours\n"a": {{"sha256": "{A}"}}\n=======\n>>>>>>> theirs\n}}}}',
            2,
            "it has the marks of a merge",
        ),
    ],
)
def test_damaged_files(path: Path, text: str, line: int, message: str) -> None:
    path.write_text(text)
    for call in (lambda: read_lock(path), lambda: update_lock(path, {"c": C})):
        with pytest.raises(InvalidArgumentError) as raised:
            call()
        assert f"The lock file {str(path)!r} is damaged in line {line}: {message}" in str(raised.value)
        assert str(raised.value).endswith("Restore it, or remove it and lock anew.")
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_not_utf8(path: Path) -> None:
    path.write_bytes(b'{\n"version": "\xff"}')
    with pytest.raises(InvalidArgumentError, match="is damaged in line 2: it is not UTF-8"):
        read_lock(path)


def test_a_file_of_a_later_version(path: Path) -> None:
    path.write_text('{"version": 2, "modules": {}}')
    with pytest.raises(InvalidArgumentError, match="has the version 2, and this modhub knows 1"):
        read_lock(path)


def test_what_is_no_file(path: Path) -> None:
    path.mkdir()
    for call in (lambda: read_lock(path), lambda: update_lock(path, {"c": C})):
        with pytest.raises(InvalidArgumentError, match="cannot be read: it is no regular file"):
            call()
    path.rmdir()
    os.mkfifo(path)
    for call in (lambda: read_lock(path), lambda: update_lock(path, {"c": C})):
        with pytest.raises(InvalidArgumentError, match="cannot be read: it is no regular file"):
            call()


def test_a_file_that_is_too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InvalidArgumentError, match="cannot be read: it has more than 67108864 bytes"):
        read_lock(path)


def test_a_file_that_cannot_be_written(path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"cannot be written: No such file or directory\. It is as it was"):
        update_lock(path / "no" / "modhub.lock", {"a": A})


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, path: Path, there: bool) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    if there:
        update_lock(path, {"a": A})
    before = list(path.parent.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InvalidArgumentError, match="cannot be written: No space left on device"):
        update_lock(path, {"a": B})
    assert list(path.parent.iterdir()) == before
    assert read_lock(path) == ({"a": A} if there else {})


@pytest.mark.parametrize("digest", ["", A[1:], A.upper(), A + "\n", "sha256:" + A])
def test_digests_that_are_none(path: Path, digest: str) -> None:
    with pytest.raises(InvalidArgumentError, match="for 'a' is no digest: give a SHA-256"):
        update_lock(path, {"b": B, "a": digest})
    assert not path.exists()


def test_its_mode_is_kept(path: Path) -> None:
    old = os.umask(0o027)
    try:
        update_lock(path, {"a": A})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        update_lock(path, {"a": B})
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.parametrize("dangling", [False, True])
def test_what_a_link_leads_to_is_replaced(path: Path, dangling: bool) -> None:
    real = path.with_name("real.lock")
    path.symlink_to(real)
    if not dangling:
        update_lock(real, {"a": A})
    update_lock(path, {"b": B})
    assert path.is_symlink()
    assert dict(read_lock(real)) == ({"b": B} if dangling else {"a": A, "b": B})


def test_where_there_are_no_hard_links(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    def refused(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    update_lock(path, {"a": A})
    update_lock(path, {"b": B})
    assert dict(read_lock(path)) == {"a": A, "b": B}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("how", ["a no-op", "refused", "missing"])
def test_where_there_are_no_locks(monkeypatch: pytest.MonkeyPatch, path: Path, how: str) -> None:
    fcntl = pytest.importorskip("fcntl", reason="only POSIX systems have it")

    def flock(descriptor: int, operation: int) -> None:
        if how == "refused":
            raise OSError(37, "No locks available")

    if how == "missing":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", flock)
    update_lock(path, {"a": A})
    update_lock(path, {"b": B})
    assert dict(read_lock(path)) == {"a": A, "b": B}


def test_a_lock_that_is_not_given_back(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """It is waited for, and then done without."""
    fcntl = pytest.importorskip("fcntl", reason="only POSIX systems have it")
    update_lock(path, {"a": A})
    monkeypatch.setattr(room, "_LONGEST_WAIT", 0.05)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        update_lock(path, {"b": B})
    assert dict(read_lock(path)) == {"a": A, "b": B}


def _update(path: Path, names: list[str]) -> None:
    for name in names:
        update_lock(path, {name: A})


@pytest.mark.parametrize("there", [False, True])
def test_processes_and_threads_lose_nothing(path: Path, there: bool) -> None:
    if there:
        update_lock(path, {"first": B})
    pool = multiprocessing.get_context("spawn")
    work: list[threading.Thread | multiprocessing.process.BaseProcess] = [
        pool.Process(target=_update, args=(path, [f"p{number}-{name}" for name in range(10)])) for number in range(4)
    ]
    work += [
        threading.Thread(target=_update, args=(path, [f"t{number}-{name}" for name in range(10)]))
        for number in range(4)
    ]
    for worker in work:
        worker.start()
    done = threading.Event()
    while any(worker.is_alive() for worker in work):
        read_lock(path)  # never half of one
        done.wait(0.005)
    expected = {f"{kind}{number}-{name}" for kind in "pt" for number in range(4) for name in range(10)}
    assert set(read_lock(path)) == expected | ({"first"} if there else set())
    assert list(path.parent.iterdir()) == [path]
