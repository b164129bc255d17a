"""Writes a GraphDef node by node, with the attributes that say more than an op's defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modhub.format.protos import GraphDef

__all__ = ["FLOAT", "INT32", "INT64", "STRING", "NodeWriter", "set_shape"]

# Numbers of TensorFlow's data types.
FLOAT, INT32, STRING, INT64 = 1, 3, 7, 9

# Of TensorFlow 1.15: all ops here are at least that old, and later readers take what it wrote.
_PRODUCER = 134

_VALUES = {INT32: "int_val", INT64: "int64_val", FLOAT: "float_val", STRING: "string_val"}


class NodeWriter:
    """Adds nodes to a graph. Tensors are named as GraphDefs do: "a" is the first output of node "a", "a:1" the second.

    Example:
      >>> writer = NodeWriter()
      >>> two = writer.constant("two", FLOAT, 2.0)
      >>> writer.add("AddV2", "four", two, two, types={"T": FLOAT})
      'four'
      >>> [node.name for node in writer.graph_def.node]
      ['two', 'four']
    """

    __slots__ = ("graph_def",)

    def __init__(self) -> None:
        self.graph_def: Any = GraphDef()
        self.graph_def.versions.producer = _PRODUCER

    def add(
        self,
        op: str,
        name: str,
        *inputs: str,
        types: Mapping[str, int] | None = None,
        ints: Mapping[str, int] | None = None,
        texts: Mapping[str, str] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> str:
        """Add a node.

        Args:
          op: its type.
          name: its own name, which no other node has.
          *inputs: the names of tensors.
          types: its attributes that are numbers of data types.
          ints: those that are integers.
          texts: those that are strings.
          shapes: those that are shapes; -1 is a dimension that is not known.

        Returns:
          The name of its first output.
        """
        node = self.graph_def.node.add(name=name, op=op, input=inputs)
        for key, type_ in (types or {}).items():
            node.attr[key].type = type_
        for key, number in (ints or {}).items():
            node.attr[key].i = number
        for key, text in (texts or {}).items():
            node.attr[key].s = text.encode()
        for key, shape in (shapes or {}).items():
            set_shape(node.attr[key].shape, shape)
        return name

    def constant(self, name: str, dtype: int, value: Any, shape: Sequence[int] = ()) -> str:
        """Add a constant.

        Args:
          name: its own name.
          dtype: the number of its data type: of float32, int32, int64 or string.
          value: a number or `bytes`, or a sequence of them where `shape` is not that of a scalar.
          shape: its shape.

        Returns:
          The name of its output.
        """
        node = self.graph_def.node.add(name=name, op="Const")
        node.attr["dtype"].type = dtype
        tensor = node.attr["value"].tensor
        tensor.dtype = dtype
        set_shape(tensor.tensor_shape, shape)
        getattr(tensor, _VALUES[dtype]).extend(value if shape else [value])
        return name


def set_shape(message: Any, shape: Sequence[int]) -> None:
    """Fill a TensorShapeProto; -1 is a dimension that is not known."""
    message.SetInParent()  # a scalar has a shape too: an empty one
    for size in shape:
        message.dim.add(size=size)
