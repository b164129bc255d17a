"""The state of a module in a v1 graph: variables, tables and assets, made by one import.

Weights that come from disk are read by one `RestoreV2` that feeds every variable's initializer; those of a module
that was never written come from the initializers of its module_fn.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, types_pb2, variable_pb2

from modhub import errors
from modhub.core import _tensorflow
from modhub.core.description import ModuleDescription, Variant, show_tags
from modhub.core.graph import VariantGraph, index_variant
from modhub.core.names import node_of, tensor_name
from modhub.core.part import take_part
from modhub.core.plan import input_losses
from modhub.format import ASSETS, Bundle

__all__ = ["GraphState", "checkpoint_key", "create_state"]

_RESTORE = "checkpoint_initializer"
_unique = itertools.count()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GraphState:
    """A module's state in a graph.

    Attributes:
      graph: where it lives.
      tensors: handles and asset paths, by the names that they have in the variant's graph.
      variables: by variable name there; the parts of a partitioned variable one by one.
      functions: plans wrapped as functions, kept for the next call.
    """

    graph: tf.Graph
    tensors: Mapping[str, tf.Tensor]
    variables: Mapping[str, tf.Variable]
    functions: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)

    def variable_map(self) -> dict[str, Any]:
        """Return the variables by the name that they have in a checkpoint; a partitioned one as a list of parts."""
        found: dict[str, Any] = {}
        for name, variable in self.variables.items():
            info = variable._get_save_slice_info()
            if info is None:
                found[name] = variable
            else:
                found.setdefault(_unscoped(info.full_name, variable.op.name, name), []).append(variable)
        for parts in found.values():
            if isinstance(parts, list):
                parts.sort(key=lambda part: list(part._get_save_slice_info().var_offset))
        return found


def create_state(module: ModuleDescription, variant: Variant, scope: str, *, trainable: bool) -> GraphState:
    """Create the state of a variant in the default graph, and add it to the graph's collections.

    Args:
      module: where the weights and assets come from.
      variant: one of its variants.
      scope: the absolute name scope, which is free.
      trainable: whether TRAINABLE_VARIABLES and REGULARIZATION_LOSSES get their share.

    Raises:
      CorruptModuleError: the graph contradicts itself or the checkpoint.
      UnknownOpError: the state needs an op that this TensorFlow does not know.
    """
    graph = tf.compat.v1.get_default_graph()
    index = index_variant(variant)
    losses = [index.value(loss) for loss in input_losses(variant)[0]] if trainable else []
    graph_def, definitions = _state_graph(module, variant, index, scope, losses)
    names = {node.name for node in graph_def.node}
    with tf.control_dependencies(None):
        tf.import_graph_def(graph_def, name=f"{scope}/" if graph_def.node else None)
    tensors = {f"{name}:0": graph.get_tensor_by_name(f"{scope}/{name}:0") for name in index.state if name in names}
    variables = {
        name: _tensorflow.variable_from_def(definition, scope) for name, definition in definitions.items()
    }
    state = GraphState(graph=graph, tensors=tensors, variables=variables)
    _add_collections(state, variant, scope, trainable=trainable, losses=losses)
    return state


def checkpoint_key(definition: Any) -> str:
    """Return the name under which a checkpoint holds a variable; parts of one variable share it."""
    if definition.HasField("save_slice_info_def"):
        return str(definition.save_slice_info_def.full_name)
    return node_of(definition.variable_name)


def _state_graph(
    module: ModuleDescription, variant: Variant, index: VariantGraph, scope: str, losses: Iterable[str]
) -> tuple[Any, dict[str, Any]]:
    """Return the GraphDef of a variant's state, and the VariableDefs of its variables."""
    roots = {node_of(name) for name in variant.collection("table_initializer")}
    roots |= index.state | {node_of(loss) for loss in losses}
    definitions = {name: _definition(variable, index) for name, variable in index.variables.items()}
    restored: set[str] = set()
    graph_def = graph_pb2.GraphDef(versions=index.versions)
    if module.weights is not None:
        restored = _restore(graph_def, definitions, index, module.weights)
    else:
        for definition in definitions.values():
            wanted = (definition.initializer_name, definition.initial_value_name, definition.snapshot_name)
            roots |= {node_of(name) for name in wanted if name}
    part = take_part(index, sorted(roots - restored), cut=set(), state=frozenset(restored)).graph_def
    graph_def.library.CopyFrom(part.library)
    graph_def.node.extend(part.node)
    assets = variant.assets()
    for node in graph_def.node:
        if node.op == "VarHandleOp" or (node.attr["shared_name"].s if "shared_name" in node.attr else b""):
            node.attr["shared_name"].s = _shared_name(node, scope).encode()
        elif node.op == "Const" and f"{node.name}:0" in assets and module.directory is not None:
            path = module.directory / ASSETS / assets[f"{node.name}:0"]
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(path)))
    return graph_def, definitions


def _definition(original: Any, index: VariantGraph) -> Any:
    """Return a VariableDef for a resource variable whose ops are named as in the variant's graph."""
    name = node_of(original.variable_name)
    node = index.nodes.get(name)
    if node is None or node.op != "VarHandleOp":
        raise errors.CorruptModuleError(f"The variable {name!r} of the graph's collections is not in the graph.")
    new = variable_pb2.VariableDef()
    new.CopyFrom(original)
    new.is_resource = True
    new.initializer_name = original.initializer_name or f"{name}/Assign"
    new.snapshot_name = index.value(tensor_name(original.snapshot_name or f"{name}/Read/ReadVariableOp"))
    return new


