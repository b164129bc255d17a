"""Rules for fine-tuning: what a publisher has to export so that others can train a module further."""

from __future__ import annotations

from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import FINE_TUNING_PAGE, MODULES, TENSORFLOW, Found, Rule, rule
from modhub.inspection.lint.signatures_image import MOMENTUM
from modhub.inspection.lint.subject import Subject, Variant
from modhub.inspection.lint.tensors import find
from modhub.inspection.lint.training import dropouts, moving_averages

__all__ = ["RULES"]

RULES: list[Rule] = []

# A step of 0.001: after 100 batches a tenth of the way is gone.
_SLOW_STEP = 0.001
_ROUNDING = 1e-6
_MOST_NAMED = 3


@rule(
    RULES,
    "regularization-losses-missing",
    Severity.NOTE,
    source=FINE_TUNING_PAGE,
    fix="If the module was trained with weight decay, add it in the module_fn, by the regularizers of the layers or "
    "tf.compat.v1.losses.add_loss(..., loss_collection=REGULARIZATION_LOSSES). If not, ignore this rule.",
    formats=MODULES,
)
def regularization_losses_missing(subject: Subject) -> Found:
    """A variant has trainable variables, and no regularization losses.

    Callers who fine-tune add the collection REGULARIZATION_LOSSES to their loss. Weight decay that an optimizer did is
    not in a graph, so it is not published.
    """
    for variant in subject.variants:
        if variant.description.trainable and not variant.description.regularization_losses:
            count = len(variant.description.trainable)
            yield variant.where, f"It has {_variables(count, 'trainable variable')}, and no regularization losses."


@rule(
    RULES,
    "trainable-variables-missing",
    Severity.NOTE,
    source=FINE_TUNING_PAGE,
    fix="Create the variables with trainable=True in the module_fn if others may train them; trainable=True of "
    "hub.Module finds none otherwise.",
    formats=MODULES,
)
def trainable_variables_missing(subject: Subject) -> Found:
    """A variant has variables, and none is trainable, so the module cannot be fine-tuned."""
    for variant in subject.variants:
        if variant.description.variables and not variant.description.trainable:
            yield (
                variant.where,
                f"None of its {_variables(len(variant.description.variables), 'variable')} is trainable.",
            )


@rule(
    RULES,
    "variables-missing",
    Severity.ERROR,
    source=FINE_TUNING_PAGE,
    fix="Export the module from the variant that has all variables; the others share its checkpoint.",
    formats=MODULES,
)
def variables_missing(subject: Subject) -> Found:
    """The checkpoint lacks variables of a variant.

    All variants share one checkpoint, which holds the variables of the variant that was exported. One that has more
    cannot be loaded.
    """
    stored = {variable.name for variable in subject.inspection.variables}
    for variant in subject.variants:
        missing = [name for name in variant.description.variables if name not in stored]
        if missing:
            yield variant.where, f"The checkpoint lacks {_named(missing)}."


@rule(
    RULES,
    "batch-norm-momentum",
    Severity.WARNING,
    source=FINE_TUNING_PAGE,
    fix="Use a smaller momentum, such as 0.99, or let callers choose it by an input batch_norm_momentum.",
    formats=MODULES,
)
def batch_norm_momentum(subject: Subject) -> Found:
    """Moving averages are so slow that a small dataset does not move them.

    With a momentum of 0.999 or more, they have gone less than a tenth of the way after 100 batches. Who fine-tunes on
    little data then evaluates with the statistics of the publisher's data.
    """
    for variant in subject.variants:
        if _exposes_momentum(variant):
            continue
        slow = [
            average for average in moving_averages(variant)
            if average.step is not None and 0.0 < average.step <= _SLOW_STEP + _ROUNDING
        ]  # fmt: skip
        if slow:
            momentum = max(1.0 - (average.step or 0.0) for average in slow)
            yield (
                variant.where,
                f"{len(slow)} moving averages have a momentum of {momentum:.6g} or nearly so, "
                f"for example {slow[0].node!r}.",
            )


@rule(
    RULES,
    "fixed-hyperparameter",
    Severity.NOTE,
    source=FINE_TUNING_PAGE,
    fix="Make it an input of a signature, by tf.compat.v1.placeholder_with_default, if callers may want another value.",
    formats=MODULES,
)
def fixed_hyperparameter(subject: Subject) -> Found:
    """A dropout rate, or the momentum of moving averages, is a constant of the graph for training.

    Callers cannot tune it, other than by a signature that has it as an input.
    """
    for variant in subject.variants:
        if not variant.is_for_training:
            continue
        rates = sorted(
            {drop.rate for scope in variant.all_reached() for drop in dropouts(scope) if drop.rate is not None}
        )
        if rates:
            yield variant.where, f"Dropout has fixed rates (of dropping or keeping): {_numbers(rates)}."
        steps = {average.step for average in moving_averages(variant) if average.step is not None}
        if steps and not _exposes_momentum(variant):
            momenta = _numbers(sorted({round(1.0 - step, 6) for step in steps}))
            yield variant.where, f"Moving averages have a fixed momentum: {momenta}."


@rule(
    RULES,
    "collection-dangling",
    Severity.ERROR,
    source=TENSORFLOW + ": a collection names tensors of the graph",
    fix="Export the module again; losses have to be tensors of the variant's own graph.",
    formats=MODULES,
)
def collection_dangling(subject: Subject) -> Found:
    """A collection of losses or update ops names what is not in the graph, so that training fails."""
    for variant in subject.variants:
        nodes = variant.graph.nodes.by_name
        listed = (*variant.description.regularization_losses, *variant.description.update_ops)
        missing = [name for name in listed if name.removeprefix("^").partition(":")[0] not in nodes]
        if missing:
            yield variant.where, f"The graph lacks {_named(missing)}."


def _exposes_momentum(variant: Variant) -> bool:
    return any(find(signature.inputs, MOMENTUM) is not None for signature in variant.signatures.values())


def _variables(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, names[:_MOST_NAMED])) + more
