"""The page of the table: written from outcomes, and read back."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["read_page", "write_page"]

_HEAD = """\
# What works with which module

Written by `make capabilities`, which does every operation with every module and checks what comes out: change the code,
not this page. A cell has the outcome of modhub first, then that of tensorflow_hub 0.16.1, each used as its own
documentation says; the number after a "no" is that of its reason below. The tests compare the modhub half of this page
with the code.

"""
_MODULES = """\
The modules: {genuine} were published by TensorFlow 1.15.5 and tensorflow-hub 0.12.0, with what these computed;
{published} were published by others; the TF2 SavedModel is one dense layer with a moving mean, saved by plain
TensorFlow 2 with the interface of Reusable SavedModels.
"""


def write_page(
    operations: Mapping[str, Callable[..., Any]],
    groups: Mapping[str, Sequence[str]],
    outcomes: Sequence[Mapping[tuple[str, str], str]],
    versions: Sequence[str],
) -> str:
    """Return the page.

    Args:
      operations: by name; their docstrings say what they check.
      groups: the kinds of modules: "genuine", "published", and the rest.
      outcomes: of modhub, and of the peer.
      versions: what each ran on.
    """
    kinds = [kind for group in groups.values() for kind in group]
    reasons: dict[str, int] = {}

    def half(outcome: str) -> str:
        word, _, why = outcome.partition(": ")
        return f"{word} [{reasons.setdefault(why, len(reasons) + 1)}]" if why else word

    rows = [["operation", *kinds]]
    for operation in operations:
        rows.append([operation, *(" / ".join(half(found[operation, kind]) for found in outcomes) for kind in kinds)])
    described = [f"- **{name}**: {' '.join(inspect.getdoc(does).split())}" for name, does in operations.items()]
    return "\n".join(
        [
            _HEAD + "\n".join(f"- {line}" for line in versions),
            "",
            _table(rows),
            "",
            "## Reasons\n",
            *(f"{number}. {why}" for why, number in reasons.items()),
            "",
            "## What is done and checked\n",
            *described,
            "",
            textwrap.fill(_MODULES.format(**{name: _listed(group) for name, group in groups.items()}), 120),
            "",
        ]
    )


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds)


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def read_page(page: str) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Return the outcomes of modhub and of the peer, by operation and kind."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    (_, *kinds), _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    reasons = dict(re.findall(r"^(\d+)\. (.*)$", page, flags=re.MULTILINE))
    halves: tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]] = ({}, {})
    for operation, *cells in rows:
        for kind, cell in zip(kinds, cells, strict=True):
            for half, found in zip(cell.split(" / "), halves, strict=True):
                word, _, number = half.partition(" ")
                found[operation, kind] = f"{word}: {reasons[number.strip('[]')]}" if number else word
    return halves
