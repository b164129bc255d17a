"""What `hub.lint` returns."""

from __future__ import annotations

from dataclasses import dataclass

from modhub.inspection.findings import Finding, Severity

__all__ = ["LintReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """What the rules say of a module.

    Attributes:
      handle: what was checked.
      findings: errors first, then warnings and notes; among these by rule and place.
      ignored: the findings of ignored rules, each with the reason that was given.
    """

    handle: str
    findings: tuple[Finding, ...]
    ignored: tuple[tuple[Finding, str], ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make a module fail."""
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are to be looked at."""
        return self._of(Severity.WARNING)

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple([finding for finding in self.findings if finding.severity is severity])
