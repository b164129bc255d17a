"""The private TensorFlow symbols that modhub needs, each with its reason.

Tried on TensorFlow 2.18 to 2.21. Those of feature columns are in `columns/_tensorflow.py`; nothing else in modhub
imports from `tensorflow.python`.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, types_pb2
from tensorflow.core.protobuf import struct_pb2
from tensorflow.python.eager import context
from tensorflow.python.framework import function_def_to_graph, op_def_registry
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops import (
    cond_v2,
    control_flow_ops,
    control_flow_util,
    handle_data_util,
    resource_variable_ops,
    while_v2,
)
from tensorflow.python.saved_model import nested_structure_coder

__all__ = [
    "FuncGraph",
    "ReusableModule",
    "call_flat",
    "capture",
    "colocate",
    "concrete_functions",
    "context_from_def",
    "decode_type_spec",
    "describe_variables",
    "eager_mode",
    "encode_type_spec",
    "enter_context",
    "functions_called",
    "graphs_around",
    "in_xla_context",
    "inline_call",
    "is_stateful",
    "keyword_function",
    "named_variable",
    "needs_host",
    "op_def",
    "run_always",
    "runs_stateful_ops_by_itself",
    "set_frame",
    "set_trainable",
    "variable_from_def",
    "watch_variable",
]

_LOOPS = frozenset({"While", "StatelessWhile"})
_BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
# What, in the body of a loop or conditional, may pass a variable on to another function.
_PASSING_ON = _LOOPS | _BRANCHES | {"PartitionedCall", "StatefulPartitionedCall"}
# What gives out the handle of a variable as it came in. Without NextIteration the chain of them has an end.
_IDENTITIES = frozenset({"Identity", "Switch", "Merge", "Enter", "Exit"})
# Functions that call one another can make any number of bodies of a few.
_MOST_BODIES = 1000


def op_def(name: str) -> Any:
    """Return the OpDef that this process knows under `name`, or None (the public API lists none)."""
    return op_def_registry.get(name)


def is_stateful(name: str) -> bool:
    """Tell whether an op reads or writes what outlives it, or draws random numbers."""
    definition = op_def(name)
    return definition is not None and bool(definition.is_stateful)


def call_flat(function: Any, tensors: list[tf.Tensor]) -> Any:
    """Call a ConcreteFunction on tensors of the right dtypes; the public way spends 40 us on looking at them again."""
    return function._call_flat(tensors, function.captured_inputs)


def watch_variable(graph: FuncGraph, variable: tf.Variable) -> None:
    """Tell a function that it uses a variable, so that tapes watch it; reading it would tell, and add an op."""
    graph.watch_variable(variable)


def needs_host(node: Any) -> bool:
    """Tell whether XLA cannot compile a node: it handles strings or tables, or calls back into Python."""
    definition = op_def(node.op)
    if definition is None:
        return False
    arguments = (*definition.input_arg, *definition.output_arg)
    types = {argument.type for argument in arguments}
    types |= {node.attr[argument.type_attr].type for argument in arguments if argument.type_attr in node.attr}
    return node.op.startswith(("LookupTable", "PyFunc", "EagerPyFunc")) or types_pb2.DT_STRING in types


def set_trainable(variable: tf.Variable, value: bool) -> None:
    """Make a variable trainable, or not, after it was made; Keras does the same."""
    for component in getattr(variable, "values", None) or (variable,):  # of a distributed one, that of each replica
        component._trainable = value


class ReusableModule(tf.Module, abc.ABC):
    """A `tf.Module` that says itself what a SavedModel of it has, beside what is tracked."""

    @abc.abstractmethod
    def saved_attributes(self) -> dict[str, Any]:
        """Return tf.functions, and lists of variables and functions, by attribute name."""

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = dict(super()._trackable_children(save_type, **kwargs))
        if save_type == "savedmodel":
            holder = tf.__internal__.tracking.AutoTrackable()
            for name, value in self.saved_attributes().items():
                setattr(holder, name, value)
            children.update(holder._trackable_children(save_type, **kwargs))
        return children


def keyword_function(function: Callable[..., Any], specs: Mapping[str, tf.TensorSpec]) -> Any:
    """Return a ConcreteFunction of keyword tensors whose names may be no names of Python.

    This is how `tf.saved_model.load` makes the signatures of a TF1 SavedModel.
    """

    def flat(*tensors: tf.Tensor) -> Any:
        return function(**dict(zip(specs, tensors, strict=True)))

    unnamed = [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs.values()]
    concrete = tf.compat.v1.wrap_function(flat, unnamed)
    concrete._arg_keywords = list(specs)
    concrete._num_positional_args = int(len(specs) == 1)
    return concrete


def named_variable(value: tf.Tensor, name: str, **options: Any) -> tf.Variable:
    """Make a `tf.Variable`, and give it its name afterwards.

    The name is an attribute of the op that makes the handle, and TensorFlow makes a new kernel for each set of
    attributes: under a name of its own a variable takes 0.8 ms, under one that another had 0.1 ms.
    """
    variable = tf.Variable(value, name="variable", **options)
    variable._handle_name = f"{name}:0"
    return variable


def in_xla_context(graph: tf.Graph) -> bool:
    """Tell whether a graph is traced for `jit_compile=True`."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def variable_from_def(definition: Any, scope: str) -> tf.Variable:
    """Make the variable of a VariableDef (`v1.Variable.from_proto` always makes a ref variable)."""
    variable = resource_variable_ops.ResourceVariable.from_proto(definition, import_scope=scope)
    # What from_proto forgets, and optimizers of Keras 2 ask each variable for.
    variable._distribute_strategy = None
    return variable


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


