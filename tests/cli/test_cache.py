from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modhub import cache
from modhub.cache.names import key_of
from modhub.cli.amounts import size_text
from modhub.cli.commands import CACHE_COMMANDS
from modhub.cli.group import Command as OurCommand
from modhub.format.layout import MANIFEST
from tests.cache.entries import FILES, ONE, TWO, put, put_foreign
from tests.cli.command_lines import environment, in_a_process, refusal

Command = Callable[..., Any]
# A word for each argument that a command needs.
NEEDS = {"info": [ONE], "rm": [ONE], "export": ["modules.tar", ONE], "import": ["modules.tar"]}
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache. The current directory is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def handles() -> list[str]:
    return [entry.handle for entry in cache.entries()]


@pytest.mark.parametrize("name", sorted(CACHE_COMMANDS))
def test_a_command_has_the_name_help_and_examples_of_the_table(command: Command, name: str) -> None:
    found = importlib.import_module(CACHE_COMMANDS[name].module).command
    assert isinstance(found, OurCommand)
    assert found.name == name
    examples = found.examples.strip().splitlines()
    assert all(f"modhub cache {name}" in line for line in examples)
    assert CACHE_COMMANDS[name].help.endswith(".")
    for option in ("-h", "--help"):
        done = command("cache", name, option)
        assert done.status == 0
        assert done.out.rstrip().splitlines()[-len(examples) - 1 :] == [
            "Examples:",
            *(f"  {line}" for line in examples),
        ]
        assert "--cache-dir" in done.out


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = "import sys; from modhub.cli import main; main(['cache', '--help']); print(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    loaded = set(done.stdout.split())
    assert set(CACHE_COMMANDS) <= loaded  # the names are in the help
    assert not loaded & {entry.module for entry in CACHE_COMMANDS.values()}
    assert not loaded & {"rich", "numpy", "google.protobuf", "modhub.format", "modhub.cache"}


def test_without_a_command_the_help_is_on_stderr(command: Command) -> None:
    done = command("cache")
    assert (done.status, done.out) == (2, "")
    assert "Usage: modhub cache" in done.err
    assert "verify" in done.err


@pytest.mark.parametrize(
    ("words", "line", "hint"),
    [
        (["lst"], "There is no command 'lst' of 'modhub cache'. Known commands: 'dir', ", "modhub cache --help"),
        (["verif"], "Did you mean 'verify'?", "modhub cache --help"),
        (["--al"], "No such option", "modhub cache --help"),
        (["ls", "--jsn"], "No such option", "modhub cache ls --help"),
        (["ls", "--sort", "age"], "Invalid value", "modhub cache ls --help"),
        (["info"], "Missing argument 'HANDLE'", "modhub cache info --help"),
        (["rm"], "Name the modules", "modhub cache rm --help"),
        (["rm", "--all", ONE], "Name the modules", "modhub cache rm --help"),
        (["gc", "--max-size", "many"], "give a number of bytes", "modhub cache gc --help"),
        (["gc", "--older-than", "30"], "give a number and a unit", "modhub cache gc --help"),
        (["gc", "--older-than", "-3d"], "give a number and a unit", "modhub cache gc --help"),
        (["export", "modules.tar"], "Name the modules", "modhub cache export --help"),
        (["export", "-", "--all"], "cannot be stdout", "modhub cache export --help"),
        (["import", "-"], "FILE is a file", "modhub cache import --help"),
    ],
)
def test_bad_usage_is_two_lines(command: Command, place: Path, words: list[str], line: str, hint: str) -> None:
    done = command("cache", *words)
    assert (done.status, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert line in first
    assert second == f"try: {hint}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("cache v", "verify"), ("cache ls --so", "--sort"), ("cac", "cache"), ("cache info --j", "--json")],
)
def test_words_are_completed(words: str, expected: str) -> None:
    done = in_a_process(
        _MODHUB_COMPLETE="bash_complete",
        COMP_WORDS=f"modhub {words}",
        COMP_CWORD=str(len(words.split())),
    )
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [f"plain,{expected}"]


@pytest.mark.parametrize("name", sorted(CACHE_COMMANDS))
def test_another_cache_can_be_named(command: Command, place: Path, tmp_path: Path, name: str) -> None:
    put(tmp_path / "other", ONE)
    put(place, TWO)
    assert command("cache", "export", "modules.tar", ONE, "--cache-dir", tmp_path / "other").status == 0
    more = ["--force"] if name == "export" else []
    done = command("cache", name, *NEEDS.get(name, []), *more, "--cache-dir", tmp_path / "other")
    assert done.status == 0
    assert TWO not in done.out
    assert handles() == [TWO]


@pytest.mark.parametrize("name", sorted(set(CACHE_COMMANDS) - {"dir"}))
def test_a_cache_that_is_a_file_is_said(command: Command, place: Path, name: str) -> None:
    with tarfile.open("modules.tar", "w"):
        pass
    place.write_bytes(b"")
    line = refusal(command("cache", name, *NEEDS.get(name, []), *(["--force"] if name == "export" else [])))
    assert str(place) in line


@pytest.mark.parametrize("name", sorted(set(CACHE_COMMANDS) - {"dir", "import"}))
def test_a_cache_that_is_not_there_is_empty(command: Command, place: Path, name: str) -> None:
    done = command("cache", name, *NEEDS.get(name, []))
    assert done.out == ""
    if name in NEEDS:
        assert f"{ONE!r} is not in the cache" in refusal(done)
        assert done.err.splitlines()[1] == "try: modhub cache ls"
    else:
        assert done.status == 0
    assert not place.exists()


