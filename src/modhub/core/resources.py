"""Tables, and whatever else of a module's state is no variable, under eager execution."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from modhub.core import _tensorflow
from modhub.core.description import Variant
from modhub.core.functions import uniquely_named
from modhub.core.graph import VariantGraph
from modhub.core.part import Part, ancestors, take_part
from modhub.format.names import node_of, split_input

__all__ = ["Resource", "captured_tensor", "fill_all", "table_initializers"]

# Ops that take a table and leave it as it is.
_LOOKUPS = {"LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2"}


def fill_all(resources: Iterable[Resource]) -> None:
    """Make resources, and fill them, one from which another is filled before that."""
    pending = list(resources)
    for resource in pending:
        _ = resource.resource_handle  # made here and now: a function that is traced may find it there
    filled: set[Resource] = set()

    def fill(resource: Resource) -> None:
        if resource not in filled:
            filled.add(resource)
            for other in resource.needed():
                fill(other)
            resource.fill()

    for resource in pending:
        fill(resource)


class Resource(tf.saved_model.experimental.TrackableResource):
    """A table, or whatever else a node of a variant's graph makes that outlives a call."""

    def __init__(self, index: VariantGraph, node: Any, initializers: Iterable[str], sources: Mapping[str, Any]) -> None:
        super().__init__()
        self.node = node
        self._recipe = _Recipe(index, node, tuple(initializers), sources)

    def needed(self) -> list[Resource]:
        """Return the other resources that it is filled from."""
        return [each for each in self._recipe.needed() if isinstance(each, Resource) and each is not self]

    def fill(self) -> None:
        """Fill it; it and what it is filled from were made before."""
        if self._recipe.initializers:
            tf.compat.v1.wrap_function(self._recipe.fill, [])()

    def _create_resource(self) -> tf.Tensor:
        if not tf.executing_eagerly():
            return self._recipe.create()
        handle = tf.compat.v1.wrap_function(self._recipe.create, [])()
        # Not with this object: a function or a dataset may need the table longer, and it holds the handle.
        weakref.finalize(handle, _destroy, tf.identity(handle)).atexit = False
        return handle

    def _initialize(self) -> None:
        if self._recipe.initializers:
            self._recipe.fill()


class _Recipe:
    """How a resource is made and filled, apart from the resource, so that no model tracks it."""

    def __init__(
        self, index: VariantGraph, node: Any, initializers: tuple[str, ...], sources: Mapping[str, Any]
    ) -> None:
        self.initializers = initializers
        self._index = index
        self._sources = sources
        self._graph_def = graph_pb2.GraphDef(versions=index.versions, node=[node])
        (new,) = self._graph_def.node
        new.device = ""
        new.attr.pop("_class", None)
        if "shared_name" in {attr.name for attr in _tensorflow.op_def(node.op).attr}:
            new.attr["shared_name"].s = f"{node.name}_{uuid.uuid4().hex}".encode()

    def create(self) -> tf.Tensor:
        (handle,) = tf.import_graph_def(
            self._graph_def, return_elements=[f"{self._graph_def.node[0].name}:0"], name="resource"
        )
        return handle

    def needed(self) -> list[Any]:
        return [self._sources[node_of(name)] for name in self._part().captures] if self.initializers else []

    def _part(self) -> Part:
        return take_part(self._index, sorted(self.initializers), cut=set(), state=self._index.state)

    def fill(self) -> tf.Tensor:
        graph = tf.compat.v1.get_default_graph()
        part = self._part()
        fed = {
            name: _tensorflow.capture(graph, captured_tensor(self._sources[node_of(name)])) for name in part.captures
        }
        ops = tf.import_graph_def(
            uniquely_named(part.graph_def), fed, return_elements=list(self.initializers), name="initialize"
        )
        with tf.control_dependencies(ops):
            return tf.constant(0)


def captured_tensor(source: Any) -> tf.Tensor:
    """Return the tensor that functions capture for a variable, table or asset."""
    if isinstance(source, tf.saved_model.Asset):
        return source.asset_path
    if isinstance(source, Resource):
        return source.resource_handle
    return source.handle


def _destroy(handle: tf.Tensor) -> None:
    with _tensorflow.eager_mode():  # wherever the garbage collector happens to run
        tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)


def table_initializers(variant: Variant, index: VariantGraph) -> dict[str, list[str]]:
    """Return the table initializers by the table that each fills."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(map(node_of, variant.collection("table_initializer"))):
        for op in sorted(ancestors(index, [name], set(), index.state)):
            kind = index.nodes[op].op
            if kind in _LOOKUPS or not _tensorflow.is_stateful(kind):
                continue
            sources = (_origin(index, split_input(given)[0]) for given in index.nodes[op].input)
            table = next((each for each in sources if _is_table(index, each)), None)
            if table is not None:
                found.setdefault(table, []).append(op)
    return found


def _origin(index: VariantGraph, name: str) -> str:
    """Return the node that a node hands on, if it does nothing else."""
    while name in index.nodes and index.nodes[name].op == "Identity":
        name = split_input(index.nodes[name].input[0])[0]
    return name


def _is_table(index: VariantGraph, name: str) -> bool:
    return name in index.state and name not in index.variables and index.nodes[name].op != "Const"