def run_always(graph: FuncGraph, ops: Sequence[tf.Operation]) -> None:
    """Make ops run with a function, whichever of its results, or of its intermediate ones, are used."""
    graph.control_outputs.extend(ops)


def runs_stateful_ops_by_itself(graph: tf.Graph) -> bool:
    """Tell whether a graph adds automatic control dependencies, as that of a `tf.function` does."""
    return bool(graph._add_control_dependencies)


def concrete_functions(function: Any) -> list[Any]:
    """Return the traces of a `tf.function`; the public API prints them, and returns none."""
    return list(function._list_all_concrete_functions())


def eager_mode() -> contextlib.AbstractContextManager[None]:
    """Execute eagerly, also inside of a graph."""
    return context.eager_mode()  # type: ignore[no-any-return]


def decode_type_spec(definition: Any) -> tf.TypeSpec:
    """Return the TypeSpec of a TypeSpecProto (that of a ragged tensor, say)."""
    return nested_structure_coder.decode_proto(struct_pb2.StructuredValue(type_spec_value=definition))


def encode_type_spec(spec: tf.TypeSpec) -> Any:
    """Return the TypeSpecProto of a TypeSpec."""
    return nested_structure_coder.encode_structure(spec).type_spec_value


def describe_variables(ops: Iterable[tf.Operation]) -> None:
    """Say of which type and shape the variables are that imported loops and conditionals use.

    TensorFlow keeps it beside the graph, in Python objects too, where no import brings it back; gradients that need
    zeros for a variable fail without it. Loops give out the handles of their variables. The gradient of an imported
    loop or conditional builds the graphs of its bodies anew from their definitions, unless they hang on the op, as
    they do where it was built; so those that have loops, conditionals or calls inside, which pass variables on, are
    built here.
    """
    pending = list(ops)
    built = 0
    while pending:
        op = pending.pop()
        if op.type not in _LOOPS | _BRANCHES or all(tensor.dtype != tf.resource for tensor in op.inputs):
            continue
        if op.type in _LOOPS:
            _describe(op.outputs, op.inputs)
        inside = [node.op for name in _bodies(op) for node in _function_def(op.graph, name).node_def]
        if not _PASSING_ON.isdisjoint(inside) and built < _MOST_BODIES:
            for graph in _body_graphs(op):
                pending += graph.get_operations()
                built += 1


def _describe(tensors: Iterable[tf.Tensor], origins: Iterable[tf.Tensor]) -> None:
    """Say of handles of variables what is known of those that they come from."""
    for tensor, origin in zip(tensors, origins, strict=True):
        handle_data_util.copy_handle_data(_handle_origin(origin), tensor)


def _handle_origin(tensor: tf.Tensor) -> tf.Tensor:
    """Return the tensor that a variable's handle was before loops and the like passed it on."""
    while tensor.dtype == tf.resource and tensor.op.type in _LOOPS | _IDENTITIES:
        tensor = tensor.op.inputs[tensor.value_index if tensor.op.type in _LOOPS else 0]
    return tensor


