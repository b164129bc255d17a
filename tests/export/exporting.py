"""Exports in processes that are killed, or that are several at once.

    exporting.py killed BASE POINTS     one export for each point, killed there; prints what each left as JSON lines
    exporting.py several BASE COUNT     COUNT exports by each of four processes, to one directory, all kept

One half of the points is spread over all the calls that an export makes, the other over the last ones, where the oldest
export is removed. The children are forked, so that TensorFlow is imported once.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import sys
import warnings
from pathlib import Path

import modhub as hub
from modhub.export.latest import export_latest
from tests import constructions
from tests.killing import count_calls, ended, forked, killed_at, was_killed

warnings.filterwarnings("ignore", category=DeprecationWarning)  # forking beside TensorFlow's idle threads
KEPT = 3


def is_whole(export: Path, reference: Path) -> bool:
    """Whether an export has the two modules, and each of them every byte."""
    files = [str(path.relative_to(reference)) for path in reference.rglob("*") if path.is_file()]
    return sorted(path.name for path in export.iterdir()) == ["one", "two"] and all(
        filecmp.cmpfiles(module, reference, files, shallow=False)[0] == files for module in export.iterdir()
    )


def killed(base: Path, points: int) -> None:
    reference = base.parent / "reference"
    module = hub.load(constructions.publish(constructions.affine, base.parent / "module"))
    module.export(reference)

    def export() -> None:
        export_latest({"one": module, "two": module}, base, KEPT)

    for _ in range(KEPT):
        export()
    killed_at(count_calls(export) // 2, export)
    total = count_calls(export)  # of one that finds something to clear away, as all but the first will
    half = points // 2
    places = [number / half for number in range(half)] + [1 - 0.05 * (1 - number / half) for number in range(half)]
    for place in [*places, 10]:  # the last one lies behind the end: an export that nobody kills
        before = set(os.listdir(base))
        status = killed_at(1 + int(place * total), export)
        after = set(os.listdir(base))
        exports = sorted(name for name in after if re.fullmatch("[0-9]{10}", name))
        outcome = {
            "killed": was_killed(status),
            "exports": len(exports),
            "new": len(set(exports) - before),
            # The oldest may go once the new one is there; a hidden name sorts before all of them.
            "kept": set(sorted(before)[-KEPT + 1 :]) <= after,
            "whole": all(is_whole(base / name, reference) for name in exports),
            "partial": len(after) - len(exports),
            "files": sum(path.is_file() for name in after - set(exports) for path in (base / name).rglob("*")),
        }
        print(json.dumps(outcome), flush=True)


def several(base: Path, count: int) -> None:
    module = hub.load(constructions.publish(constructions.affine, base.parent / "module"))

    def exports() -> None:
        for _ in range(count):
            export_latest({"one": module, "two": module}, base, None)

    processes = [forked(exports) for _ in range(4)]
    print(json.dumps([ended(process) for process in processes]))


if __name__ == "__main__":
    {"killed": killed, "several": several}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
