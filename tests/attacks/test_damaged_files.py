"""Every byte of small modules flipped or cut, larger ones sampled: an error of ours, or (the graph) a module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.attacks.mutations import mutations

CHECKSUMMED = ["tfhub_module.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
SMALL = "published/half_plus_two_v1"
LARGER = ["genuine/partitioned/module", "genuine/nnlm_ref/module", "genuine/resnet_like/module"]
MEBIBYTE = 1024  # in KiB


def outcomes_of(folder: Path, jobs: list[tuple[str, str, int | None]]) -> list[dict[str, Any]]:
    """Damage files of modules in a process of its own, and return what became of each.

    Args:
      folder: where the modules are.
      jobs: (module, file, how many flips and cuts to sample, or None for all).
    """
    wanted = [
        (str(folder / module), file, list(mutations((folder / module / file).stat().st_size, sample)))
        for module, file, sample in jobs
    ]
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("victim.py"))],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=600,  # a hang
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"the process died after {lines[-1:]}: {run.stderr[-2000:]}"
    found = [line for line in lines if "outcome" in line]
    assert len(found) == sum(len(each) for _, _, each in wanted) > 0
    assert [line for line in found if line["outcome"].startswith("raw")] == []
    assert max(line["rss"] for line in found) - found[0]["rss"] < 200 * MEBIBYTE
    return found


def test_what_is_checksummed_never_loads_altered(shared_modules: Path) -> None:
    jobs: list[tuple[str, str, int | None]] = [(SMALL, file, None) for file in CHECKSUMMED]
    jobs += [(module, file, 60) for module in LARGER for file in CHECKSUMMED]
    assert [line for line in outcomes_of(shared_modules, jobs) if line["outcome"] == "loads"] == []


def test_a_damaged_graph_is_refused_or_loads(shared_modules: Path) -> None:
    outcomes_of(
        shared_modules,
        [
            (SMALL, "saved_model.pb", None),
            *((module, "saved_model.pb", 400) for module in LARGER[:2]),
            ("genuine/control_flow/module", "saved_model.pb", 400),
        ],
    )
