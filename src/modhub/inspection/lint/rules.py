"""What a rule is, how one is declared, and the pages that rules come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from modhub.inspection.contents import TF1_HUB, TF1_SAVED_MODEL, TF2_SAVED_MODEL
from modhub.inspection.findings import Severity
from modhub.inspection.lint.subject import Subject

__all__ = [
    "ANY_FORMAT",
    "ARCHIVE_PAGE",
    "DE_FACTO_IMAGES",
    "DE_FACTO_TEXT",
    "EXPORTING_PAGE",
    "FINE_TUNING_PAGE",
    "IMAGES_PAGE",
    "MODULES",
    "REUSABLE_PAGE",
    "TENSORFLOW",
    "TEXT_PAGE",
    "TF1",
    "TF2",
    "Found",
    "Rule",
    "rule",
]

# Titles of pages of the TensorFlow Hub documentation.
EXPORTING_PAGE = "TensorFlow Hub documentation, 'Exporting models in the TF1 Hub format'"
FINE_TUNING_PAGE = "TensorFlow Hub documentation, 'TF1 Hub format', on fine-tuning and on notes for publishers"
IMAGES_PAGE = "TensorFlow Hub documentation, 'Common Signatures for Images'"
TEXT_PAGE = "TensorFlow Hub documentation, 'Common Signatures for Text'"
REUSABLE_PAGE = "TensorFlow Hub documentation, 'Reusable SavedModels'"
ARCHIVE_PAGE = "TensorFlow Hub documentation, 'Model hosting protocol', and how tensorflow_hub unpacks archives"
# What no page asks for, and the published modules of a task have in common.
DE_FACTO_IMAGES = "what published image modules have in common"
DE_FACTO_TEXT = "what published text modules have in common"
TENSORFLOW = "a fact of TensorFlow"

MODULES = frozenset({TF1_HUB})
TF1 = frozenset({TF1_HUB, TF1_SAVED_MODEL})
TF2 = frozenset({TF2_SAVED_MODEL})
ANY_FORMAT = TF1 | TF2

# (where, message) of each thing that is found.
Found = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of lint.

    Attributes:
      id: by which it is looked up and ignored; it never changes.
      severity: of what it finds.
      source: where it comes from: a page of the documentation, or a fact of TensorFlow.
      fix: what to do about what it finds.
      about: what it looks for and why, in sentences.
      formats: the formats that it is for.
      topic: the group of rules that it belongs to.
      check: yields (where, message) for each thing that it finds.
    """

    id: str
    severity: Severity
    source: str
    fix: str
    about: str
    formats: frozenset[str]
    topic: str
    check: Callable[[Subject], Found] = field(repr=False)


def rule(
    rules: list[Rule], name: str, severity: Severity, *, source: str, fix: str, formats: frozenset[str] = TF1
) -> Callable[[Callable[[Subject], Found]], Callable[[Subject], Found]]:
    """Declare the function below as a rule; its docstring says what it looks for.

    Args:
      rules: the list of its topic; it is added there.
      name: its id.
      severity: of what it finds.
      source: where it comes from.
      fix: what to do about what it finds.
      formats: the formats that it is for.
    """

    def declare(check: Callable[[Subject], Found]) -> Callable[[Subject], Found]:
        rules.append(
            Rule(
                id=name,
                severity=severity,
                source=source,
                fix=fix,
                about=inspect.cleandoc(check.__doc__ or ""),
                formats=formats,
                topic=check.__module__.rpartition(".")[2],
                check=check,
            )
        )
        return check

    return declare
