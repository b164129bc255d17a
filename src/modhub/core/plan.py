"""A signature of a variant as a small, pure program: what applying it adds to a graph."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from modhub.core.description import Variant
from modhub.core.graph import VariantGraph, index_variant
from modhub.core.names import node_of, split_input, tensor_name
from modhub.core.part import Part, take_part
from modhub.core.tensor_info import tensor_names
from modhub.core.tensorflow_errors import blame_module

__all__ = ["SignaturePlan", "input_losses", "plan_signature"]

_UNFED = {"Placeholder", "PlaceholderV2"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignaturePlan:
    """A signature as a program.

    Attributes:
      where: what messages call it.
      part: the nodes to import; what it captures is either in `inputs` or state.
      inputs: names of the tensors that each input feeds, by input name.
      outputs: names of the tensors that make up each output, by output name.
      input_infos, output_infos: the TensorInfos of both.
      updates: names of the update ops, for training only.
      losses: names of the regularization losses that depend on the inputs, for training only.
    """

    where: str
    part: Part
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]
    input_infos: Mapping[str, Any]
    output_infos: Mapping[str, Any]
    updates: tuple[str, ...]
    losses: tuple[str, ...]


def plan_signature(variant: Variant, name: str, *, training: bool) -> SignaturePlan:
    """Plan a signature; done once for each.

    Args:
      variant: the graph variant.
      name: one of its signatures.
      training: whether the update ops, and the losses that depend on the inputs, go with it.

    Raises:
      CorruptModuleError: the graph contradicts itself or the signature.
      UnknownOpError: the signature needs an op that this TensorFlow does not know.
    """
    key = ("plan", name, training)
    if key not in variant.memo:
        with blame_module(_where(variant, name)):
            variant.memo[key] = _plan(variant, name, training)
    plan: SignaturePlan = variant.memo[key]
    return plan


def input_losses(variant: Variant) -> tuple[list[str], list[str]]:
    """Return the regularization losses, as tensor names: those that need only state, and those that need inputs.

    An activity regularizer is of the second kind: it can be computed only where the module is applied.
    """
    graph = index_variant(variant)
    losses = [tensor_name(name) for name in variant.collection("regularization_losses")]
    unfed = _need_unfed(graph, set())
    free = [loss for loss in losses if node_of(graph.value(loss)) not in unfed]
    return free, [loss for loss in losses if loss not in free]


def _plan(variant: Variant, name: str, training: bool) -> SignaturePlan:
    graph = index_variant(variant)
    signature = variant.signatures[name]
    inputs = {key: tensor_names(info) for key, info in sorted(signature.inputs.items())}
    outputs = {key: tuple(map(graph.value, tensor_names(info))) for key, info in sorted(signature.outputs.items())}
    cut = {tensor for tensors in inputs.values() for tensor in tensors}
    updates, losses = _for_training(variant, graph, cut) if training else ((), ())
    fetched = [tensor for tensors in outputs.values() for tensor in tensors if tensor not in cut]
    roots = {node_of(name) for name in (*fetched, *updates, *losses)} - graph.state
    return SignaturePlan(
        where=_where(variant, name),
        part=take_part(graph, sorted(roots), cut=cut, state=graph.state),
        inputs=inputs,
        outputs=outputs,
        input_infos=dict(signature.inputs),
        output_infos=dict(signature.outputs),
        updates=updates,
        losses=losses,
    )


def _where(variant: Variant, name: str) -> str:
    return f"the signature {name!r} of {variant.where}"


def _for_training(variant: Variant, graph: VariantGraph, cut: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the update ops and the losses that can run once the signature's inputs are fed.

    Those that need another signature's inputs could only fail; those that need no input at all (a step counter)
    belong to each application too, as they did in tensorflow_hub.
    """
    unfed = _need_unfed(graph, cut)
    updates = dict.fromkeys(node_of(name) for name in variant.collection("update_ops"))
    losses = map(graph.value, input_losses(variant)[1])
    return (
        tuple(update for update in updates if update not in unfed),
        tuple(loss for loss in losses if node_of(loss) not in unfed),
    )


def _need_unfed(graph: VariantGraph, cut: set[str]) -> set[str]:
    """Return the names of the nodes that cannot run, because they need a placeholder that is not fed."""
    pending = [node.name for node in graph.nodes.values() if node.op in _UNFED and f"{node.name}:0" not in cut]
    if not pending:
        return set()
    consumers: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes.values():
        for given in node.input:
            source, index = split_input(given.removeprefix("^"))
            if source not in graph.state and f"{source}:{index}" not in cut:
                consumers[source].append(node.name)
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(consumers[name])
    return found
