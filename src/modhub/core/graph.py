"""The graph of a variant, indexed for surgery: nodes by name, without refs, and what of it is state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import control_flow_pb2

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.description import Variant
from modhub.core.refs import rewrite_refs
from modhub.core.tensor_info import tensor_names
from modhub.core.tensorflow_errors import blame_module
from modhub.core.variables import ModuleVariable, parse_variables
from modhub.format.names import node_of, tensor_name

__all__ = ["VariantGraph", "index_variant", "is_state_op"]

_CONTEXTS = {"cond_context": ("cond", "CondContextDef"), "while_context": ("while", "WhileContextDef")}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VariantGraph:
    """A variant's graph.

    Attributes:
      nodes: NodeDefs by name, refs rewritten as resources.
      values: name of a tensor that was a ref -> the tensor that holds its value.
      state: names of the nodes that are state: variables, tables, queues, and constants that name assets.
      variables: those of GLOBAL_VARIABLES, by name ("w").
      contexts: the outermost v1 control-flow contexts, as ("cond" | "while", definition).
      functions: FunctionDefs by name.
      function_gradients: name of a function -> the function that its maker declared as its gradient.
      versions: the VersionDef of the GraphDef.
      where: what messages call it.
      published: whether another process may have made it, so that a number that is registered here is not its own.
    """

    nodes: Mapping[str, Any]
    values: Mapping[str, str]
    state: frozenset[str]
    variables: Mapping[str, ModuleVariable]
    contexts: tuple[tuple[str, Any], ...]
    functions: Mapping[str, Any]
    function_gradients: Mapping[str, str]
    versions: Any
    where: str
    published: bool

    def value(self, tensor: str) -> str:
        """Return the tensor to use where `tensor` is wanted as a value."""
        return self.values.get(tensor, tensor)


def index_variant(variant: Variant) -> VariantGraph:
    """Return the indexed graph of a variant; the work is done once per variant.

    Raises:
      CorruptModuleError: the graph, or a collection that describes it, does not parse or contradicts itself.
    """
    if "graph" not in variant.memo:
        with blame_module(variant.where):
            variant.memo["graph"] = _index(variant)
    graph: VariantGraph = variant.memo["graph"]
    return graph


def is_state_op(op: str) -> bool:
    """Tell whether an op makes something that outlives a step: a variable, a table, a queue, an iterator."""
    definition = _tensorflow.op_def(op)
    return bool(
        definition is not None
        and definition.is_stateful
        and op != "TemporaryVariable"  # lives for one step
        and not definition.input_arg
        and len(definition.output_arg) == 1
        and (definition.output_arg[0].type == types_pb2.DT_RESOURCE or definition.output_arg[0].is_ref)
    )


def _index(variant: Variant) -> VariantGraph:
    graph_def = variant.meta_graph.graph_def
    nodes = {node.name: node for node in graph_def.node}
    if len(nodes) != len(graph_def.node):
        raise errors.CorruptModuleError(f"In {variant.where} two nodes have the same name.")
    contexts = _contexts(variant)
    rewrite = rewrite_refs(nodes, _fetched(variant))
    if rewrite is not None:
        nodes = rewrite.nodes
        contexts = tuple((kind, _with_reads(kind, definition, rewrite.reads)) for kind, definition in contexts)
    kinds = {op for op in {node.op for node in nodes.values()} if is_state_op(op)}
    state = {node.name for node in nodes.values() if node.op in kinds}
    assets = {node_of(name) for name in variant.collection("asset_filepaths")}
    return VariantGraph(
        nodes=nodes,
        values=rewrite.values if rewrite else {},
        state=frozenset(state | (assets & nodes.keys())),
        variables=parse_variables(variant, nodes),
        contexts=contexts,
        functions={function.signature.name: function for function in graph_def.library.function},
        function_gradients={each.function_name: each.gradient_func for each in graph_def.library.gradient},
        versions=graph_def.versions,
        where=variant.where,
        published=variant.source is not None,
    )


def _fetched(variant: Variant) -> Iterable[str]:
    """Yield the tensors that a collection or a signature wants as values."""
    for signature in variant.signatures.values():
        for info in signature.outputs.values():
            yield from tensor_names(info)
    for name in variant.collection("regularization_losses"):
        yield tensor_name(name)


def _contexts(variant: Variant) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (kind, getattr(control_flow_pb2, message).FromString(item))
        for collection, (kind, message) in _CONTEXTS.items()
        for item in variant.collection(collection)
    )


def _with_reads(kind: str, definition: Any, reads: Mapping[str, str]) -> Any:
    """Add the reads that stand for refs to the contexts of the ops that they were added for."""
    new = type(definition)()
    new.CopyFrom(definition)
    _add_reads(new, reads)
    return new


def _add_reads(definition: Any, reads: Mapping[str, str]) -> None:
    inside = {node_of(name) for name in definition.values_def.values}
    definition.values_def.values.extend(f"{read}:0" for read, consumer in reads.items() if consumer in inside)
    for nested in definition.nested_contexts:
        _add_reads(getattr(nested, nested.WhichOneof("ctxt")), reads)
