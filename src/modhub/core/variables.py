"""What a variant's collections say of its variables, and how a checkpoint holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import variable_pb2

from modhub import errors
from modhub.core.description import Variant
from modhub.format.names import node_of, tensor_name

__all__ = ["ModuleVariable", "parse_variables", "variable_names"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModuleVariable:
    """A variable of a variant, or one part of a partitioned variable.

    Attributes:
      name: its name in the variant's graph.
      key: the name under which a checkpoint holds it; the parts of one variable share it.
      dtype: of its elements.
      shape: of the whole variable, as far as it is static.
      extent: of a part, (start, length) for each dimension; None for a whole variable.
      read: the tensor that reads it, in the variant's graph.
      definition: its VariableDef.
    """

    name: str
    key: str
    dtype: tf.DType
    shape: tf.TensorShape
    extent: tuple[tuple[int, int], ...] | None
    read: str
    definition: Any

    @property
    def own_shape(self) -> tf.TensorShape:
        """The shape of the variable itself, which for a part is that of the part."""
        return self.shape if self.extent is None else tf.TensorShape([length for _, length in self.extent])

    @property
    def slice_spec(self) -> str:
        """The part as `RestoreV2` reads it: "10 4 0,4:0,4"; empty for a whole variable."""
        if self.extent is None:
            return ""
        return " ".join([*map(str, self.shape), ":".join(f"{start},{length}" for start, length in self.extent)])


def parse_variables(variant: Variant, nodes: Mapping[str, Any]) -> dict[str, ModuleVariable]:
    """Return the variables of GLOBAL_VARIABLES, by name.

    Args:
      variant: the graph variant.
      nodes: its nodes by name, without refs.

    Raises:
      CorruptModuleError: a variable is not in the graph.
    """
    found = {}
    for item in variant.collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES):
        definition = variable_pb2.VariableDef.FromString(item)
        name = node_of(definition.variable_name)
        if name not in nodes or nodes[name].op != "VarHandleOp":
            raise errors.CorruptModuleError(
                f"The variable {name!r} of the collections is not in the graph, in {variant.where}."
            )
        found[name] = _variable(name, definition, nodes[name].attr)
    return found


def variable_names(variant: Variant, collection: str) -> list[str]:
    """Return the names of the variables in a collection of variables."""
    definitions = map(variable_pb2.VariableDef.FromString, variant.collection(collection))
    return [node_of(definition.variable_name) for definition in definitions]


def _variable(name: str, definition: Any, attrs: Any) -> ModuleVariable:
    key, shape, extent = name, tf.TensorShape(attrs["shape"].shape), None
    if definition.HasField("save_slice_info_def"):
        part = definition.save_slice_info_def
        key, shape = part.full_name, tf.TensorShape(part.full_shape)
        extent = tuple(zip(part.var_offset, part.var_shape, strict=True))
    return ModuleVariable(
        name=name,
        key=key,
        dtype=tf.as_dtype(attrs["dtype"].type),
        shape=shape,
        extent=extent,
        read=tensor_name(definition.snapshot_name or f"{name}/Read/ReadVariableOp"),
        definition=definition,
    )
