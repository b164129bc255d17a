"""Ends `modhub export-text-embeddings` before its time, a process for each point, and says what each left behind.

    python -m tests.export.text.interrupted_exports killed FOLDER POINTS > outcomes.jsonl
    python -m tests.export.text.interrupted_exports interrupted FOLDER POINTS > outcomes.jsonl

The points are spread evenly over the calls that the command makes, from the first block that is read to the renaming.
"""

from __future__ import annotations

import contextlib
import filecmp
import io
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modhub.cli.main import main as modhub
from modhub.export.text import vectors_text
from tests.killing import count_calls, ended, forked, interrupted_at, killed_at, spread

warnings.filterwarnings("ignore", category=DeprecationWarning)  # forking beside pyarrow's idle threads
WORDS = 400


def command(vectors: Path, module: Path) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return modhub(["export-text-embeddings", str(vectors), str(module)])


def is_whole(module: Path, reference: Path) -> bool:
    there, wanted = (sorted(path.relative_to(each) for path in each.rglob("*")) for each in (module, reference))
    files = [str(path) for path in wanted if (reference / path).is_file()]
    return there == wanted and filecmp.cmpfiles(module, reference, files, shallow=False)[0] == files


def main(end_at: Callable[[int, Callable[[], Any]], int], folder: Path, points: int) -> None:
    vectors_text._BLOCK_BYTES = 4096
    vectors = folder / "vectors.txt"
    vectors.write_text("".join(f"word{number}" + " 0.25" * 8 + "\n" for number in range(WORDS)))
    reference = folder / "reference"
    assert command(vectors, reference) == 0  # with all imports
    counted = count_calls(lambda: command(vectors, folder / "counted"))
    for attempt, point in enumerate(spread(points, counted)):
        target = folder / f"at_{attempt}" / "module"
        target.parent.mkdir()
        status = end_at(point, lambda path=target: os._exit(command(vectors, path)))
        published = target.exists()
        outcome = {
            "point": point,
            "status": os.waitstatus_to_exitcode(status),
            "published": published,
            "whole": is_whole(target, reference) if published else None,
            "left": [path.name for path in target.parent.iterdir() if path != target],
            "files": sum(path.is_file() for path in target.parent.rglob("*")),
        }
        if not published:
            # What was left is in nobody's way.
            outcome["again"] = ended(forked(lambda path=target: os._exit(command(vectors, path))))
            outcome["whole"] = is_whole(target, reference)
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main({"killed": killed_at, "interrupted": interrupted_at}[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]))
