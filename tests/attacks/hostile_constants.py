"""Hostile modules whose constants hold graphs, or more than is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tests.attacks.hostile_modules import edit, harmful_graph, hostile, put, save_v1, v1, varint, write

raw = tf.raw_ops


@hostile("signature")
def dataset_from_a_graph(directory: Path, trace: Path) -> None:
    with tf.Graph().as_default() as graph:
        with tf.control_dependencies([write(trace)]):
            stop = tf.constant(3, tf.int64)
        data = raw.RangeDataset(start=0, stop=stop, step=1, output_types=[tf.int64], output_shapes=[[]])
        tf.identity(data, name="result")
    hidden = graph.as_graph_def()
    hidden.node.add(name="ret", op="_Retval", input=["result"]).attr["T"].type = tf.variant.as_datatype_enum
    hidden.node[-1].attr["index"].i = 0

    def make() -> tf.Tensor:
        data = raw.DatasetFromGraph(graph_def=hidden.SerializeToString())
        return raw.DatasetCardinality(input_dataset=data)

    save_v1(directory, make)


def _hidden(directory: Path, payload: bytes, *, packed: bool = False, padding: int = 0) -> None:
    values = [payload, b"z" * padding] if padding else [payload]

    def change(meta_graph: Any) -> None:
        tensor = next(node for node in meta_graph.graph_def.node if node.name == "payload").attr["value"].tensor
        content = b"".join(varint(len(each)) for each in tensor.string_val) + b"".join(tensor.string_val)
        tensor.ClearField("string_val")
        tensor.tensor_content = content

    save_v1(directory, lambda: tf.identity(tf.constant(values, name="payload")))
    if packed:
        edit(directory, change)


def _as_meta_graph(graph_def: Any) -> Any:
    return v1.MetaGraphDef(graph_def=graph_def)


def _as_saved_model(graph_def: Any) -> Any:
    return SavedModel(meta_graphs=[_as_meta_graph(graph_def)])


@hostile()
def graph_in_a_constant(directory: Path, trace: Path) -> None:
    _hidden(directory, harmful_graph(trace).SerializeToString())


@hostile()
def graph_in_packed_strings(directory: Path, trace: Path) -> None:
    _hidden(directory, harmful_graph(trace).SerializeToString(), packed=True)


@hostile()
def graph_in_a_large_constant(directory: Path, trace: Path) -> None:
    _hidden(directory, harmful_graph(trace).SerializeToString(), padding=100_000)


@hostile()
def graph_in_large_packed_strings(directory: Path, trace: Path) -> None:
    _hidden(directory, harmful_graph(trace).SerializeToString(), padding=100_000, packed=True)


@hostile()
def meta_graph_in_a_constant(directory: Path, trace: Path) -> None:
    _hidden(directory, _as_meta_graph(harmful_graph(trace)).SerializeToString())


@hostile()
def saved_model_in_a_constant(directory: Path, trace: Path) -> None:
    _hidden(directory, _as_saved_model(harmful_graph(trace)).SerializeToString())


@hostile()
def graph_in_a_graph_in_a_constant(directory: Path, trace: Path) -> None:
    with tf.Graph().as_default() as outer:
        tf.constant(harmful_graph(trace).SerializeToString())
    _hidden(directory, outer.as_graph_def().SerializeToString())


@hostile()
def graph_with_a_group_in_a_constant(directory: Path, trace: Path) -> None:
    """Protobuf skips a group of an unknown number."""
    _hidden(directory, varint(99 << 3 | 3) + varint(99 << 3 | 4) + harmful_graph(trace).SerializeToString())


@hostile()
def graph_too_large_in_a_constant(directory: Path, trace: Path) -> None:
    many = b"".join(put(1, put(1, b"n%d" % index) + put(2, b"NoOp")) for index in range(100_001))
    _hidden(directory, many + harmful_graph(trace).SerializeToString())


@hostile()
def graph_in_a_constant_of_a_function(directory: Path, trace: Path) -> None:
    payload = harmful_graph(trace).SerializeToString()
    body = tf.function(lambda: tf.identity(tf.constant(payload)), autograph=False)
    save_v1(directory, lambda: body())


@hostile()
def constant_bomb(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.identity(v1.constant(0.0, shape=[2, 2])))
    edit(directory, lambda meta_graph: _inflate(meta_graph, 1))


@hostile()
def large_constant_bomb(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: tf.identity(v1.constant(0.0, shape=[2, 2])))
    edit(directory, lambda meta_graph: _inflate(meta_graph, 30_000))


def _inflate(meta_graph: Any, values: int) -> None:
    for node in meta_graph.graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            tensor = node.attr["value"].tensor
            tensor.ClearField("tensor_content")
            del tensor.float_val[:], tensor.tensor_shape.dim[:]
            tensor.float_val.extend([0.0] * values)
            tensor.tensor_shape.dim.add(size=10**11)
