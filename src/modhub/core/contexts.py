"""The v1 control-flow contexts (tf.cond, tf.while_loop) of a part of a graph.

The executor does not need them; `tf.gradients` does. A context names the tensors inside it, so one that goes
with a part of its graph is trimmed to what was kept, and one that goes into a graph is renamed to the names there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from modhub.core import _tensorflow
from modhub.format.names import node_of, tensor_name

__all__ = ["Context", "needed_nodes", "recreate_contexts", "tensors_inside", "trimmed"]

Context = tuple[str, Any]

_KEYS = {"cond": tf.compat.v1.GraphKeys.COND_CONTEXT, "while": tf.compat.v1.GraphKeys.WHILE_CONTEXT}


def needed_nodes(contexts: Iterable[Context], kept: set[str]) -> Iterator[str]:
    """Yield the nodes that contexts need once one op inside them is kept: predicates, pivots, entries and exits."""
    for kind, definition in contexts:
        if not _touched(definition, kept):
            continue
        yield node_of(definition.pivot_name)
        if kind == "cond":
            yield node_of(definition.pred_name)
        else:
            yield node_of(definition.pivot_for_pred_name)
            yield node_of(definition.pivot_for_body_name)
            # Gradients pass through every variable of a loop, also one whose result nobody reads.
            yield from map(node_of, definition.loop_enter_names)
            yield from map(node_of, definition.loop_exit_names)
        yield from needed_nodes(_nested(definition), kept)


def trimmed(contexts: Iterable[Context], kept: set[str], cut: set[str]) -> tuple[Context, ...]:
    """Return copies of the contexts that hold a kept node, without what was dropped.

    Args:
      contexts: as ("cond" | "while", definition).
      kept: names of the nodes that are kept.
      cut: names of the tensors that something else takes the place of.
    """
    found = []
    for kind, definition in contexts:
        if _touched(definition, kept):
            new = type(definition)()
            new.CopyFrom(definition)
            _trim(new, kept, cut)
            found.append((kind, new))
    return tuple(found)


def recreate_contexts(
    graph: tf.Graph,
    contexts: Iterable[Context],
    frames: Mapping[str, str],
    fed: Mapping[str, tf.Tensor],
    prefix: str,
) -> None:
    """Recreate contexts around nodes that were imported, and add them to the graph's collections.

    Args:
      graph: where they are.
      contexts: as ("cond" | "while", definition), with the names of the part that was imported.
      frames: name of an Enter node -> its loop's frame.
      fed: what took the place of the part's cut tensors.
      prefix: the name scope of the import.
    """

    def rename(name: str) -> str:
        full = tensor_name(name)
        return str(fed[full].name) if full in fed else f"{prefix}/{name}"

    for name, frame in frames.items():
        _tensorflow.set_frame(graph.get_operation_by_name(f"{prefix}/{name}"), f"{prefix}/{frame}")
    for kind, definition in contexts:
        context = _tensorflow.context_from_def(kind, _renamed(definition, rename, prefix))
        if context is not None:
            graph.add_to_collection(_KEYS[kind], context)  # goes with the graph when that is exported


def tensors_inside(context: Context) -> set[str]:
    """Return the tensors that have a value only inside a context."""
    _, definition = context
    values = definition.values_def
    found = {*values.values} - {*values.external_values} - {*getattr(definition, "loop_exit_names", ())}
    for nested in _nested(definition):
        found |= tensors_inside(nested)
    return found


def _renamed(definition: Any, rename: Callable[[str], str], scope: str) -> Any:
    """Return a copy of a context with every tensor and op name passed through `rename`."""
    new = type(definition)()
    new.CopyFrom(definition)
    _rename(new, rename, scope)
    return new


def _nested(definition: Any) -> Iterator[Context]:
    for nested in definition.nested_contexts:
        field = nested.WhichOneof("ctxt")
        yield field.removesuffix("_ctxt"), getattr(nested, field)


def _touched(definition: Any, kept: set[str]) -> bool:
    outside = definition.values_def.external_values
    return any(name not in outside and node_of(name) in kept for name in definition.values_def.values) or any(
        _touched(nested, kept) for _, nested in _nested(definition)
    )


def _trim(definition: Any, kept: set[str], cut: set[str]) -> None:
    values = definition.values_def
    for outer, inner in list(values.external_values.items()):
        if inner not in cut and node_of(inner) not in kept:
            del values.external_values[outer]
    outside = values.external_values
    inside = [name for name in values.values if name in outside or (name not in cut and node_of(name) in kept)]
    del values.values[:]
    values.values.extend(inside)
    limit = getattr(definition, "maximum_iterations_name", "")
    if limit and limit not in cut and node_of(limit) not in kept:
        definition.ClearField("maximum_iterations_name")
    nested = [item for item in definition.nested_contexts if _touched(getattr(item, item.WhichOneof("ctxt")), kept)]
    for item in nested:
        _trim(getattr(item, item.WhichOneof("ctxt")), kept, cut)
    del definition.nested_contexts[:]
    definition.nested_contexts.extend(nested)


def _rename(definition: Any, rename: Callable[[str], str], scope: str) -> None:
    definition.context_name = f"{scope}/{definition.context_name}"
    for field in ("pred_name", "pivot_name", "pivot_for_pred_name", "pivot_for_body_name", "maximum_iterations_name"):
        if getattr(definition, field, ""):
            setattr(definition, field, rename(getattr(definition, field)))
    values = definition.values_def
    lists = [values.values]
    if hasattr(definition, "loop_exit_names"):
        lists += [definition.loop_exit_names, definition.loop_enter_names]
    for names in lists:
        names[:] = [rename(name) for name in names]
    outside = {rename(outer): rename(inner) for outer, inner in values.external_values.items()}
    values.external_values.clear()
    values.external_values.update(outside)
    for _, nested in _nested(definition):
        _rename(nested, rename, scope)
