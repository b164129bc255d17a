"""Rules for variants: what the one for training has to have, and the others must not."""

from __future__ import annotations

from modhub.format.graph import Node, Nodes
from modhub.format.names import show_tags
from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import FINE_TUNING_PAGE, MODULES, Found, Rule, rule
from modhub.inspection.lint.signatures_image import BN_HPARAMS
from modhub.inspection.lint.subject import Subject, Variant
from modhub.inspection.lint.tensors import same_interface
from modhub.inspection.lint.training import batch_norms, has_moving_statistics, read_statistics, uses_batch_statistics

__all__ = ["RULES"]

RULES: list[Rule] = []

_TWO_VARIANTS = "hub.create_module_spec(module_fn, [(set(), {'training': False}), ({'train'}, {'training': True})])"


@rule(
    RULES,
    "train-variant-missing",
    Severity.WARNING,
    source=FINE_TUNING_PAGE,
    fix=f"Publish two variants, {_TWO_VARIANTS}; or make the variables not trainable.",
    formats=MODULES,
)
def train_variant_missing(subject: Subject) -> Found:
    """The module has batch norm and trainable variables, and no variant with the tag "train".

    Batch norm computes something else in training. Without a graph for that the module can be fine-tuned with the
    publisher's statistics only.
    """
    if subject.has_train_variant:
        return
    for variant in subject.variants:
        if not variant.description.trainable:
            continue
        fused = any(not uses_batch_statistics(node) for scope in variant.all_reached() for node in batch_norms(scope))
        if fused or has_moving_statistics(variant):
            told = "batch norm" if fused else "variables of batch norm (moving_mean, moving_variance)"
            yield variant.where, f"It has {told}, and there is no variant with the tag 'train'."


@rule(
    RULES,
    "train-variant-needless",
    Severity.NOTE,
    source=FINE_TUNING_PAGE,
    fix="Publish one variant without tags; callers who train can use it. Or check that module_fn uses its argument for "
    "training.",
    formats=MODULES,
)
def train_variant_needless(subject: Subject) -> Found:
    """The variant for training has the same graph as the one for inference.

    It doubles the size of the graph, and may come of an argument of the module_fn that was forgotten.
    """
    for inference, training in subject.train_pairs():
        one, other = inference.description, training.description
        same_collections = (
            one.update_ops == other.update_ops and one.regularization_losses == other.regularization_losses
        )
        if same_collections and _same_graph(inference, training):
            yield training.where, f"Its graph is that of the variant {show_tags(inference.tags)}."


@rule(
    RULES,
    "signatures-differ",
    Severity.WARNING,
    source=FINE_TUNING_PAGE,
    fix="Declare the same signatures, with the same names, types and shapes, in all calls of the module_fn.",
    formats=MODULES,
)
def signatures_differ(subject: Subject) -> Found:
    """The variant for training has other signatures than the one for inference.

    Code that switches between them by `tags` alone breaks. Signatures that end with "_with_bn_hparams" may be in one
    of them only: they are for training.
    """
    for inference, training in subject.train_pairs():
        one, other = inference.signatures, training.signatures
        for name in sorted({*one, *other}):
            if name not in one or name not in other:
                if not name.endswith(BN_HPARAMS):
                    without = inference if name in other else training
                    yield training.at(name), f"The variant {show_tags(without.tags)} does not have it."
            elif difference := same_interface(one[name], other[name]):
                yield training.at(name), f"It differs from that of {show_tags(inference.tags)}: {difference}."


@rule(
    RULES,
    "update-ops-at-inference",
    Severity.WARNING,
    source=FINE_TUNING_PAGE,
    fix="Add update ops to the collection UPDATE_OPS in the variant for training only.",
    formats=MODULES,
)
def update_ops_at_inference(subject: Subject) -> Found:
    """A variant without the tag "train" has update ops, which change variables of callers who do not train."""
    for variant in subject.variants:
        count = len(variant.description.update_ops)
        if count and not variant.is_for_training:
            yield variant.where, f"The collection UPDATE_OPS has {count} items."


@rule(
    RULES,
    "update-ops-missing",
    Severity.WARNING,
    source=FINE_TUNING_PAGE,
    fix="Leave the collection UPDATE_OPS as the layers fill it; do not drop it, and call layers with training=True.",
    formats=MODULES,
)
def update_ops_missing(subject: Subject) -> Found:
    """Batch norm is in training mode and has moving averages, and no update op moves them.

    After fine-tuning, the variant for inference then normalizes by statistics of the publisher's data. So it is with
    Keras 3 layers in a module_fn, which give a v1 graph no update ops.
    """
    for variant in subject.variants:
        if not variant.is_for_training or variant.description.update_ops or not has_moving_statistics(variant):
            continue
        count = sum(uses_batch_statistics(node) for scope in variant.all_reached() for node in batch_norms(scope))
        if count:
            yield variant.where, f"{count} batch norms are in training mode, and UPDATE_OPS is empty."
    for inference, training in subject.train_pairs():
        # Written with other ops than fused ones: there it is seen by what it no longer reads.
        left = read_statistics(inference) - read_statistics(training)
        fused = any(uses_batch_statistics(node) for scope in training.all_reached() for node in batch_norms(scope))
        if left and not fused and not training.description.update_ops:
            told = f"{len(left)} moving averages are read in inference only, for example {min(left)!r}"
            yield training.where, f"{told}, and UPDATE_OPS is empty."


@rule(
    RULES,
    "batch-statistics-at-inference",
    Severity.WARNING,
    source=FINE_TUNING_PAGE,
    fix=f"Build batch norm with training=False in the variant without tags: {_TWO_VARIANTS}.",
    formats=MODULES,
)
def batch_statistics_at_inference(subject: Subject) -> Found:
    """Batch norm is in training mode in a variant that is not for training, though it has moving averages.

    The result for one example then depends on the others in its batch.
    """
    for variant in subject.variants:
        if variant.is_for_training or not has_moving_statistics(variant):
            continue
        names = [
            node.name for scope in variant.all_reached() for node in batch_norms(scope) if uses_batch_statistics(node)
        ]
        if names:
            yield variant.where, f"{len(names)} batch norms use the statistics of the batch, for example {names[0]!r}."


def _same_graph(one: Variant, other: Variant) -> bool:
    if one.graph.functions.keys() != other.graph.functions.keys() or not _same(one.graph.nodes, other.graph.nodes):
        return False
    return all(_same(each.nodes, other.graph.functions[name].nodes) for name, each in one.graph.functions.items())


def _same(one: Nodes, other: Nodes) -> bool:
    if len(one) != len(other) or one.by_name.keys() != other.by_name.keys():
        return False
    return all(_same_node(node, other.by_name[node.name]) for node in one)


def _same_node(one: Node, other: Node) -> bool:
    if (one.op, one.inputs) != (other.op, other.inputs):
        return False
    # The order of attributes in the file is that of a hash table, so that bytes would differ.
    if dict(one.attributes) != dict(other.attributes):
        return False
    return sorted(map(bytes, one.tensors())) == sorted(map(bytes, other.tensors())) if _is_large(one) else True


def _is_large(node: Node) -> bool:
    """Tell whether a node has a tensor that is left out of its attributes."""
    return node.op == "Const" and "value" not in node.attributes
