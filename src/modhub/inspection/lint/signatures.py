"""Rules for all signatures: their names, and what callers find without knowing the module."""

from __future__ import annotations

import re

from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import EXPORTING_PAGE, MODULES, TENSORFLOW, Found, Rule, rule
from modhub.inspection.lint.subject import Subject

__all__ = ["RULES"]

RULES: list[Rule] = []

_DEFAULT = "default"
# What a signature's name can be in "<module>_apply_<signature>", a name scope.
_SCOPE_NAME = re.compile(r"[A-Za-z0-9_.\\/:>-]+")


@rule(
    RULES,
    "default-signature-missing",
    Severity.WARNING,
    source=EXPORTING_PAGE,
    fix="Declare the main use of the module without a name, hub.add_signature(inputs=..., outputs=...); it may also "
    "have a name of its own.",
    formats=MODULES,
)
def default_signature_missing(subject: Subject) -> Found:
    """A variant has no signature "default".

    `module(x)` computes the default signature, and fails where there is none: callers have to look up a name.
    """
    for variant in subject.variants:
        if variant.signatures and _DEFAULT not in variant.signatures:
            yield variant.where, f"There is no signature 'default'; it has {_listed(variant.signatures)}."


@rule(
    RULES,
    "default-output-missing",
    Severity.WARNING,
    source=EXPORTING_PAGE,
    fix='Name the main output "default"; the other outputs keep their names.',
    formats=MODULES,
)
def default_output_missing(subject: Subject) -> Found:
    """The signature "default" has no output "default".

    `module(x)` returns the output "default", and fails where there is none: callers have to pass `as_dict=True`.
    """
    for variant in subject.variants:
        signature = variant.signatures.get(_DEFAULT)
        if signature is None:
            continue
        names = [output.name for output in signature.outputs]
        if _DEFAULT not in names:
            yield variant.at(_DEFAULT), f"There is no output 'default'; it has {_listed(names)}."


@rule(
    RULES,
    "signatures-missing",
    Severity.ERROR,
    source=EXPORTING_PAGE,
    fix="Call hub.add_signature at least once for each variant.",
    formats=MODULES,
)
def signatures_missing(subject: Subject) -> Found:
    """A variant has no signature at all, so nothing can be computed with it."""
    for variant in subject.variants:
        if not variant.signatures:
            yield variant.where, "There is no signature."


@rule(
    RULES,
    "signature-name",
    Severity.ERROR,
    source=TENSORFLOW + ": name scopes take letters, digits and _ . \\ / : > -",
    fix="Rename the signature; letters, digits and underscores are safe everywhere.",
    formats=MODULES,
)
def signature_name(subject: Subject) -> Found:
    r"""The name of a signature cannot be a part of a name scope.

    An application of a module is named `<module>_apply_<signature>` in the caller's graph, so a space or "$" in the
    signature's name makes `module(x, signature=...)` fail.
    """
    for variant in subject.variants:
        for name in variant.signatures:
            if not _SCOPE_NAME.fullmatch(name):
                yield variant.at(name), f"The name {name!r} cannot be a part of a name scope."


@rule(
    RULES,
    "signature-names-collide",
    Severity.NOTE,
    source=TENSORFLOW + ": names of ops are made unique without regard to case",
    fix="Rename one of the signatures so that they differ in more than upper and lower case.",
    formats=MODULES,
)
def signature_names_collide(subject: Subject) -> Found:
    """Two signatures differ in upper and lower case only, which is easy to confuse, and which op names do not keep."""
    for variant in subject.variants:
        seen: dict[str, str] = {}
        for name in variant.signatures:
            first = seen.setdefault(name.lower(), name)
            if first != name:
                yield variant.at(name), f"It differs from the signature {first!r} in upper and lower case only."


def _listed(names: object) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"  # type: ignore[call-overload]  # of strings
