"""kill -9 at 200 points of an export: there is no module, or the whole one."""

from __future__ import annotations

import filecmp
import json
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_killed_export_leaves_no_half_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.attacks.killed_exports", str(tmp_path), "201"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(outcomes) == 201
    assert [outcome for outcome in outcomes if not outcome["whole"]] == []
    # The test has teeth only if the exports died, at different stages.
    assert sum(outcome["killed"] for outcome in outcomes) >= 195
    assert len({outcome["files"] for outcome in outcomes}) >= 4
    assert {outcome["published"] for outcome in outcomes} == {False, True}


def test_a_killed_session_leaves_no_half_module(tmp_path: Path) -> None:
    chance = random.Random(0)
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        command = [sys.executable, str(Path(__file__).with_name("exporting.py")), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "0\n"
            time.sleep(chance.uniform(0.05, 0.4))
            process.kill()
        reference = folder / "module_0"
        files = sorted(str(path.relative_to(reference)) for path in reference.rglob("*") if path.is_file())
        modules = [path.parent for path in folder.rglob("tfhub_module.pb")]
        assert {path for path in folder.iterdir() if path.name.startswith("module_")} <= set(modules)
        for module in modules:
            assert filecmp.cmpfiles(reference, module, files, shallow=False)[0] == files
