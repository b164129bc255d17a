"""Puts programs, and the variables, tables and assets that they captured, into the TF1 graph of a module."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from modhub import errors
from modhub.authoring.from_tf2.captures import Captures, NamedVariable
from modhub.authoring.from_tf2.program import Program
from modhub.authoring.from_tf2.tables import Table

__all__ = ["Placed", "Placement", "needed_variables"]

_keys = tf.compat.v1.GraphKeys


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A program in a graph: its outputs, and the ops that update variables, which nothing runs by itself."""

    outputs: list[tf.Tensor]
    updates: list[tf.Operation]


class Placement:
    """The default graph, in which a module is made; what is captured twice is made once."""

    def __init__(self, captures: Captures, tables: Mapping[int, Table]) -> None:
        self._captures = captures
        self._tables = tables
        self._made: dict[int, tf.Tensor] = {}

    def create_variables(self, variables: Iterable[NamedVariable]) -> None:
        """Create variables; their values are published, so any value will do to initialize them."""
        ids = {id(named): key for key, named in self._captures.variables.items()}
        for named in variables:
            shape, dtype = named.variable.shape, named.variable.dtype
            some = [1 if each is None else each for each in shape or ()]
            collections = [_keys.GLOBAL_VARIABLES, _keys.MODEL_VARIABLES]
            made = tf.compat.v1.Variable(
                initial_value=functools.partial(tf.zeros, some, dtype),
                trainable=named.trainable,
                collections=collections + [_keys.TRAINABLE_VARIABLES] * named.trainable,
                name=named.name,
                dtype=dtype,
                use_resource=True,
                validate_shape=shape.is_fully_defined(),
                shape=shape,
            )
            self._made[ids[id(named)]] = made.handle

    def place(self, program: Program, inputs: Sequence[tf.Tensor], scope: str, where: str) -> Placed:
        """Import a program.

        Args:
          program: the program.
          inputs: the tensors for its inputs, composite ones in parts.
          scope: a name scope, made unique.
          where: what messages call it.

        Raises:
          ModuleDefinitionError: it captured something that a module cannot hold.
        """
        first, used = len(inputs), program.used
        fed = dict(zip(program.arguments, inputs, strict=False))
        for name, tensor in zip(program.arguments[first:], program.captured, strict=True):
            if name in used:
                fed[name] = self._tensor(tensor, where)
        consumed = {given for node in program.graph_def.node for given in node.input}
        feeds = {f"{name}:0": tensor for name, tensor in fed.items() if name in consumed}
        feeds |= {name: _draw(*kind) for name, kind in program.draws.items() if name in consumed}
        computed = [name for name in dict.fromkeys(program.outputs) if name not in fed]
        ops = [*program.updates, *program.effects]
        imported = tf.import_graph_def(
            program.graph_def,
            input_map=feeds,
            return_elements=[*computed, *ops],
            name=scope,
        )
        found = dict(zip([*computed, *ops], imported, strict=True))
        outputs = [fed[name] if name in fed else found[name] for name in program.outputs]
        if program.effects:
            with tf.control_dependencies([found[name] for name in program.effects]):
                outputs = [tf.identity(output) for output in outputs]
        for output, shape in zip(outputs, program.shapes, strict=True):
            output.set_shape(shape)
        return Placed(outputs=outputs, updates=[found[name] for name in program.updates])

    def _tensor(self, captured: tf.Tensor, where: str) -> tf.Tensor:
        """Return what stands in this graph for a captured tensor."""
        key = id(captured)
        if key not in self._made:
            if key in self._captures.assets:
                self._made[key] = tf.constant(self._captures.assets[key], name="asset_path")
                tf.compat.v1.add_to_collection(_keys.ASSET_FILEPATHS, self._made[key])
            elif key in self._tables:
                self._create_table(key, self._tables[key])
            elif captured.dtype in (tf.resource, tf.variant):
                raise errors.ModuleDefinitionError(
                    f"{where} captured a {captured.dtype.name} that is no variable of its own, and no table or asset "
                    "that hangs on the exported object: make it an attribute of a tf.Module, and export that. "
                    f"Captured: {captured}."
                )
            else:
                self._made[key] = tf.constant(captured.numpy(), captured.dtype)
        return self._made[key]

    def _create_table(self, key: int, table: Table) -> None:
        where = f"The table {table.name!r}"
        self._made[key] = handle = self.place(table.create, (), table.name, where).outputs[0]
        with tf.name_scope(table.name):
            ops = [output.op for output in self.place(table.initialize, (), "initialize", where).outputs]
            if table.contents is not None:
                keys, values = (tf.constant(each) for each in table.contents)
                ops.append(tf.raw_ops.LookupTableImportV2(table_handle=handle, keys=keys, values=values))
            tf.compat.v1.add_to_collection(_keys.TABLE_INITIALIZERS, tf.group(*ops))


def needed_variables(programs: Iterable[Program], captures: Captures) -> list[NamedVariable]:
    """Return the variables that programs use, by name."""
    keys = {id(tensor) for program in programs for tensor in program.needed}
    return sorted((captures.variables[key] for key in keys if key in captures.variables), key=lambda each: each.name)


def _draw(shape: tf.TensorShape, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.random.uniform(shape, maxval=tf.int32.max, dtype=tf.int32), dtype)
