from __future__ import annotations

import dataclasses
import enum
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.cli.json_output import as_json, as_plain
from modhub.cli.tables import color_option, console, table
from modhub.cli.text import CONTROLS, shown
from tests.cli.command_lines import environment


class Kind(enum.Enum):
    TABLE = "table"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    path: Path
    tags: frozenset[str]
    kind: Kind
    size: tuple[int, ...]
    parts: dict[Any, Any]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("module/dense:0", "module/dense:0"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("half\ud800", "half\\ud800"),
        ("naïve 名前", "naïve 名前"),
        ("[red]no markup[/red]", "[red]no markup[/red]"),
    ],
)
def test_controls_are_shown_escaped(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_json_brings_every_text_back_and_controls_no_terminal(text: str) -> None:
    for in_ascii in (False, True):
        found = as_json([text, {text: text}], in_ascii=in_ascii)
        assert not CONTROLS.search(found)
        # Two halves next to each other are one character for a parser of JSON.
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        assert json.loads(found) == [whole, {whole: whole}]


def test_json_of_a_dataclass_is_in_its_own_order() -> None:
    entry = Entry(
        path=Path("a/b"),
        tags=frozenset({"serve", "gpu"}),
        kind=Kind.TABLE,
        size=(1, 2),
        parts={frozenset({"b", "a"}): b"text", ("x", 1): b"\xff", 3: None, "n": np.array([[1.5]], np.float32)},
    )
    assert as_json(entry) == (
        '{"path": "a/b", "tags": ["gpu", "serve"], "kind": "table", "size": [1, 2], '
        '"parts": {"a,b": "text", "x,1": {"b64": "/w=="}, "3": null, "n": [[1.5]]}}'
    )


def test_numbers_that_json_lacks_are_texts() -> None:
    assert as_plain([float("nan"), float("inf"), -float("inf"), 1.5]) == ["NaN", "Infinity", "-Infinity", 1.5]


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        as_plain({"a": object()})


PRINT = """
import sys
from modhub.cli.json_output import print_json
from modhub.cli.tables import console, table
from modhub.cli.text import escape_what_cannot_be_written, shown

escape_what_cannot_be_written()
if sys.argv[1] == "json":
    print_json({"name": "na\\u00efve \\udc80 \\x1b"})
else:
    rows = table("name", "what it is")
    rows.add_row(shown("na\\u00efve \\udc80 \\x1b[31m [red]x[/red] :smile:"), "long " * 100 + "end")
    console().print(rows)
"""


def printed(what: str, **changed: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", PRINT, what], capture_output=True, env=environment(**changed), check=True
    )
    assert done.stderr == b""
    return done.stdout


LOCALES = [
    pytest.param({"LC_ALL": "C.UTF-8"}, "naïve", id="utf-8"),
    pytest.param({"LC_ALL": "C"}, "naïve", id="C, which Python takes as UTF-8"),
    pytest.param({"PYTHONIOENCODING": "ascii"}, "na\\xefve", id="ascii"),
    pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "na\\xefve", id="C itself"),
]


@pytest.mark.parametrize(("changed", "name"), LOCALES)
def test_a_table_in_a_pipe_is_whole_plain_lines(changed: dict[str, str], name: str) -> None:
    header, row = printed("table", **changed).decode().splitlines()
    assert header.split() == ["name", "what", "it", "is"]
    assert row.startswith(f"{name} \\udc80 \\x1b[31m [red]x[/red] :smile:")
    assert row.rstrip().endswith("long end")


@pytest.mark.parametrize(("changed", "name"), LOCALES)
def test_json_is_json_in_every_locale(changed: dict[str, str], name: str) -> None:
    assert json.loads(printed("json", **changed)) == {"name": "naïve \udc80 \x1b"}


@pytest.mark.parametrize(
    ("changed", "colored"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colors_in_a_pipe(changed: dict[str, str], colored: bool) -> None:
    assert (b"\x1b[" in printed("table", **changed)) is colored


@pytest.mark.parametrize(("option", "colored"), [("always", True), ("never", False), ("auto", False)])
def test_the_color_option_wins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, colored: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    if option == "never":
        monkeypatch.setenv("FORCE_COLOR", "1")

    @click.command()
    @color_option
    def command() -> None:
        console().print(table("a"))

    command.main(["--color", option], standalone_mode=False)
    assert ("\x1b[" in capsys.readouterr().out) is colored


def test_a_table_on_a_terminal_is_ruled_and_colored(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PRINT, "table"],
        stdout=its,
        env=environment(TERM="xterm", LC_ALL="C.UTF-8", COLUMNS="80"),
    )
    os.close(its)
    found = b""
    try:
        while chunk := os.read(ours, 4096):
            found += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"\x1b[1m" in found
    assert "─".encode() in found
    assert b"\\x1b[31m" in found
    assert max(map(len, found.decode().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 80
