"""Runs scripts by `modhub run`, in processes of their own."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from tests.cli.command_lines import Done, in_a_process

__all__ = ["run", "told"]


def run(folder: Path, source: str, *words: str, **changed: str) -> Done:
    """Run a script, written to a folder; words before "SCRIPT" are options of `modhub run`."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(source))
    return in_a_process(
        "run",
        *([] if "SCRIPT" in words else [str(script)]),
        *(str(script) if word == "SCRIPT" else word for word in words),
        **changed,
    )


def told(folder: Path, source: str, *words: str, **changed: str) -> Any:
    """Run a script that ends well, and return the JSON that is the last line it prints."""
    done = run(folder, source, *words, **changed)
    assert done.status == 0, done.out + done.err
    assert "deprecated" not in done.err, done.err
    return json.loads(done.out.splitlines()[-1])
