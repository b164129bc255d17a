"""Makes one finding of those that say the same of different nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modhub.inspection.findings import Severity
from modhub.inspection.scan.report import ScanFinding

__all__ = ["gathered"]

# Of a kind, after which they are told together: a hostile module may name a file for each of its half a million nodes.
_MOST_MESSAGES = 100
_OTHERS = "as others of these, for which see above"


def gathered(findings: Iterable[ScanFinding]) -> Iterator[ScanFinding]:
    """Yield one finding for those that differ only in their nodes.

    Args:
      findings: of one node each, or none.
    """
    kinds: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for each in findings:
        messages = kinds.setdefault((each.rule, each.severity, each.op, each.where, each.reached_by), {})
        message = each.message if each.message in messages or len(messages) < _MOST_MESSAGES else _OTHERS
        messages.setdefault(message, []).extend(each.nodes)
    for (rule, severity, op, where, reached_by), messages in kinds.items():
        for message, nodes in messages.items():
            yield ScanFinding(
                rule=rule,
                severity=Severity(severity),
                op=op,
                nodes=tuple(nodes),
                where=where,
                reached_by=reached_by,
                message=message,
            )
