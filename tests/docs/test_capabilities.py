"""docs/capabilities.md says of modhub what its code does today."""

from __future__ import annotations

import concurrent.futures
import functools
import sys
from pathlib import Path

from tests.capabilities.kinds import NAMES
from tests.capabilities.operations import OPERATIONS
from tests.capabilities.page import read_page
from tests.capabilities.runs import ROOT, collect


def test_the_page_says_what_works(shared_modules: Path) -> None:
    documented, _ = read_page((ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8"))
    run = functools.partial(collect, sys.executable, "modhub", operations=list(OPERATIONS), timeout=300.0)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(lambda kinds: run(kinds=kinds), (NAMES[::2], NAMES[1::2])))
    found = {key: outcome for half in halves for key, outcome in half.items()}
    assert found.keys() == documented.keys()
    # The words of a reason are TensorFlow's, and change with its version.
    changed = {key: outcome for key, outcome in found.items() if outcome[:2] != documented[key][:2]}
    assert changed == {}, "make capabilities writes the page anew"
