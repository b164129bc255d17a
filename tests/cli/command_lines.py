"""Runs command lines of modhub: in a process of their own, or in this one."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modhub.cli import main

SOURCE = Path(__file__).resolve().parents[2] / "src"

# As where a package is not installed.
HIDE = """
import sys

class Hide:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide)
from modhub.cli import main
sys.exit(main())
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command left: its exit status, and its lines on stdout and stderr."""

    status: int
    out: str
    err: str


def environment(**changed: str) -> dict[str, str]:
    """Return this process's environment with changes, and nothing in it that decides on colors or logs."""
    # Without a buffer Python drops what a pipe did not take, and reports no error.
    decisive = ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED", "TF_CPP_MIN_LOG_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in decisive}
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **changed}


def in_a_process(*args: str, hidden: tuple[str, ...] = (), given: bytes = b"", **changed: str) -> Done:
    """Run `python -m modhub` with some packages hidden and some variables of the environment set."""
    start = ["-c", HIDE.format(hidden=hidden)] if hidden else ["-m", "modhub"]
    done = subprocess.run([sys.executable, *start, *args], input=given, capture_output=True, env=environment(**changed))
    return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def here(capsys: pytest.CaptureFixture[str], *args: Any) -> Done:
    """Run a command line in this process."""
    capsys.readouterr()
    status = main([str(arg) for arg in args])
    return Done(status=status, out=(found := capsys.readouterr()).out, err=found.err)


def refusal(done: Done) -> str:
    """Return the line that says why a command did nothing; below it may stand a command that helps."""
    assert (done.status, done.out) == (2, "")
    line, *rest = done.err.splitlines()
    assert line.startswith("modhub: ")
    assert not rest or (len(rest) == 1 and rest[0].startswith("try: modhub "))
    return line


def give_stdin(monkeypatch: pytest.MonkeyPatch, contents: bytes) -> None:
    """Make stdin of this process say something."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(contents), "utf-8"))
