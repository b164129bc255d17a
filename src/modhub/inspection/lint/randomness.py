"""Rules for random numbers, which belong into the variant for training unless they are what a module computes."""

from __future__ import annotations

from collections.abc import Iterator

from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import FINE_TUNING_PAGE, IMAGES_PAGE, MODULES, TENSORFLOW, Found, Rule, rule
from modhub.inspection.lint.subject import Scope, Subject, Variant
from modhub.inspection.lint.training import dropouts, is_random

__all__ = ["RULES"]

RULES: list[Rule] = []

# Each signature is a walk through the graph; so many nodes are walked over.
_MOST_WALKED = 1_000_000


@rule(
    RULES,
    "dropout-at-inference",
    Severity.WARNING,
    source=f"{FINE_TUNING_PAGE}; {IMAGES_PAGE}",
    fix="Build dropout in a variant with the tag 'train' only, and leave dropout of the output itself to callers.",
    formats=MODULES,
)
def dropout_at_inference(subject: Subject) -> Found:
    """Outputs of a variant that is not for training go through dropout, so they are random."""
    for variant, signature, scopes in _random_signatures(subject):
        nodes = [drop.node for scope in scopes for drop in dropouts(scope)]
        if nodes:
            yield variant.at(signature), f"Its outputs go through dropout, at {nodes[0]!r}{_more(nodes)}."


@rule(
    RULES,
    "random-output",
    Severity.NOTE,
    source=TENSORFLOW + ": random ops draw other numbers at each call",
    fix="If the module is to sample, ignore this rule and say so in its documentation. If not, build the random ops in "
    "the variant for training only.",
    formats=MODULES,
)
def random_output(subject: Subject) -> Found:
    """Outputs of a variant that is not for training depend on random numbers other than those of dropout."""
    for variant, signature, scopes in _random_signatures(subject):
        nodes = []
        for scope in scopes:
            known = {drop.node for drop in dropouts(scope)}
            nodes += [node.name for node in scope if is_random(node) and node.name not in known]
        if nodes:
            yield variant.at(signature), f"Its outputs need random numbers, at {nodes[0]!r}{_more(nodes)}."


@rule(
    RULES,
    "random-in-loop",
    Severity.NOTE,
    source=TENSORFLOW + ": there are no gradients of v1 loops in functions",
    fix="Draw the numbers before the loop, or build the module with v2 control flow "
    "(tf.compat.v1.enable_control_flow_v2).",
    formats=MODULES,
)
def random_in_loop(subject: Subject) -> Found:
    """Random numbers are drawn inside a v1 loop.

    In TF2 such a loop has to be rebuilt, or computed a second time, for gradients; readers that compute it twice draw
    other numbers the second time.
    """
    for variant in subject.variants:
        scopes = variant.all_reached()
        nodes = _random_in_loops(scopes[0]) if scopes else []
        if nodes:
            yield variant.where, f"A v1 loop draws random numbers, at {nodes[0]!r}{_more(nodes)}."


def _random_signatures(subject: Subject) -> Iterator[tuple[Variant, str, tuple[Scope, ...]]]:
    """Yield the signatures, each with what it needs, of variants that need random numbers and are not for training."""
    for variant in subject.variants:
        if variant.is_for_training:
            continue
        # Stateless ones count as dropout.
        if any(is_random(node) or "Random" in node.op for scope in variant.all_reached() for node in scope):
            most = max(1, _MOST_WALKED // max(1, len(variant.graph.nodes)))
            for signature in variant.description.signatures[:most]:
                yield variant, signature.name, variant.reached(signature)


def _random_in_loops(scope: Scope) -> list[str]:
    """Return the random ops between an Enter and its Exit."""
    users: dict[str, list[str]] = {}
    enters = []
    for node in scope:
        if node.op in ("Enter", "RefEnter"):
            enters.append(node.name)
        # Also by control inputs: in a loop, what takes no tensor of it is tied to it by those.
        for name in node.inputs:
            users.setdefault(name.removeprefix("^").partition(":")[0], []).append(node.name)
    seen: set[str] = set()
    while enters:
        name = enters.pop()
        node = scope.nodes.by_name[name]
        if name in seen or node.op in ("Exit", "RefExit"):
            continue
        seen.add(name)
        enters.extend(users.get(name, ()))
    return sorted(name for name in seen if is_random(scope.nodes.by_name[name]))


def _more(nodes: list[str]) -> str:
    return f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