def test_dir_prints_the_path(command: Command, place: Path) -> None:
    assert command("cache", "dir").out == f"{place}\n"
    assert not place.exists()


def test_ls_lists_the_modules(command: Command, place: Path) -> None:
    for handle in (TWO, ONE):
        put(place, handle)
    put_foreign(place, "https://example.com/third/3", {"saved_model.pb": b"0" * 1234}, described=None)
    done = command("cache", "ls")
    head, *rows = done.out.splitlines()
    assert done.status == 0
    assert head.split("  ")[0] == "handle"
    assert [row.split()[0] for row in rows] == [key_of("https://example.com/third/3"), ONE, TWO]
    assert [size_text(SIZE) in row for row in rows] == [False, True, True]
    assert "1.2 kB" in rows[0]
    assert time.strftime("%Y-%m-%d ") in rows[1]
    assert done.err.startswith("3 modules, ")
    assert [row.split()[0] for row in command("cache", "ls", "--sort", "size").out.splitlines()[1:]] == [
        key_of("https://example.com/third/3"),
        ONE,
        TWO,
    ]


def test_ls_sorts_by_use(command: Command, place: Path) -> None:
    os.utime(put(place, ONE).directory / MANIFEST, (1, 1))
    put(place, TWO)
    rows = command("cache", "ls", "--sort", "used").out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == [TWO, ONE]


def test_ls_in_json(command: Command, place: Path) -> None:
    assert json.loads(command("cache", "ls", "--json").out) == {"directory": str(place), "entries": []}
    put(place, ONE)
    (entry,) = json.loads(command("cache", "ls", "--json").out)["entries"]
    assert (entry["handle"], entry["key"], entry["size"]) == (ONE, key_of(ONE), SIZE)


def test_nothing_acts_on_a_terminal_and_no_password_is_shown(command: Command, place: Path) -> None:
    handle = "https://me:secret@example.com/\x1b[31m red\n/1"
    put(place, handle, {"saved\x1b[31m_model.pb": b"x"})
    for words in (["ls"], ["ls", "--json"], ["info", handle], ["info", handle, "--json"], ["verify"]):
        done = command("cache", *words)
        assert done.status == 0
        assert "example.com/\\x1b[31m red\\n/1" in done.out or "example.com/\\u001b[31m red\\n/1" in done.out
        assert "\x1b" not in done.out + done.err
        assert "secret" not in done.out + done.err
    done = command("cache", "export", "modules.tar", "--all")
    assert "has no module that could be packed" in done.err
    assert "secret" not in done.err
    done = command("cache", "rm", handle)
    assert (done.status, "\x1b" in done.out, handles()) == (0, False, [])


def test_info_shows_how_to_pin(command: Command, place: Path) -> None:
    put(place, ONE, archive="5" * 64)
    entry = cache.info(ONE)
    for handle in (ONE, key_of(ONE), f"{ONE}#sha256={entry.sha256}"):
        done = command("cache", "info", handle)
        assert (done.status, done.err) == (0, "")
        assert f"{ONE}#sha256={entry.sha256}" in done.out
        assert "5" * 64 in done.out
        assert [line.split()[-1] for line in done.out.splitlines()[-len(FILES) :]] == sorted(FILES)
    (found,) = json.loads(command("cache", "info", ONE, "--json").out)["entries"]
    assert found["pin"] == f"{ONE}#sha256={entry.sha256}"
    assert {each["name"]: each["size"] for each in found["contents"]} == {n: len(d) for n, d in FILES.items()}


def test_info_of_what_tensorflow_hub_wrote(command: Command, place: Path) -> None:
    put_foreign(place, ONE, FILES, described=ONE)
    (found,) = json.loads(command("cache", "info", ONE, "--json").out)["entries"]
    assert (found["pin"], found["by"]) == (None, "tensorflow_hub")
    assert [each["name"] for each in found["contents"]] == sorted(FILES)
    assert "unknown until" in command("cache", "info", ONE).out


@pytest.mark.parametrize("name", ["info", "rm", "verify", "export"])
def test_a_wrong_handle_gets_a_suggestion(command: Command, place: Path, name: str) -> None:
    put(place, ONE)
    wrong = ONE.replace("/1", "/2")
    done = command("cache", name, *(["modules.tar"] if name == "export" else []), wrong)
    assert f"Did you mean {ONE!r}?" in refusal(done)
    assert done.err.splitlines()[1] == "try: modhub cache ls"
    assert not Path("modules.tar").exists()


@pytest.mark.parametrize(
    "words", [["ls"], ["ls", "--json"], ["info", ONE], ["verify"], ["gc", "--dry-run", "--max-size", "0"]]
)
def test_a_closed_pipe_ends_a_command_silently(place: Path, words: list[str]) -> None:
    put(place, ONE)
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", "cache", *words], stdout=write, stderr=subprocess.PIPE, env=environment()
    )
    os.close(write)
    _, err = process.communicate()
    assert process.returncode == 141
    assert b"Traceback" not in err


@pytest.mark.parametrize("words", [["ls"], ["info", ONE], ["verify"], ["gc"], ["export", "modules.tar", ONE]])
def test_tensorflow_and_numpy_are_not_needed(place: Path, words: list[str]) -> None:
    put(place, ONE)
    done = in_a_process("cache", *words, hidden=("tensorflow", "numpy", "requests"))
    assert (done.status, "Error" in done.err) == (0, False)
