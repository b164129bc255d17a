"""kill -9 at 200 points of an export: there is no module, or the whole one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_killed_export_leaves_no_half_module(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_exports.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "200"], capture_output=True, text=True, timeout=600
    )
    outcomes = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(outcomes) == 200
    assert [outcome for outcome in outcomes if not outcome["whole"]] == []
    # The test has teeth only if the exports died, at different stages.
    assert sum(outcome["killed"] for outcome in outcomes) >= 195
    assert len({outcome["files"] for outcome in outcomes}) >= 4
    assert {outcome["published"] for outcome in outcomes} == {False, True}
