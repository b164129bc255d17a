"""The least that loading a module takes with TensorFlow alone: no checks, no collections, nothing to train or export.

It parses `saved_model.pb`, imports by hand only the nodes that the default signature needs, restores their variables
by one RestoreV2, and runs. A library gets below that only by another way into TensorFlow. It knows what the benchmark
modules hold, resource variables and tables read from asset files, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Notes, example_input

__all__ = ["Parts", "measure_floor", "read_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A signature, the GraphDefs of the state beneath it and of the rest, tables' initializers, and what to train."""

    signature: Any
    state: Any
    body: Any
    initializers: list[str]
    trainable: set[str]


def measure_floor(tf: Any, module: Path, notes: Notes) -> None:
    """Load the variant without tags, apply its default signature twice, and run it."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        with notes.ops("ops added by Module()", graph), notes.seconds("Module()"):
            parts = read_parts(tf, module)
            loading = _import_state(tf, parts, module)
        inputs = {info.name: v1.placeholder(info.dtype, info.tensor_shape) for info in parts.signature.inputs.values()}
        feed = {value: example_input(value.dtype.name, value.shape) for value in inputs.values()}
        with notes.ops("ops added by first apply", graph), notes.seconds("first apply"):
            output = _apply(tf, parts, inputs)
        with v1.Session() as session:
            with notes.seconds("init"):
                session.run(loading)
            with notes.seconds("first run"):
                value = session.run(output, feed)
            notes.output(value)
            notes.peak_memory("peak memory to first output")
            with notes.ops("ops added by second apply", graph), notes.seconds("second apply"):
                _apply(tf, parts, inputs)
    notes.total_to_first_output()


def read_parts(tf: Any, module: Path) -> Parts:
    """Parse the module, and part what its default signature needs into state and body."""
    from tensorflow.core.framework import variable_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

    saved_model = saved_model_pb2.SavedModel.FromString((module / "saved_model.pb").read_bytes())
    meta_graph = next(variant for variant in saved_model.meta_graphs if not variant.meta_info_def.tags)
    signature = meta_graph.signature_def["default"]
    initializers = list(meta_graph.collection_def["table_initializer"].node_list.value)
    extract = tf.compat.v1.graph_util.extract_sub_graph
    needed = extract(meta_graph.graph_def, [_node(info.name) for info in signature.outputs.values()])
    state = extract(meta_graph.graph_def, initializers)
    held = {node.name for node in state.node}
    state.node.extend(node for node in needed.node if node.op == "VarHandleOp" and node.name not in held)

    paths: dict[str, str] = {}
    for packed in meta_graph.collection_def["saved_model_assets"].any_list.value:
        asset = meta_graph_pb2.AssetFileDef()
        packed.Unpack(asset)
        paths[_node(asset.tensor_info.name)] = str(module / "assets" / asset.filename)
    for node in state.node:
        if node.name in paths:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(paths[node.name]))

    body = type(needed)(versions=needed.versions, library=needed.library)
    replaced = {node.name for node in state.node} | {_node(info.name) for info in signature.inputs.values()}
    body.node.extend(node for node in needed.node if node.name not in replaced)
    for node in body.node:
        node.attr.pop("_class", None)  # a colocation, with a node that may not be here
    trained = map(
        variable_pb2.VariableDef.FromString, meta_graph.collection_def["trainable_variables"].bytes_list.value
    )
    return Parts(
        signature=signature,
        state=state,
        body=body,
        initializers=initializers,
        trainable={_node(variable.variable_name) for variable in trained},
    )


def _import_state(tf: Any, parts: Parts, module: Path) -> list[Any]:
    """Import variables and tables, and return the ops that load them."""
    handles = [node for node in parts.state.node if node.op == "VarHandleOp"]
    returned = [f"{node.name}:0" for node in handles] + parts.initializers
    imported = tf.import_graph_def(parts.state, name="", return_elements=returned)
    values = tf.raw_ops.RestoreV2(
        prefix=str(module / "variables" / "variables"),
        tensor_names=[node.name for node in handles],
        shape_and_slices=[""] * len(handles),
        dtypes=[node.attr["dtype"].type for node in handles],
    )
    assigns = [
        tf.raw_ops.AssignVariableOp(resource=handle, value=value)
        for handle, value in zip(imported[: len(handles)], values, strict=True)
    ]
    return [*assigns, *imported[len(handles) :]]


def _apply(tf: Any, parts: Parts, inputs: dict[str, Any]) -> Any:
    """Import the body over the state, and return the output named default."""
    present = {node.name for node in parts.body.node}
    used = {name for node in parts.body.node for name in node.input if not name.startswith("^")}
    graph = tf.compat.v1.get_default_graph()
    mapped = {
        name: inputs[_tensor(name)] if _tensor(name) in inputs else graph.get_tensor_by_name(_tensor(name))
        for name in used
        if _node(name) not in present
    }
    output = parts.signature.outputs["default"].name
    return tf.import_graph_def(parts.body, input_map=mapped, return_elements=[output], name="applied")[0]


def _node(name: str) -> str:
    return name.partition(":")[0]


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"
