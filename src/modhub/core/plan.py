"""A signature of a variant as a small, pure program: what applying it adds to a graph."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from modhub.core.description import Variant
from modhub.core.graph import VariantGraph, index_variant
from modhub.core.intermediate import find_tensor
from modhub.core.part import Part, take_part
from modhub.core.tensor_info import ParsedTensorInfo, parse, tensor_names
from modhub.core.tensorflow_errors import blame_module
from modhub.format.names import node_of, split_input, tensor_name

__all__ = [
    "SignaturePlan",
    "input_losses",
    "inputs_with_default",
    "plan_losses",
    "plan_signature",
    "plan_tensors",
]

_UNFED = {"Placeholder", "PlaceholderV2"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignaturePlan:
    """A signature as a program.

    Attributes:
      where: what messages call it.
      part: the nodes to import; what it captures is either in `inputs` or state.
      inputs: names of the tensors that each input feeds, by input name.
      outputs: names of the tensors that make up each output, by output name.
      input_infos, output_infos: what the signature says of both; of an intermediate tensor nothing.
      updates: names of the update ops, for training only.
      losses: names of the regularization losses that depend on the inputs, for training only.
    """

    where: str
    part: Part
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]
    input_infos: Mapping[str, ParsedTensorInfo]
    output_infos: Mapping[str, ParsedTensorInfo]
    updates: tuple[str, ...]
    losses: tuple[str, ...]


def plan_signature(
    variant: Variant,
    name: str,
    *,
    training: bool,
    outputs: tuple[str, ...] | None = None,
    given: frozenset[str] | None = None,
) -> SignaturePlan:
    """Plan a signature; done once for each.

    Args:
      variant: the graph variant.
      name: one of its signatures.
      training: whether the update ops, and the losses that depend on the inputs, go with it.
      outputs: the outputs that are wanted; None means all.
      given: the inputs that are fed; None means all. The others must have defaults: see `inputs_with_default`.

    Raises:
      CorruptModuleError: the graph contradicts itself or the signature.
      UnknownOpError: the signature needs an op that this TensorFlow does not know.
    """

    def make() -> SignaturePlan:
        graph = index_variant(variant)
        signature = variant.signatures[name]
        fed = [key for key in sorted(signature.inputs) if given is None or key in given]
        infos = {key: signature.outputs[key] for key in (sorted(signature.outputs) if outputs is None else outputs)}
        return _plan(
            variant,
            _where(variant, name),
            training=training,
            inputs={key: signature.inputs[key] for key in fed},
            outputs={key: tuple(map(graph.value, tensor_names(info))) for key, info in infos.items()},
            output_infos={key: parse(info) for key, info in infos.items()},
        )

    return _once(variant, ("plan", name, training, outputs, given), _where(variant, name), make)


def plan_tensors(variant: Variant, name: str, tensors: tuple[str, ...], *, training: bool) -> SignaturePlan:
    """Plan tensors of a variant's graph as the outputs of a signature, under their names.

    Raises:
      UnknownOutputError: there is no such tensor, or it has no value outside the loop or branch that it is in, or the
        inputs of the signature do not suffice for it.
    """

    def make() -> SignaturePlan:
        graph = index_variant(variant)
        signature = variant.signatures[name]
        fed = {tensor for info in signature.inputs.values() for tensor in tensor_names(info)}
        return _plan(
            variant,
            _where(variant, name),
            training=training,
            inputs=dict(signature.inputs),
            outputs={tensor: (find_tensor(graph, tensor, _need_unfed(graph, fed)),) for tensor in tensors},
            output_infos={},
        )

    return _once(variant, ("tensors", name, training, tensors), _where(variant, name), make)


def plan_losses(variant: Variant) -> list[SignaturePlan]:
    """Plan the regularization losses that need no input, each as the output "loss" of a plan of its own."""
    graph = index_variant(variant)
    where = f"a regularization loss of {variant.where}"

    def plan(loss: str) -> SignaturePlan:
        outputs = {"loss": (graph.value(loss),)}
        return _plan(variant, where, training=False, inputs={}, outputs=outputs, output_infos={})

    return [_once(variant, ("loss", loss), where, functools.partial(plan, loss)) for loss in input_losses(variant)[0]]


def inputs_with_default(variant: Variant, name: str) -> frozenset[str]:
    """Return the inputs of a signature that need not be given, because the publisher gave them a default."""
    nodes = index_variant(variant).nodes
    return frozenset(
        key
        for key, info in variant.signatures[name].inputs.items()
        if all(
            (node := nodes.get(node_of(tensor))) is not None and node.op == "PlaceholderWithDefault"
            for tensor in tensor_names(info)
        )
    )


def _once(variant: Variant, key: Any, where: str, make: Callable[[], SignaturePlan]) -> SignaturePlan:
    if key not in variant.memo:
        with blame_module(where):
            variant.memo[key] = make()
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


def _plan(
    variant: Variant,
    where: str,
    *,
    training: bool,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, tuple[str, ...]],
    output_infos: Mapping[str, ParsedTensorInfo],
) -> SignaturePlan:
    graph = index_variant(variant)
    fed = {key: tensor_names(info) for key, info in inputs.items()}
    cut = {tensor for tensors in fed.values() for tensor in tensors}
    updates, losses = _for_training(variant, graph, cut) if training else ((), ())
    fetched = [tensor for tensors in outputs.values() for tensor in tensors if tensor not in cut]
    roots = {node_of(name) for name in (*fetched, *updates, *losses)} - graph.state
    return SignaturePlan(
        where=where,
        part=take_part(graph, sorted(roots), cut=cut, state=graph.state),
        inputs=fed,
        outputs=outputs,
        input_infos={key: parse(info) for key, info in inputs.items()},
        output_infos=output_infos,
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
