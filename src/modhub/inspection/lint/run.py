"""`hub.lint`: runs the rules on a module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from modhub.errors import InvalidArgumentError, accepted
from modhub.inspection.contents import open_module
from modhub.inspection.findings import Finding, Severity
from modhub.inspection.inspect import describe
from modhub.inspection.lint.report import LintReport
from modhub.inspection.lint.rules import Rule
from modhub.inspection.lint.subject import Subject

__all__ = ["all_rules", "check_ignore", "lint"]

_ORDER = list(Severity)
_NOTHING: Mapping[str, str] = MappingProxyType({})


def lint(handle: str | os.PathLike[str], *, ignore: Mapping[str, str] = _NOTHING) -> LintReport:
    """Check a module against what the documentation promises to those who use modules, without TensorFlow.

    The rules, with what to do about what they find, are those of `all_rules()`. Of a TF1 SavedModel only those for its
    signatures, graphs and files are run, and of a TF2 SavedModel those for graphs and files, and for reusable
    SavedModels; a note says so.

    Args:
      handle: a directory, or a tar archive, which is read without unpacking it to disk.
      ignore: id of a rule -> why what it finds is fine here.

    Returns:
      What was found.

    Raises:
      InvalidArgumentError: `ignore` names no rule, or gives no reason.
      HandleNotFoundError: the handle names nothing.
      NotAModuleError: it is neither a module nor a SavedModel.
      CorruptModuleError: a file is damaged, two variants have the same tags, or a signature is impossible.
      UnsupportedFormatError: it needs features that this version does not know.

    Example:
      >>> lint("no/such/module", ignore={"train-variant-mising": "frozen"})
      Traceback (most recent call last):
      modhub.errors.InvalidArgumentError: ... Did you mean 'train-variant-missing'?
    """
    check_ignore(ignore)
    contents = open_module(handle)
    subject = Subject(contents, describe(contents))
    found = sorted(
        [
            Finding(
                rule=rule.id, severity=rule.severity, message=message, where=where, fix=rule.fix, source=rule.source
            )
            for rule in all_rules().values()
            if contents.format in rule.formats
            for where, message in rule.check(subject)
        ],
        key=lambda finding: (_ORDER.index(finding.severity), finding.rule, finding.where, finding.message),
    )
    return LintReport(
        handle=contents.handle,
        findings=tuple([finding for finding in found if finding.rule not in ignore]),
        ignored=tuple([(finding, ignore[finding.rule]) for finding in found if finding.rule in ignore]),
    )


@cache
def all_rules() -> Mapping[str, Rule]:
    """Return the rules by id, in the order of their topics."""
    from modhub.inspection.lint import (
        archives,
        files,
        fine_tuning,
        ops,
        paths,
        randomness,
        saved_models,
        signatures,
        signatures_image,
        signatures_image_tasks,
        signatures_text,
        variants,
    )

    topics = (
        signatures, signatures_image, signatures_image_tasks, signatures_text, fine_tuning, variants, randomness, ops,
        paths, files, archives, saved_models,
    )  # fmt: skip
    rules = [rule for topic in topics for rule in topic.RULES]
    assert len({rule.id for rule in rules}) == len(rules)
    return MappingProxyType({rule.id: rule for rule in rules})


def check_ignore(ignore: Mapping[str, str]) -> None:
    """Refuse what names no rule, or gives no reason.

    Raises:
      InvalidArgumentError: it does.
    """
    if not isinstance(ignore, Mapping):
        raise InvalidArgumentError(
            f"ignore={ignore!r} is a {type(ignore).__name__}; pass a dict from the ids of rules to reasons, such as "
            "{'default-signature-missing': 'it has several equal tasks'}."
        )
    for name, reason in ignore.items():
        if name not in all_rules():
            raise InvalidArgumentError(
                f"ignore names {name!r}, which is no rule. " + accepted(name, all_rules(), "rules")
            )
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidArgumentError(
                f"ignore[{name!r}] is {reason!r}; say in words why what the rule finds is fine here."
            )
