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
from modhub.core.contexts import recreate_contexts
from modhub.core.description import ModuleDescription, Variant
from modhub.core.functions import uniquely_named
from modhub.core.graph import VariantGraph, index_variant
from modhub.core.part import Part, take_part
from modhub.core.plan import input_losses
from modhub.core.tensorflow_errors import blame_module
from modhub.core.variables import ModuleVariable, variable_names
from modhub.format import ASSETS, Bundle
from modhub.format.names import node_of, tensor_name

__all__ = ["GraphState", "check_entry", "create_state"]

_RESTORE = "checkpoint_initializer"
_unique = itertools.count()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GraphState:
    """A module's state in a graph.

    Attributes:
      graph: where it lives.
      scope: the absolute name scope that its ops are in.
      tensors: handles and asset paths, by the names that they have in the variant's graph.
      variables: what the variant says of each variable, and the variable; parts of a partitioned one are apart.
      functions: what was made of plans for functions, and for saving; kept for the next call.
    """

    graph: tf.Graph
    scope: str
    tensors: Mapping[str, tf.Tensor]
    variables: tuple[tuple[ModuleVariable, tf.Variable], ...]
    functions: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)

    def read(self, variable: ModuleVariable) -> tf.Tensor:
        """Return the tensor that reads a variable; there is one for each, so none is added."""
        return self.graph.get_tensor_by_name(f"{self.scope}/{variable.read}")

    def variable_map(self) -> dict[str, Any]:
        """Return the variables by the name that they have in a checkpoint; a partitioned one as a list of parts."""
        found: dict[str, Any] = {}
        for described, variable in sorted(self.variables, key=lambda each: each[0].extent or ()):
            if described.extent is None:
                found[described.key] = variable
            else:
                found.setdefault(described.key, []).append(variable)
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
    with blame_module(f"the state of {variant.where}"):
        return _create(module, variant, scope, trainable)


def _create(module: ModuleDescription, variant: Variant, scope: str, trainable: bool) -> GraphState:
    graph = tf.compat.v1.get_default_graph()
    index = index_variant(variant)
    losses = [index.value(loss) for loss in input_losses(variant)[0]] if trainable else []
    definitions = _definitions(variant, index)
    graph_def, part = _state_graph(module, variant, index, definitions, losses, scope)
    names = {node.name for node in graph_def.node}
    if names:
        with tf.control_dependencies(None):
            tf.import_graph_def(uniquely_named(graph_def), name=f"{scope}/")
            recreate_contexts(graph, part.contexts, part.frames, {}, scope)
    tensors = {f"{name}:0": graph.get_tensor_by_name(f"{scope}/{name}:0") for name in index.state if name in names}
    variables = tuple(
        (index.variables[name], _tensorflow.variable_from_def(definition, scope))
        for name, definition in definitions.items()
    )
    for _, variable in variables:
        if variable.initial_value is not None:
            variable.initial_value.set_shape(variable.shape)  # RestoreV2 knows none
    state = GraphState(graph=graph, scope=scope, tensors=tensors, variables=variables)
    _add_collections(state, variant, scope, trainable=trainable, losses=losses)
    return state


def _state_graph(
    module: ModuleDescription,
    variant: Variant,
    index: VariantGraph,
    definitions: Mapping[str, Any],
    losses: Iterable[str],
    scope: str,
) -> tuple[Any, Part]:
    """Return the GraphDef of a variant's state, and the part of the variant's graph that is in it.

    Where weights are restored, `definitions` are told from what.
    """
    roots = {node_of(name) for name in variant.collection("table_initializer")}
    roots |= index.state | {node_of(loss) for loss in losses}
    restored: set[str] = set()
    graph_def = graph_pb2.GraphDef(versions=index.versions)
    if module.weights is not None:
        restored = _restore(graph_def, definitions, index, module.weights)
    else:
        for definition in definitions.values():
            wanted = (definition.initializer_name, definition.initial_value_name, definition.snapshot_name)
            roots |= {node_of(name) for name in wanted if name}
    part = take_part(index, sorted(roots - restored), cut=set(), state=frozenset(restored))
    graph_def.library.CopyFrom(part.graph_def.library)
    graph_def.node.extend(part.graph_def.node)
    _add_reads(graph_def, definitions, index)
    assets = variant.assets()
    for node in graph_def.node:
        if node.op == "VarHandleOp" or (node.attr["shared_name"].s if "shared_name" in node.attr else b""):
            node.attr["shared_name"].s = _shared_name(node, scope).encode()
        elif node.op == "Const" and f"{node.name}:0" in assets and module.directory is not None:
            path = module.directory / ASSETS / assets[f"{node.name}:0"]
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(path)))
    return graph_def, part


