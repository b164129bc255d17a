from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modhub import cache
from modhub.cache.names import key_of, temporary_name
from modhub.cache.owner import new_owner
from modhub.cli.amounts import size_text
from modhub.format.layout import MANIFEST
from tests.cache.entries import FILES, ONE, TWO, flip, put, put_foreign, write_files
from tests.cli.command_lines import environment, refusal
from tests.cli.module_server import FILES as SERVED
from tests.cli.module_server import ModuleServer, module_server

Command = Callable[..., Any]
DAY = 24 * 3600
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache. The current directory is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(place: Path) -> Iterator[ModuleServer]:
    with module_server() as running:
        yield running


def handles() -> list[str]:
    return [entry.handle for entry in cache.entries()]


def test_verify_tells_the_damaged_from_the_whole(command: Command, place: Path) -> None:
    put(place, ONE)
    flip(put(place, TWO).directory / "saved_model.pb")
    done = command("cache", "verify")
    assert (done.status, done.err) == (1, "")
    whole, damaged = done.out.splitlines()
    assert whole == f"whole     {ONE}"
    assert damaged.startswith(f"damaged   {TWO}: 'saved_model.pb' was altered")
    assert command("cache", "verify", ONE).status == 0
    results = json.loads(command("cache", "verify", "--json").out)["results"]
    assert [(each["handle"], each["ok"], each["repaired"]) for each in results] == [
        (ONE, True, False),
        (TWO, False, False),
    ]


def test_verify_reports_others_beside_a_wrong_handle(command: Command, place: Path) -> None:
    put(place, ONE)
    done = command("cache", "verify", TWO, ONE)
    assert (done.status, done.out) == (2, f"whole     {ONE}\n")
    found = json.loads(command("cache", "verify", "--json", TWO, ONE).out)
    assert [each["handle"] for each in found["results"]] == [ONE]
    assert [each["handle"] for each in found["unreadable"]] == [TWO]


def test_verify_repairs(command: Command, server: ModuleServer, place: Path) -> None:
    handle = server.url("a/1")
    assert command("pull", "-q", handle).status == 0
    path = place / key_of(handle) / "assets/words.txt"
    flip(path)
    done = command("cache", "verify", "--repair", "-q")
    assert (done.status, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == ["damaged", "repaired"]
    assert path.read_bytes() == SERVED["assets/words.txt"]
    flip(path)
    (result,) = json.loads(command("cache", "verify", "--repair", "-q", "--json").out)["results"]
    assert (result["ok"], result["repaired"], len(result["damage"])) == (True, True, 1)


def test_verify_repairs_a_version_that_was_pinned(command: Command, server: ModuleServer, place: Path) -> None:
    handle = server.url("a/1")
    put(place, handle)
    other = server.url("b/1")
    assert command("pull", "-q", other).status == 0
    pinned = f"{handle}#sha256={cache.info(other).sha256}"
    assert command("pull", "-q", pinned).status == 0
    flip(place / key_of(pinned) / "assets/words.txt")
    assert command("cache", "verify", "--repair", "-q", handle).status == 0
    assert [found.damage for found in cache.verify([handle])] == [(), ()]
    assert (place / key_of(pinned) / "assets/words.txt").read_bytes() == SERVED["assets/words.txt"]
    assert (place / key_of(handle) / "assets/words.txt").read_bytes() == FILES["assets/words.txt"]


def test_what_cannot_be_repaired_is_said_and_stays(command: Command, server: ModuleServer, place: Path) -> None:
    missing = server.url("missing/1")
    flip(put(place, missing).directory / "saved_model.pb")
    put_foreign(place, ONE, FILES, described=None)
    done = command("cache", "verify", "--repair", "-q")
    assert done.status == 2
    assert "404" in done.err
    assert "nothing says which handle it is of" in done.err
    assert len(cache.entries()) == 2


def test_rm_removes_what_is_named(command: Command, place: Path) -> None:
    for handle in (ONE, TWO):
        put(place, handle)
    done = command("cache", "rm", "https://example.com/none/1", ONE)
    assert (done.status, handles()) == (2, [TWO])
    assert done.out.split()[-1] == ONE
    assert [each["handle"] for each in json.loads(command("cache", "rm", "--json", TWO).out)["removed"]] == [TWO]
    assert handles() == []


def test_rm_all_has_to_be_meant(command: Command, place: Path) -> None:
    put(place, ONE)
    line = refusal(command("cache", "rm", "--all"))
    assert "add --yes" in line
    assert handles() == [ONE]
    assert command("cache", "rm", "--all", "--yes").status == 0
    assert handles() == []
    assert command("cache", "rm", "--all").status == 0  # there is nothing to ask about


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 0), ("n\n", 2, 1), ("\x03", 130, 1)])
def test_rm_all_asks_on_a_terminal(place: Path, answer: str, status: int, left: int) -> None:
    put(place, ONE)
    main, ours = pty.openpty()
    # Of a session of its own, so that the terminal is its own and Ctrl-C reaches it.
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", "cache", "rm", "--all"],
        stdin=ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(ours)
    assert process.stderr is not None
    question = os.read(process.stderr.fileno(), 1000).decode()
    time.sleep(0.5)  # a signal that comes before Python waits for a line is seen only after the line
    os.write(main, answer.encode())
    out, err = process.communicate(timeout=30)
    os.close(main)
    assert question.startswith("Remove 1 module (")
    assert (process.returncode, len(cache.entries())) == (status, left)
    assert (b"removed" in out) == (left == 0)
    assert (b"nothing was removed" in err) == (status == 2)


