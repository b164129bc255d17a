"""What a scan says of a module."""

from __future__ import annotations

from dataclasses import dataclass

from modhub.inspection.findings import Severity

__all__ = ["ScanFinding", "ScanReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinding:
    """Something that a module could do beside computing.

    Attributes:
      rule: what kind of thing: a class of ops ("writes-files", "runs-code", ...), or "unknown-op", "hidden-graph",
        "constant-bomb", "asset-outside", "second-saved-model", "unreadable", "keras-lambda".
      severity: ERROR is refused when it comes from a URL; WARNING is to be looked at; NOTE is for the record.
      op: the op, or "".
      nodes: the nodes that have it, "function/node" for those in functions.
      where: the file and the variant.
      reached_by: what runs it: "initializer", "table", "signature", "object", "collection", "variable", "restore",
        "saver" or "nothing".
      message: what it does, in one line.
    """

    rule: str
    severity: Severity
    op: str
    nodes: tuple[str, ...]
    where: str
    reached_by: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """The result of a scan. It is no proof of harmlessness: see docs/scan.md.

    Attributes:
      handle: what was scanned.
      findings: the gravest first.
      variants: how many graph variants were read.
      functions: how many functions, in all of them.
      ops: how many nodes, in graphs and functions.
      kinds: how many different ops these nodes have.
    """

    handle: str
    findings: tuple[ScanFinding, ...]
    variants: int
    functions: int
    ops: int
    kinds: int

    @property
    def refused(self) -> tuple[ScanFinding, ...]:
        """The findings for which a module from a URL is not loaded without `trust=True`."""
        return tuple([finding for finding in self.findings if finding.severity is Severity.ERROR])