def _restore(graph_def: Any, definitions: Mapping[str, Any], index: VariantGraph, weights: Bundle) -> set[str]:
    """Add one RestoreV2 and, for each variable, handle, initializer and read; return the names of these nodes."""
    if not definitions:
        return set()
    keys, slices, dtypes = [], [], []
    for number, (name, definition) in enumerate(definitions.items()):
        key = checkpoint_key(definition)
        attrs = index.nodes[name].attr
        _check_entry(name, key, definition, attrs, weights)
        keys.append(key)
        slices.append(_slice_spec(definition))
        dtypes.append(attrs["dtype"].type)
        definition.initial_value_name = f"{_RESTORE}/restore:{number}"
        handle = graph_def.node.add()
        handle.CopyFrom(index.nodes[name])
        handle.device = ""
        handle.attr.pop("_class", None)
        assign = graph_def.node.add(name=node_of(definition.initializer_name), op="AssignVariableOp")
        assign.input.extend([name, definition.initial_value_name])
        read = graph_def.node.add(name=node_of(definition.snapshot_name), op="ReadVariableOp", input=[name])
        for node in (assign, read):
            node.attr["dtype"].type = attrs["dtype"].type
    for node, values in (("prefix", str(weights.prefix)), ("tensor_names", keys), ("shape_and_slices", slices)):
        constant = graph_def.node.add(name=f"{_RESTORE}/{node}", op="Const", device="/device:CPU:0")
        constant.attr["dtype"].type = types_pb2.DT_STRING
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values, tf.string))
    restore = graph_def.node.add(name=f"{_RESTORE}/restore", op="RestoreV2", device="/device:CPU:0")
    restore.input.extend(f"{_RESTORE}/{name}" for name in ("prefix", "tensor_names", "shape_and_slices"))
    restore.attr["dtypes"].list.type.extend(dtypes)
    return {node.name for node in graph_def.node}


def _check_entry(name: str, key: str, definition: Any, attrs: Any, weights: Bundle) -> None:
    """Hold a variable against what the checkpoint has of it."""
    where = f"the checkpoint {weights.prefix}"
    entry = weights.entries.get(key)
    if entry is None:
        raise errors.CorruptModuleError(
            f"The variable {name!r} is not found in {where} (as {key!r}). "
            + errors.accepted(key, list(weights.entries)[:20], "tensors (the first 20)")
        )
    shape: tuple[int, ...] | None = tuple(dim.size for dim in attrs["shape"].shape.dim)
    if definition.HasField("save_slice_info_def"):
        shape = tuple(definition.save_slice_info_def.full_shape)
    elif attrs["shape"].shape.unknown_rank or -1 in (shape or ()):
        shape = None
    if entry.dtype != attrs["dtype"].type or (shape is not None and entry.shape != shape):
        raise errors.CorruptModuleError(
            f"The variable {name!r} of shape {shape} and dtype {tf.as_dtype(attrs['dtype'].type).name} does not fit "
            f"{where}, which has shape {entry.shape} and dtype number {entry.dtype}."
        )


def _slice_spec(definition: Any) -> str:
    """Return the slice of a partition as RestoreV2 reads it: "10 4 0,4:0,4"; empty for a whole variable."""
    if not definition.HasField("save_slice_info_def"):
        return ""
    info = definition.save_slice_info_def
    extents = ":".join(f"{start},{length}" for start, length in zip(info.var_offset, info.var_shape, strict=True))
    return " ".join([*map(str, info.full_shape), extents])


def _shared_name(node: Any, scope: str) -> str:
    """Return a name for a resource that no other instance of the module has."""
    name = node.attr["shared_name"].s.decode() if node.op != "VarHandleOp" else node.name
    # Functions of one process share the resources of the eager context, whose graphs do not keep names apart.
    suffix = f"_{next(_unique)}" if tf.compat.v1.get_default_graph().building_function else ""
    return f"{scope}/{name}{suffix}"


def _add_collections(
    state: GraphState, variant: Variant, scope: str, *, trainable: bool, losses: Iterable[str]
) -> None:
    keys = tf.compat.v1.GraphKeys
    graph = state.graph
    trained = _variable_names(variant, keys.TRAINABLE_VARIABLES)
    for key in (keys.GLOBAL_VARIABLES, keys.MODEL_VARIABLES, keys.TRAINABLE_VARIABLES):
        if key != keys.TRAINABLE_VARIABLES or trainable:
            for name in _variable_names(variant, key):
                if name in state.variables:
                    graph.add_to_collection(key, state.variables[name])
    for name, variable in state.variables.items():
        # Before TF 1.13 VariableDefs did not say; the collection always does.
        variable._trainable = name in trained
    for name in variant.collection(keys.TABLE_INITIALIZERS):
        graph.add_to_collection(keys.TABLE_INITIALIZERS, graph.get_operation_by_name(f"{scope}/{node_of(name)}"))
    for name in variant.collection(keys.ASSET_FILEPATHS):
        graph.add_to_collection(keys.ASSET_FILEPATHS, graph.get_tensor_by_name(f"{scope}/{tensor_name(name)}"))
    for name in losses:
        graph.add_to_collection(keys.REGULARIZATION_LOSSES, graph.get_tensor_by_name(f"{scope}/{name}"))


def _variable_names(variant: Variant, key: str) -> list[str]:
    return [
        node_of(variable_pb2.VariableDef.FromString(item).variable_name) for item in variant.collection(key)
    ]


def _unscoped(full_name: str, scoped: str, name: str) -> str:
    """Strip from a partitioned variable's full name the scope that its parts were given."""
    return full_name.removeprefix(scoped.removesuffix(name))
