"""What lint and scan say of a module: findings."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Finding", "Severity"]


class Severity(enum.StrEnum):
    """How much a finding weighs: an ERROR fails a check and refuses a load, a WARNING is to be looked at."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule says of a module.

    Attributes:
      rule: the rule's id, by which it is looked up and ignored.
      severity: how much it weighs.
      message: what is the case, in one line.
      where: the variant, signature, variable, node or file.
      fix: what to do about it.
      source: where the rule comes from: a page of the documentation, or a fact of TensorFlow.
    """

    rule: str
    severity: Severity
    message: str
    where: str
    fix: str
    source: str
