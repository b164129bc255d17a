"""The private TensorFlow symbols that modhub needs, all of them, each with its reason.

Tried on TensorFlow 2.18 to 2.21. Nothing else in modhub imports from `tensorflow.python`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2
from tensorflow.core.protobuf import struct_pb2
from tensorflow.python.eager import context
from tensorflow.python.framework import function_def_to_graph, op_def_registry
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops import control_flow_ops, resource_variable_ops
from tensorflow.python.saved_model import nested_structure_coder

__all__ = [
    "FuncGraph",
    "capture",
    "colocate",
    "context_from_def",
    "decode_type_spec",
    "encode_type_spec",
    "enter_context",
    "functions_called",
    "graphs_around",
    "inline_call",
    "op_def",
    "runs_stateful_ops_by_itself",
    "set_frame",
    "variable_from_def",
]


def op_def(name: str) -> Any:
    """Return the OpDef that this process knows under `name`, or None (the public API lists none)."""
    return op_def_registry.get(name)


def variable_from_def(definition: Any, scope: str) -> tf.Variable:
    """Make the variable of a VariableDef (`v1.Variable.from_proto` always makes a ref variable)."""
    return resource_variable_ops.ResourceVariable.from_proto(definition, import_scope=scope)


def context_from_def(kind: str, definition: Any) -> Any | None:
    """Recreate a v1 control-flow context around ops that are in the graph (gradients need it).

    Returns:
      The context, if it is an outermost one; others belong to the context around them.
    """
    factory = {"cond": control_flow_ops.CondContext, "while": control_flow_ops.WhileContext}[kind]
    made = factory.from_proto(definition)
    return made if made.outer_context is None else None


def enter_context(graph: tf.Graph, tensor: tf.Tensor) -> tf.Tensor:
    """Bring a tensor into the v1 cond or while loop that is being built, if any."""
    context = graph._get_control_flow_context()
    return tensor if context is None else context.AddValue(tensor)


def set_frame(op: tf.Operation, frame_name: str) -> None:
    """Name the frame of an Enter op: two loops of one name would be taken for one."""
    op._set_attr("frame_name", attr_value_pb2.AttrValue(s=frame_name.encode()))


def colocate(op: tf.Operation, groups: Sequence[bytes], device: str) -> None:
    """Place an imported op with others; `tf.colocate_with` only reaches ops created in Python."""
    op._set_attr("_class", attr_value_pb2.AttrValue(list=attr_value_pb2.AttrValue.ListValue(s=groups)))
    if device:
        op._set_device(device)


def capture(graph: FuncGraph, tensor: tf.Tensor) -> tf.Tensor:
    """Make a tensor of an outer graph an input of a function; `import_graph_def` does not do it."""
    return graph.capture(tensor)


def graphs_around(graph: tf.Graph) -> list[tf.Graph]:
    """Return a graph and, if it is a function's, those around it, innermost first."""
    found = [graph]
    while isinstance(found[-1], FuncGraph):
        found.append(found[-1].outer_graph)
    return found


def runs_stateful_ops_by_itself(graph: tf.Graph) -> bool:
    """Tell whether a graph adds automatic control dependencies, as that of a `tf.function` does."""
    return bool(graph._add_control_dependencies)


def decode_type_spec(definition: Any) -> tf.TypeSpec:
    """Return the TypeSpec of a TypeSpecProto (that of a ragged tensor, say)."""
    return nested_structure_coder.decode_proto(struct_pb2.StructuredValue(type_spec_value=definition))


def encode_type_spec(spec: tf.TypeSpec) -> Any:
    """Return the TypeSpecProto of a TypeSpec."""
    return nested_structure_coder.encode_structure(spec).type_spec_value


def inline_call(op: tf.Operation, arguments: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Import the body of the function that an op calls into the current graph."""
    fdef = _function_def(op.graph, op.get_attr("f").name)
    graph_def, nested_to_flat = function_def_to_graph.function_def_to_graph_def(fdef)
    names = [argument.name for argument in fdef.signature.input_arg]
    del graph_def.node[: len(names)]  # the placeholders of the arguments
    used = {given.split(":")[0] for node in graph_def.node for given in node.input}
    results = [nested_to_flat[fdef.ret[argument.name]] for argument in fdef.signature.output_arg]
    imported = tf.import_graph_def(
        graph_def,
        input_map={f"{name}:0": tensor for name, tensor in zip(names, arguments, strict=True) if name in used},
        return_elements=[result for result in results if result.split(":")[0] not in names],
        name="",
    )
    feed = dict(zip((f"{name}:0" for name in names), arguments, strict=True))
    body = iter(imported)
    return [feed[result] if result in feed else next(body) for result in results]


def functions_called(op: tf.Operation) -> list[Any]:
    """Return the FunctionDefs that an op calls, directly or not."""
    found: dict[str, Any] = {}
    pending = [op.get_attr("f").name]
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = _function_def(op.graph, name)
            attrs = [value for node in found[name].node_def for value in node.attr.values()]
            pending += [func.name for value in attrs for func in (value.func, *value.list.func) if func.name]
    return list(found.values())


def _function_def(graph: tf.Graph, name: str) -> Any:
    """Return the FunctionDef that an op of a graph calls: functions are kept by the graph around a function."""
    while True:
        definition = graph._get_function(name)
        if definition is not None:
            return getattr(definition, "cached_definition", None) or definition.definition
        if not isinstance(graph, FuncGraph):
            return context.get_function_def(name)
        graph = graph.outer_graph
