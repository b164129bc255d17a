"""Runs workers, and collects the outcomes; what ends a process is the outcome of the operation that it was in."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "Outcomes", "collect"]

ROOT = Path(__file__).resolve().parents[2]
Outcomes = dict[tuple[str, str], str]  # (operation, kind) -> "yes", or "no: reason"


def collect(python: str, library: str, kinds: Sequence[str], operations: Sequence[str], timeout: float) -> Outcomes:
    """Do the operations with a library on kinds of modules.

    Args:
      python: an interpreter that has the library.
      library: its name.
      kinds: done one after the other, in one process; in several if it is one kind and a process dies.
      operations: what to do with each.
      timeout: for a process, seconds.

    Raises:
      RuntimeError: a process for several kinds did not live to its end, or one did not even begin.
    """
    found: Outcomes = {}
    left = list(operations)
    while len(found) < len(kinds) * len(operations):
        command = [python, "-m", "tests.capabilities.worker", library, ",".join(kinds), ",".join(left)]
        printed, end = _run(command, timeout)
        begun = None
        for line in map(json.loads, printed):
            begun = (line["begins"], line["kind"]) if "begins" in line else None
            if begun is None:
                found[line["operation"], line["kind"]] = line["outcome"]
        if begun is not None:
            if len(kinds) > 1:
                raise RuntimeError(f"{library} with {begun[1]}, {begun[0]}: {end}")
            found[begun] = f"no: {end}"
            left = left[left.index(begun[0]) + 1 :]
        elif not printed:
            raise RuntimeError(f"{' '.join(command)} printed nothing: {end}")
    return found


def _run(command: list[str], timeout: float) -> tuple[list[str], str | None]:
    """Return the lines that a worker printed, and how it ended if not well."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        printed = (late.stdout or b"").decode() if isinstance(late.stdout, bytes | None) else late.stdout
        return printed.splitlines(), f"not done after {timeout:.0f} seconds"
    end = None if done.returncode == 0 else f"the process ended with status {done.returncode}"
    if end and not done.stdout:
        end += f": {done.stderr[-2000:]}"
    return done.stdout.splitlines(), end
