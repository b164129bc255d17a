from __future__ import annotations

import re
from pathlib import Path

import modhub as hub
from tests.docs.page import check_promises, read_page, run_script

README = read_page("README.md")


def test_the_tour_runs_as_one_script(tmp_path: Path) -> None:
    printed = run_script(README, tmp_path)
    check_promises(printed)

    losses = re.findall(r"^loss: (\S+) before, (\S+) after\n", "\n".join(printed.lines), flags=re.MULTILINE)
    assert len(losses) == 2
    assert all(float(after) < float(before) / 2 for before, after in losses)
    assert (tmp_path / "encoder" / "tfhub_module.pb").read_bytes() == b"\x08\x03"
    assert (tmp_path / "encoder-tuned" / "tfhub_module.pb").read_bytes() == b"\x08\x03"


def test_the_table_has_every_public_name() -> None:
    named = re.findall(r"^\| `(\w+)", README, flags=re.MULTILINE)

    assert sorted(named) == sorted([*hub.__all__, "LatestModuleExporter"])
