"""What modules that do harm are made of, and the list that the other files here put them on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

__all__ = [
    "HOSTILE",
    "Hostile",
    "after",
    "append",
    "edit",
    "harmful_graph",
    "hostile",
    "put",
    "save_v1",
    "v1",
    "varint",
    "write",
    "x",
]

v1 = tf.compat.v1

Builder = Callable[[Path, Path], Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A module that does harm.

    Attributes:
      build: writes it: (directory, file that it leaves a trace in).
      runs: what has to be done for the trace to be left: "load" (with TF1's loader), "signature" (of TF1, after
        loading), "load2" (with TF2's loader), "call2" (the function `f` of the loaded object), "file" (nothing does).
    """

    build: Builder
    runs: str


HOSTILE: dict[str, Hostile] = {}


def hostile(runs: str = "file") -> Callable[[Builder], Builder]:
    """Put a builder on the list, under its own name."""

    def register(build: Builder) -> Builder:
        HOSTILE[build.__name__] = Hostile(build=build, runs=runs)
        return build

    return register


def save_v1(directory: Path, make: Callable[[], Any], *, after: Callable[[], dict[str, Any]] | None = None) -> None:
    """Write a TF1 SavedModel whose signature gives back what `make` returns."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [], name="x")
        result = make()
        options = after() if after else {}
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.builder.SavedModelBuilder(str(directory))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x if result is None else result})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, **options)
        builder.save()


def edit(directory: Path, change: Callable[[Any], Any]) -> None:
    """Change the first MetaGraphDef of a SavedModel."""
    path = directory / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    change(saved_model.meta_graphs[0])
    path.write_bytes(saved_model.SerializeToString())


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def put(number: int, contents: bytes) -> bytes:
    """Encode a field of bytes."""
    return varint(number << 3 | 2) + varint(len(contents)) + contents


def append(directory: Path, graph_pieces: bytes) -> None:
    """Add encoded fields to the GraphDef of a SavedModel, as a second piece of it."""
    path = directory / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    meta_graph = saved_model.meta_graphs[0].SerializeToString() + put(2, graph_pieces)
    path.write_bytes(put(2, meta_graph))


def after(op: Any, value: Any = 1.0) -> tf.Tensor:
    """Return a value that is computed after an op."""
    with tf.control_dependencies([op]):
        return tf.identity(tf.constant(value))


def write(trace: Path) -> Any:
    """Leave the trace."""
    return tf.io.write_file(str(trace), "written")


def harmful_graph(trace: Path) -> v1.GraphDef:
    """Return a graph that leaves the trace."""
    with tf.Graph().as_default() as graph:
        write(trace)
    return graph.as_graph_def()


def x() -> tf.Tensor:
    """Return the input of the signature that `save_v1` makes."""
    return v1.get_default_graph().get_tensor_by_name("x:0")
