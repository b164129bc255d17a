"""kill -9 of train_and_evaluate during an export: earlier exports are whole, and the next one clears up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.attacks.killed_estimator import total, train_and_evaluate

ROOT = Path(__file__).parents[2]


def test_a_killed_training_leaves_whole_exports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.attacks.killed_estimator", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stderr[-2000:]
    after = {steps: 64 * 64 * (sum(range(8)) - 8 * steps) for steps in (1, 2, 3)}
    for outcome in outcomes:
        # The first export is as it was; the second is there, or it is not.
        assert outcome["sums"] in ([after[1]], [after[1], after[2]])
        assert {tuple(names) for names in outcome["signatures"]} == {("default",)}
        assert outcome["partial"] <= 1
    # The test has teeth only if the trainings died, at different stages of the export.
    assert [outcome["killed"] for outcome in outcomes] == [True] * (len(outcomes) - 1) + [False]
    assert len(outcomes) > 10
    assert len({outcome["files"] for outcome in outcomes}) >= 3
    assert {len(outcome["sums"]) for outcome in outcomes if outcome["killed"]} == {1, 2}
    partial = Path(next(outcome["folder"] for outcome in outcomes if outcome["partial"]))
    train_and_evaluate(partial, max_steps=3)
    found = sorted((partial / "export/modules").iterdir())
    assert all(path.name.isdecimal() for path in found)
    assert total(found[-1] / "sum") == after[3]
