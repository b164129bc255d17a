"""Runs what a page of the documentation shows: its Python blocks as one script, then its commands.

A Python block that begins with a comment such as `# train.py` is a file of that name, for the commands.
"""

from __future__ import annotations

import dataclasses
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "Printed", "check_promises", "read_page", "run_commands", "run_script"]

ROOT = Path(__file__).resolve().parents[2]
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+\.py)\n")
# A print whose comment says what it prints: as it is, or after "about", with numbers that differ from run to run.
_PROMISE = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
_NUMBER = re.compile(r"-?\d+\.\d+")
_ABOUT = "about "


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a page's script printed, line by line, and what the comments beside its prints say."""

    lines: list[str]
    promised: list[str]


def read_page(name: str) -> str:
    """Return the text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def run_script(page: str, folder: Path) -> Printed:
    """Run the Python blocks of a page as one script, in a folder; it has to succeed, without warnings of ours."""
    blocks = _PYTHON.findall(page)
    files = {named[1]: block for block in blocks if (named := _FILE.match(block))}
    for name, block in files.items():
        (folder / name).write_text(block, encoding="utf-8")
    script = "\n".join(block for block in blocks if block not in files.values())
    (folder / "page.py").write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, "page.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "UserWarning" not in done.stderr
    return Printed(lines=done.stdout.splitlines(), promised=_PROMISE.findall(script))


def check_promises(printed: Printed) -> None:
    """Compare what was printed with what the comments say."""
    assert len(printed.lines) == len(printed.promised)
    for line, promised in zip(printed.lines, printed.promised, strict=True):
        if promised.startswith(_ABOUT):
            found, said = ([float(number) for number in _NUMBER.findall(text)] for text in (line, promised))
            assert len(found) == len(said)
            assert all(abs(a - b) <= 0.1 + 0.2 * abs(b) for a, b in zip(found, said, strict=True)), (line, promised)
        else:
            assert line == promised


def run_commands(page: str, folder: Path) -> None:
    """Run the commands of a page, in the folder that its script has filled; each prints what the page shows, if any."""
    checker = doctest.OutputChecker()
    options = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    for command, shown in _commands(page):
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, env=options)
        # `diff` says by 1 that there are differences.
        assert done.returncode == command.startswith("modhub diff "), (command, done.stdout, done.stderr)
        if shown:
            flags = doctest.ELLIPSIS
            assert checker.check_output(shown, done.stdout, flags), f"$ {command}\n{done.stdout}"


def _commands(page: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for block in _CONSOLE.findall(page):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].strip(), ""))
            else:
                command, shown = found.pop()
                found.append((command, shown + line))
    return found
