"""The pages for users do what they say: their Python blocks run as one script, their commands after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import check_promises, read_page, run_commands, run_script

PAGES = ["feature-columns", "fine-tuning", "moving", "publishing"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_what_it_says(name: str, tmp_path: Path) -> None:
    page = read_page(f"docs/{name}.md")
    check_promises(run_script(page, tmp_path))
    run_commands(page, tmp_path)
