"""Hostile modules whose bytes a careless reader reads otherwise than TensorFlow does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tests.attacks.hostile_modules import (
    after,
    append,
    edit,
    harmful_graph,
    hostile,
    put,
    save_v1,
    v1,
    varint,
    write,
    x,
)

NODE, LIBRARY = 1, 2  # of a GraphDef


def _rewrite(directory: Path, name: str, change: Any) -> None:
    """Change the bytes of one node, which is taken out and put back at the end of the graph."""
    found: list[bytes] = []

    def take(meta_graph: Any) -> None:
        nodes = meta_graph.graph_def.node
        index = next(index for index, node in enumerate(nodes) if node.name == name)
        found.append(nodes[index].SerializeToString())
        del nodes[index]

    edit(directory, take)
    append(directory, put(NODE, change(found[0])))


def _harmless_then_signature(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: after(write(trace)))


def _write_node(directory: Path) -> str:
    saved_model = SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    return next(node.name for node in saved_model.meta_graphs[0].graph_def.node if node.op == "WriteFile")


@hostile("signature")
def op_stored_twice(directory: Path, trace: Path) -> None:
    """The last one counts."""
    _harmless_then_signature(directory, trace)
    _rewrite(directory, _write_node(directory), lambda data: put(2, b"NoOp") + data)


@hostile("signature")
def graph_in_two_pieces(directory: Path, trace: Path) -> None:
    """Protobuf joins them; the second has the node that does harm."""
    _harmless_then_signature(directory, trace)
    _rewrite(directory, _write_node(directory), lambda data: data)


@hostile("signature")
def unknown_fields(directory: Path, trace: Path) -> None:
    _harmless_then_signature(directory, trace)
    unknown = varint(1000 << 3) + varint(5) + put(1001, b"unknown")
    _rewrite(directory, _write_node(directory), lambda data: unknown + data + unknown)


@hostile("signature")
def groups(directory: Path, trace: Path) -> None:
    """Protobuf skips a group of an unknown number."""
    _harmless_then_signature(directory, trace)
    append(directory, varint(99 << 3 | 3) + varint(99 << 3 | 4))


@hostile("signature")
def padded_tags(directory: Path, trace: Path) -> None:
    """The number of a field in five bytes where one is enough."""
    _harmless_then_signature(directory, trace)
    node: list[bytes] = []
    _rewrite(directory, _write_node(directory), lambda data: node.append(data) or data)
    path = directory / "saved_model.pb"
    meta_graph = SavedModel.FromString(path.read_bytes()).meta_graphs[0]
    kept = [each for each in meta_graph.graph_def.node if each.op != "WriteFile"]
    del meta_graph.graph_def.node[:]
    meta_graph.graph_def.node.extend(kept)
    padded = b"\x8a\x80\x80\x80\x00" + varint(len(node[0])) + node[0]
    path.write_bytes(put(2, meta_graph.SerializeToString() + put(2, padded)))


@hostile()
def tag_of_more_than_32_bits(directory: Path, trace: Path) -> None:
    """The C++ readers of protobuf take its low 32 bits, which say field 1: a node."""
    save_v1(directory, lambda: None)
    node = v1.NodeDef(name="evil", op="WriteFile").SerializeToString()
    append(directory, varint(NODE << 3 | 2 | 1 << 32) + varint(len(node)) + node)


def _large_tensor() -> bytes:
    return tf.make_tensor_proto(b"z" * 100_000).SerializeToString()


@hostile("signature")
def function_behind_a_large_tensor(directory: Path, trace: Path) -> None:
    """An attribute is one of several kinds; of two that are stored the last counts, which here calls a function."""

    def behind(data: bytes) -> bytes:
        node = v1.NodeDef.FromString(data)
        function = node.attr.pop("f").SerializeToString()
        return node.SerializeToString() + put(5, put(1, b"f") + put(2, put(8, _large_tensor()) + function))

    body = tf.function(lambda v: v + after(write(trace)), autograph=False)
    save_v1(directory, lambda: body(x()))
    saved_model = SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    nodes = saved_model.meta_graphs[0].graph_def.node
    _rewrite(directory, next(node.name for node in nodes if node.op == "StatefulPartitionedCall"), behind)


@hostile("signature")
def path_behind_a_large_tensor(directory: Path, trace: Path) -> None:
    def behind(data: bytes) -> bytes:
        node = v1.NodeDef.FromString(data)
        path = node.attr.pop("output_stream").SerializeToString()
        return node.SerializeToString() + put(5, put(1, b"output_stream") + put(2, put(8, _large_tensor()) + path))

    save_v1(directory, lambda: after(tf.raw_ops.PrintV2(input="x", output_stream=f"file://{trace}", name="printed")))
    _rewrite(directory, "printed", behind)


def _in_pieces(directory: Path, trace: Path, padding: int) -> None:
    """A tensor whose dtype is in one piece, and whose strings are in another."""

    def pieces(data: bytes) -> bytes:
        node = v1.NodeDef.FromString(data)
        tensor = node.attr.pop("value").tensor
        strings = type(tensor)(string_val=tensor.string_val)
        tensor.ClearField("string_val")
        parts = put(8, tensor.SerializeToString()) + put(8, strings.SerializeToString())
        return node.SerializeToString() + put(5, put(1, b"value") + put(2, parts))

    payload = [harmful_graph(trace).SerializeToString(), b"z" * padding]
    save_v1(directory, lambda: tf.identity(tf.constant(payload, name="payload")))
    _rewrite(directory, "payload", pieces)


@hostile()
def constant_in_pieces(directory: Path, trace: Path) -> None:
    _in_pieces(directory, trace, 0)


@hostile()
def large_constant_in_pieces(directory: Path, trace: Path) -> None:
    _in_pieces(directory, trace, 100_000)


@hostile()
def functions_of_one_name(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        library = meta_graph.graph_def.library
        library.function.add().CopyFrom(library.function[0])
        library.function[1].node_def.add(name="evil", op="WriteFile")

    save_v1(directory, lambda: tf.function(lambda v: v * 2.0, autograph=False)(x()))
    edit(directory, change)


@hostile()
def function_of_an_ops_name(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        meta_graph.graph_def.library.function[0].signature.name = "Identity"

    save_v1(directory, lambda: tf.function(lambda v: v * 2.0, autograph=False)(x()))
    edit(directory, change)


@hostile()
def nodes_of_one_name(directory: Path, trace: Path) -> None:
    def change(meta_graph: Any) -> None:
        meta_graph.graph_def.node.add(name="n", op="NoOp")
        meta_graph.graph_def.node.add(name="n", op="NoOp")

    save_v1(directory, lambda: None)
    edit(directory, change)


@hostile()
def variants_of_equal_tags(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: None)
    path = directory / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    second = saved_model.meta_graphs.add()
    second.CopyFrom(saved_model.meta_graphs[0])
    second.meta_info_def.tags.append("serve")
    second.graph_def.node.add(name="evil", op="WriteFile")
    path.write_bytes(saved_model.SerializeToString())


def _as_text(directory: Path) -> str:
    return text_format.MessageToString(SavedModel.FromString((directory / "saved_model.pb").read_bytes()))


@hostile("signature")
def text_instead(directory: Path, trace: Path) -> None:
    _harmless_then_signature(directory, trace)
    (directory / "saved_model.pbtxt").write_text(_as_text(directory))
    (directory / "saved_model.pb").unlink()


@hostile()
def text_beside(directory: Path, trace: Path) -> None:
    _harmless_then_signature(directory / "other", trace)
    save_v1(directory / "module", lambda: None)
    (directory / "module" / "saved_model.pbtxt").write_text(_as_text(directory / "other"))
    for path in (directory / "module").iterdir():
        path.rename(directory / path.name)


@hostile()
def broken_text_beside(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: None)
    (directory / "saved_model.pbtxt").write_text("meta_graphs { nonsense: 1 }")


@hostile()
def chunks_beside(directory: Path, trace: Path) -> None:
    save_v1(directory, lambda: None)
    (directory / "saved_model.cpb").write_bytes(b"riegeli")