def test_gc_removes_and_tells(command: Command, place: Path) -> None:
    then = time.time() - 5 * DAY
    os.utime(put(place, ONE).directory / MANIFEST, (then, then))
    put(place, TWO)
    old = place / temporary_name(key_of(TWO), new_owner().replace(f"p{os.getpid()}s", "p999999999s"), "tmp")
    write_files(old, FILES)
    assert command("cache", "gc", "--dry-run").out == f"would remove  leftover of a download  {old}\n"
    done = command("cache", "gc", "--older-than", "3d", "--dry-run")
    assert [line.split()[-1] for line in done.out.splitlines()] == [ONE, str(old)]
    assert done.err == f"would free {size_text(2 * SIZE)}\n"
    assert handles() == [ONE, TWO]
    assert json.loads(command("cache", "gc", "--older-than", "1w", "--json", "--dry-run").out)["entries"] == []
    done = command("cache", "gc", "--older-than", "0.5w", "--max-size", "1kB")
    assert (done.status, done.err, handles()) == (0, f"freed {size_text(2 * SIZE)}\n", [TWO])
    assert not old.exists()
    found = json.loads(command("cache", "gc", "--max-size", "0", "--json").out)
    assert ([each["handle"] for each in found["entries"]], found["freed"]) == ([TWO], SIZE)
    assert handles() == []


def test_modules_go_to_another_machine(command: Command, place: Path, tmp_path: Path) -> None:
    for handle in (ONE, TWO):
        put(place, handle)
    put(place, "file:///srv/module.tar", origin="1 2 3 4")
    done = command("cache", "export", "modules.tar", "--all")
    assert (done.status, done.out.splitlines()) == (0, [ONE, TWO])
    assert "left out 1 module whose handle is no URL" in done.err
    assert "packed 2 modules into modules.tar" in done.err
    done = command("cache", "import", "modules.tar", "--cache-dir", tmp_path / "there")
    assert (done.status, done.out.splitlines()) == (0, [ONE, TWO])
    assert command("pull", "--offline", "--cache-dir", tmp_path / "there", ONE).status == 0
    done = command("cache", "import", "modules.tar", "--json", "--cache-dir", tmp_path / "there")
    assert [each["handle"] for each in json.loads(done.out)["entries"]] == [ONE, TWO]


def test_export_overwrites_on_demand(command: Command, place: Path) -> None:
    put(place, ONE)
    Path("modules.tar").write_bytes(b"precious")
    assert "--force" in refusal(command("cache", "export", "modules.tar", ONE))
    assert Path("modules.tar").read_bytes() == b"precious"
    found = json.loads(command("cache", "export", "modules.tar", ONE, "--force", "--json").out)
    assert (found["path"], [each["handle"] for each in found["entries"]]) == ("modules.tar", [ONE])
    assert tarfile.is_tarfile("modules.tar")


def test_a_damaged_module_is_not_packed(command: Command, place: Path) -> None:
    flip(put(place, ONE).directory / "saved_model.pb")
    done = command("cache", "export", "modules.tar", ONE)
    assert "was altered" in refusal(done)
    assert done.err.splitlines()[1] == "try: modhub cache verify --repair"
    assert os.listdir() == []


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_cannot_be_imported_is_said(command: Command, place: Path, content: bytes | None) -> None:
    if content is not None:
        Path("modules.tar").write_bytes(content)
    assert "'modules.tar'" in refusal(command("cache", "import", "modules.tar"))
    assert handles() == []