def _definitions(variant: Variant, index: VariantGraph) -> dict[str, Any]:
    """Return VariableDefs for resource variables whose ops are named as in the variant's graph."""
    # Before TF 1.13 VariableDefs did not say what is trainable; the collection always does.
    trained = set(variable_names(variant, tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES))
    found = {}
    for name, variable in index.variables.items():
        new = variable_pb2.VariableDef()
        new.CopyFrom(variable.definition)
        new.is_resource = True
        new.trainable = name in trained
        new.initializer_name = new.initializer_name or f"{name}/Assign"
        new.snapshot_name = variable.read
        found[name] = new
    return found


def _restore(graph_def: Any, definitions: Mapping[str, Any], index: VariantGraph, weights: Bundle) -> set[str]:
    """Add one RestoreV2 and, for each variable, handle, initializer and read; return the names of these nodes."""
    if not definitions:
        return set()
    variables = [index.variables[name] for name in definitions]
    for number, variable in enumerate(variables):
        check_entry(variable, weights)
        definition = definitions[variable.name]
        definition.initial_value_name = f"{_RESTORE}/restore:{number}"
        handle = graph_def.node.add()
        handle.CopyFrom(index.nodes[variable.name])
        handle.device = ""
        handle.attr.pop("_class", None)
        assign = graph_def.node.add(name=node_of(definition.initializer_name), op="AssignVariableOp")
        assign.input.extend([variable.name, definition.initial_value_name])
        read = graph_def.node.add(name=node_of(definition.snapshot_name), op="ReadVariableOp", input=[variable.name])
        for node in (assign, read):
            node.attr["dtype"].type = variable.dtype.as_datatype_enum
    constants = {
        "prefix": str(weights.prefix),
        "tensor_names": [variable.key for variable in variables],
        "shape_and_slices": [variable.slice_spec for variable in variables],
    }
    restore = graph_def.node.add(name=f"{_RESTORE}/restore", op="RestoreV2", device="/device:CPU:0")
    restore.attr["dtypes"].list.type.extend(variable.dtype.as_datatype_enum for variable in variables)
    for name, value in constants.items():
        constant = graph_def.node.add(name=f"{_RESTORE}/{name}", op="Const", device="/device:CPU:0")
        constant.attr["dtype"].type = types_pb2.DT_STRING
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.string))
        restore.input.append(constant.name)
    return {node.name for node in graph_def.node}


def _add_reads(graph_def: Any, definitions: Mapping[str, Any], index: VariantGraph) -> None:
    """Add the read that `tf.graph_util.convert_variables_to_constants` asks for by its name, where there is none."""
    present = {node.name for node in graph_def.node}
    for name in definitions:
        read = f"{name}/Read/ReadVariableOp"
        if read not in present:
            node = graph_def.node.add(name=read, op="ReadVariableOp", input=[name])
            node.attr["dtype"].type = index.variables[name].dtype.as_datatype_enum


def check_entry(variable: ModuleVariable, weights: Bundle) -> None:
    """Hold a variable against what the checkpoint has of it."""
    entry = weights.entries.get(variable.key)
    if entry is None:
        raise errors.CorruptModuleError(
            f"The variable {variable.name!r} is not found in the checkpoint {weights.prefix} (as {variable.key!r}). "
            + errors.accepted(variable.key, weights.entries, "tensors")
        )
    if entry.dtype != variable.dtype.as_datatype_enum or not variable.shape.is_compatible_with(entry.shape):
        raise errors.CorruptModuleError(
            f"The variable {variable.name!r} of shape {variable.shape} and dtype {variable.dtype.name} does not fit "
            f"the checkpoint {weights.prefix}, which has shape {entry.shape} and dtype number {entry.dtype}."
        )


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
    variables = {described.name: variable for described, variable in state.variables}
    for key in (keys.GLOBAL_VARIABLES, keys.MODEL_VARIABLES, keys.TRAINABLE_VARIABLES):
        if key != keys.TRAINABLE_VARIABLES or trainable:
            for name in variable_names(variant, key):
                if name in variables:
                    graph.add_to_collection(key, variables[name])
    for name in variant.collection(keys.TABLE_INITIALIZERS):
        graph.add_to_collection(keys.TABLE_INITIALIZERS, graph.get_operation_by_name(f"{scope}/{node_of(name)}"))
    for name in variant.collection(keys.ASSET_FILEPATHS):
        graph.add_to_collection(keys.ASSET_FILEPATHS, graph.get_tensor_by_name(f"{scope}/{tensor_name(name)}"))
    for name in losses:
        graph.add_to_collection(keys.REGULARIZATION_LOSSES, graph.get_tensor_by_name(f"{scope}/{name}"))
