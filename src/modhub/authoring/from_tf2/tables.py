"""Tables as programs: what creates one like a table of TF2, and what fills it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring.from_tf2.captures import Captures
from modhub.authoring.from_tf2.program import Program, program_of
from modhub.core import is_state_op

__all__ = ["Table", "needed_tables"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A table.

    Attributes:
      name: its name in the module.
      create: returns its handle.
      initialize: fills it.
      contents: keys and values, NumPy arrays, for one whose contents can change.
    """

    name: str
    create: Program
    initialize: Program
    contents: tuple[Any, Any] | None


def needed_tables(programs: Iterable[Program], captures: Captures) -> dict[int, Table]:
    """Return the tables that programs use, by the `id` of their handles.

    Raises:
      ModuleDefinitionError: one is of a kind that a module cannot hold.
    """
    keys = dict.fromkeys(id(tensor) for program in programs for tensor in program.needed)
    return {key: _table(*captures.tables[key]) for key in keys if key in captures.tables}


def _table(name: str, table: Any) -> Table:
    # The functions that TensorFlow's own saver writes.
    functions = tf.train.TrackableView.children(table, save_type="savedmodel", cache={})
    create, initialize = (
        program_of(functions[key].get_concrete_function(), {}, f"The table {name!r}")
        for key in ("_create_resource", "_initialize")
    )
    nodes = [node for node in create.graph_def.node if node.op != "Identity"]
    if len(nodes) != 1 or not is_state_op(nodes[0].op):
        raise errors.ModuleDefinitionError(
            f"The table {name!r} is a {type(table).__name__}, which a module cannot hold, as it is made of "
            f"{[node.op for node in nodes]}: use a tf.lookup.StaticHashTable, StaticVocabularyTable or "
            "experimental.MutableHashTable."
        )
    if "shared_name" in nodes[0].attr:
        nodes[0].attr["shared_name"].s = name.encode()
    # The handle itself: tensorflow_hub knows the op for state, and not what is computed from it.
    create = dataclasses.replace(create, outputs=(f"{nodes[0].name}:0",), effects=())
    changeable = isinstance(table, tf.lookup.experimental.MutableHashTable)
    contents = tuple(each.numpy() for each in table.export()) if changeable else None
    return Table(name=name, create=create, initialize=initialize, contents=contents)