def _bodies(op: tf.Operation) -> list[str]:
    """Return the names of the functions that a loop or conditional runs."""
    if op.type in _LOOPS:
        functions = [op.get_attr("cond"), op.get_attr("body")]
    elif op.type in ("If", "StatelessIf"):
        functions = [op.get_attr("then_branch"), op.get_attr("else_branch")]
    else:
        functions = op.get_attr("branches")
    return [function.name for function in functions]


def _body_graphs(op: tf.Operation) -> list[FuncGraph]:
    """Build the graphs of the functions that a loop or conditional runs, and hang them on the op."""
    if op.type in _LOOPS:
        names = ["_cond_graph", "_body_graph"]
        graphs = [while_v2._get_graph(op, name, f"_{name}_graph") for name in ("cond", "body")]
    else:
        graphs = list(cond_v2.get_func_graphs(op))
        names = [f"_branch_graph_{index}" for index in range(len(graphs))]
        if op.type in ("If", "StatelessIf"):
            names = ["_true_graph", "_false_graph"]
    passed = op.inputs if op.type in _LOOPS else op.inputs[1:]
    for name, graph in zip(names, graphs, strict=True):
        _describe(graph.inputs, passed)
        setattr(op, name, graph)
    return graphs


def inline_call(op: tf.Operation, arguments: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Import the body of the function that an op calls into the current graph."""
    graph = tf.compat.v1.get_default_graph()
    _add_functions(graph, op)
    fdef = _function_def(op.graph, op.get_attr("f").name)
    graph_def, nested_to_flat = function_def_to_graph.function_def_to_graph_def(fdef)
    names = [argument.name for argument in fdef.signature.input_arg]
    del graph_def.node[: len(names)]  # the placeholders of the arguments
    used = {given.split(":")[0] for node in graph_def.node for given in node.input}
    nodes = [node.name for node in graph_def.node]
    results = [nested_to_flat[fdef.ret[argument.name]] for argument in fdef.signature.output_arg]
    tensors = [result for result in results if result.split(":")[0] not in names]
    imported = tf.import_graph_def(
        graph_def,
        input_map={f"{name}:0": tensor for name, tensor in zip(names, arguments, strict=True) if name in used},
        return_elements=[*nodes, *tensors],
        name="",
    )
    describe_variables(imported[: len(nodes)])
    feed = dict(zip((f"{name}:0" for name in names), arguments, strict=True))
    body = iter(imported[len(nodes) :])
    return [feed[result] if result in feed else next(body) for result in results]


def _add_functions(graph: tf.Graph, op: tf.Operation) -> None:
    """Make the functions that an op of any graph calls known to another, which may not be inside the op's."""
    missing = graph_pb2.GraphDef()
    for function in functions_called(op):
        name = function.signature.name
        if not function_def_to_graph.is_function(name, graph):
            missing.library.function.add().CopyFrom(function)
            declared = getattr(_function(op.graph, name), "grad_func_name", None)
            if declared:
                missing.library.gradient.add(function_name=name, gradient_func=declared)
    tf.import_graph_def(missing, name="")


def functions_called(op: tf.Operation) -> list[Any]:
    """Return the FunctionDefs that an op calls, directly or not, and the gradients declared for them."""
    found: dict[str, Any] = {}
    pending = [op.get_attr("f").name]
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = _function_def(op.graph, name)
            declared = getattr(_function(op.graph, name), "grad_func_name", None)
            pending += [declared] if declared else []
            pending += [node.op for node in found[name].node_def if op_def(node.op) is None]
            attrs = [value for node in found[name].node_def for value in node.attr.values()]
            pending += [func.name for value in attrs for func in (value.func, *value.list.func) if func.name]
    return list(found.values())


def _function(graph: tf.Graph, name: str) -> Any | None:
    """Return the function that an op of a graph calls: functions are kept by the graph around a function."""
    found = (each._get_function(name) for each in graphs_around(graph))
    return next((function for function in found if function is not None), None)


def _function_def(graph: tf.Graph, name: str) -> Any:
    """Return the FunctionDef that an op of a graph calls."""
    function = _function(graph, name)
    if function is None:
        return context.get_function_def(name)
    return getattr(function, "cached_definition", None) or function.definition
