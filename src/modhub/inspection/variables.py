"""Which variables a checkpoint holds, and what the graphs say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modhub.format import BUNDLE, Bundle
from modhub.format.dtypes import dtype_name
from modhub.format.files import ModuleFiles
from modhub.format.meta_graphs import MetaGraph, unreadable
from modhub.format.names import node_of
from modhub.format.varint import read_varint
from modhub.inspection.description import VariableDescription, shown_name

__all__ = ["declared_variables", "describe_variables", "trainable_variables"]

# The object graph of a TF2 checkpoint, stored as a tensor beside the variables, and its counter.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_MOST_OBJECT_GRAPH_BYTES = 2**26


def describe_variables(bundle: Bundle | None, trainable: Mapping[str, bool]) -> tuple[VariableDescription, ...]:
    """Return the variables of a checkpoint, sorted by name.

    Args:
      bundle: its index; None for a module without variables.
      trainable: key in the checkpoint -> whether it is trainable, for those that a graph declares.
    """
    if bundle is None:
        return ()
    found = [
        VariableDescription(
            name=shown_name(key, bundle),
            dtype=dtype_name(entry.dtype),
            shape=entry.shape,
            bytes=sum(piece.size for piece in bundle.pieces.get(key, (entry,))),
            partitions=entry.slices,
            trainable=trainable.get(key),
        )
        for key, entry in bundle.entries.items()
        if key != _OBJECT_GRAPH
    ]
    return tuple(sorted(found, key=lambda variable: variable.name))


def declared_variables(meta_graph: MetaGraph, collection: str = "variables") -> frozenset[str]:
    """Return the keys in the checkpoint of the variables in a collection; the parts of one variable share a key."""
    from modhub.format.protos import VariableDef

    with unreadable(meta_graph.where):
        return frozenset(map(_key, map(VariableDef.FromString, meta_graph.messages(collection))))


def trainable_variables(files: ModuleFiles, bundle: Bundle | None, meta_graphs: Iterable[MetaGraph]) -> dict[str, bool]:
    """Return which variables are trainable, by their keys in the checkpoint: in any variant, or as TF2 objects."""
    found: dict[str, bool] = {}
    for meta_graph in meta_graphs:
        trainable = declared_variables(meta_graph, "trainable_variables")
        for key in declared_variables(meta_graph):
            found[key] = found.get(key, False) or key in trainable
        if bundle is not None and meta_graph.definition.object_graph_def.nodes:
            with unreadable(f"{files.where}/{BUNDLE}.index"):
                found |= _trainable_objects(files, bundle, meta_graph.definition.object_graph_def.nodes)
    return found


def _key(definition: Any) -> str:
    if definition.HasField("save_slice_info_def"):
        return str(definition.save_slice_info_def.full_name)
    return node_of(definition.variable_name)


def _trainable_objects(files: ModuleFiles, bundle: Bundle, saved: Any) -> dict[str, bool]:
    """Walk the objects of a TF2 SavedModel and those of its checkpoint side by side, by the names of their children."""
    stored = _stored_objects(files, bundle)
    found: dict[str, bool] = {}
    # An object has one counterpart, by whichever path it is reached.
    seen: set[int] = set()
    waiting = [(0, 0)] if stored else []
    while waiting:
        index, index_there = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        one, other = saved[index], stored[index_there]
        if one.WhichOneof("kind") == "variable":
            found |= {attribute.checkpoint_key: bool(one.variable.trainable) for attribute in other.attributes}
        children = {child.local_name: child.node_id for child in other.children}
        for child in one.children:
            if child.local_name in children:
                node, counterpart = child.node_id, children[child.local_name]
                if not (0 <= node < len(saved) and 0 <= counterpart < len(stored)):
                    raise ValueError(f"the object {child.local_name!r} is not in the object graph")
                waiting.append((node, counterpart))
    return found


def _stored_objects(files: ModuleFiles, bundle: Bundle) -> Any:
    """Return the nodes of the checkpoint's object graph: one string, after its length and a checksum of the length."""
    from modhub.format.protos import TrackableObjectGraph

    entry = bundle.entries.get(_OBJECT_GRAPH)
    if entry is None or not 0 < entry.size <= _MOST_OBJECT_GRAPH_BYTES:
        return ()
    name = f"{BUNDLE}.data-{entry.shard:05d}-of-{bundle.num_shards:05d}"
    data = bytes(files.read_range(name, entry.offset, entry.size))
    length, position = read_varint(data, 0, len(data))
    if position + 4 + length != len(data):
        raise ValueError("the object graph of the checkpoint is malformed")
    return TrackableObjectGraph.FromString(data[position + 4 :]).nodes
