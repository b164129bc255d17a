from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_lines import in_a_process, refusal
from tests.lint.crafted import PLAIN, Variant, write

Command = Callable[..., Any]

COMMANDS = ["lint", "scan"]


@pytest.fixture
def good(tmp_path: Path) -> str:
    return write(tmp_path / "good", Variant(signatures=PLAIN))


@pytest.fixture
def bad(tmp_path: Path) -> str:
    """A directory that holds no module."""
    (tmp_path / "bad").mkdir()
    return str(tmp_path / "bad")


@pytest.mark.parametrize("name", COMMANDS)
def test_modules_beside_an_unreadable_one_are_reported(command: Command, good: str, bad: str, name: str) -> None:
    done = command(name, bad, good, bad + "-missing", good)
    assert done.status == 2
    assert [line.startswith(f"{good}: ") for line in done.out.splitlines()] == [True, True]
    first, second = done.err.splitlines()
    assert first.startswith(f"modhub: {bad!r} has no 'saved_model.pb'")
    assert second.startswith(f"modhub: {bad + '-missing'!r} does not exist")


@pytest.mark.parametrize("name", COMMANDS)
def test_json_names_what_could_not_be_read(command: Command, good: str, bad: str, name: str) -> None:
    done = command(name, "--json", bad, good)
    found = json.loads(done.out)
    assert (done.status, [report["handle"] for report in found["reports"]]) == (2, [good])
    (unreadable,) = found["unreadable"]
    assert unreadable["handle"] == bad
    assert done.err == f"modhub: {unreadable['message']}\n"
    assert json.loads(command(name, "--json", good).out)["unreadable"] == []


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_nothing_is_on_stdout_where_no_module_could_be_read(
    command: Command, bad: str, name: str, options: list[str]
) -> None:
    refusal(command(name, bad, *options))
    done = command(name, bad, bad, *options)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 2)


def test_what_is_wrong_with_the_command_line_is_said_once(command: Command, good: str) -> None:
    assert "is no rule" in refusal(command("lint", good, good, "--ignore", "none=why"))


def test_a_traceback_that_is_asked_for_ends_the_command(good: str, bad: str) -> None:
    done = in_a_process("scan", bad, good, MODHUB_TRACEBACK="1")
    assert (done.status, done.out) == (1, "")
    assert "NotAModuleError" in done.err


@pytest.mark.parametrize("words", [["inspect"], ["lint"], ["scan"], ["diff", "."], ["run-signature"]])
def test_a_module_that_may_not_be_read_is_no_wrong_usage(
    command: Command, good: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, *how: os.fspath(path) != good and may(path, *how))
    assert "is not readable" not in command(*words, good).err  # as click says it, with a hint at --help
