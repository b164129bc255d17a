"""What runs a node: which of a variant's entry points lead to it, through the graph and its functions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from modhub.format.collections import ATTACHMENTS
from modhub.format.graph import Graph, Node
from modhub.format.meta_graphs import MetaGraph, unreadable
from modhub.format.names import node_of
from modhub.format.protos import SaverDef, VariableDef
from modhub.format.wire import BYTES, fields
from modhub.inspection.scan.objects import all_functions, functions_that_loading_calls

__all__ = [
    "INTERFACE",
    "Entry",
    "Reach",
    "named_functions",
    "reach_of",
    "saver_definitions",
    "variables_of_collections",
]

_INIT_COLLECTIONS = frozenset({"saved_model_main_op", "legacy_init_op", "saved_model_train_op"})
_INIT_SIGNATURES = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
_TABLES = "table_initializer"
_SAVERS = "savers"
_LOCAL = "local_variables"
# Their messages name nothing that runs.
_SILENT = frozenset({_SAVERS, ATTACHMENTS, "saved_model_assets"})
_MOST_NESTED = 16
# What messages of collections (queue runners, contexts of loops) are searched for names of nodes.
_MOST_FIELDS = 500_000
_MOST_MESSAGE_DEPTH = 2
# Grappler puts one function in the place of another that has the same value here.
INTERFACE = "api_implements"


class Entry(enum.StrEnum):
    """What runs a node, in falling order of how directly; the first that applies is told."""

    INITIALIZER = "initializer"  # loading runs it
    TABLE = "table"  # initializing tables runs it
    SIGNATURE = "signature"
    OBJECT = "object"  # a function of a TF2 object
    COLLECTION = "collection"
    VARIABLE = "variable"  # initializing a variable runs it; loading restores variables instead
    RESTORE = "restore"  # restoring the variables runs it, which is a part of loading
    SAVER = "saver"  # saving the variables runs it
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What runs the nodes of a variant.

    Attributes:
      nodes: name of a node of the graph -> what runs it; NOTHING for those that are not in it.
      functions: name of a function -> what runs it. All nodes of a function count as run by what runs the function.
    """

    nodes: Mapping[str, Entry]
    functions: Mapping[str, Entry]

    def of(self, function: str | None, node: str) -> Entry:
        """Return what runs a node of the graph (function None), or of a function."""
        if function is None:
            return self.nodes.get(node, Entry.NOTHING)
        return self.functions.get(function, Entry.NOTHING)


def reach_of(meta_graph: MetaGraph) -> Reach:
    """Find out what runs the nodes of a variant.

    More is counted as run than can be: tensors that are fed are followed too, all of a function's body is run, and of
    a TF2 SavedModel all functions are, since loading registers gradients that nothing in the graph names.

    Raises:
      CorruptModuleError: a collection or an attribute is malformed.
    """
    graph = meta_graph.graph
    nodes: dict[str, Entry] = {}
    functions: dict[str, Entry] = {}
    with unreadable(meta_graph.where):
        roots = _roots(meta_graph)
        called_by_nodes, called_by_functions = _calls(graph)
        of_objects = {
            Entry.INITIALIZER: functions_that_loading_calls(meta_graph.definition),
            Entry.OBJECT: all_functions(meta_graph.definition),
        }
        for entry in Entry:
            reached = graph.nodes.reach(roots.get(entry, ()))
            for name in reached:
                nodes.setdefault(name, entry)
            called = {function for name in reached for function in called_by_nodes.get(name, ())}
            _follow(called | of_objects.get(entry, set()), entry, called_by_functions, functions)
    if meta_graph.definition.object_graph_def.nodes:
        for name in graph.functions:
            functions.setdefault(name, Entry.OBJECT)
    return Reach(nodes=nodes, functions=functions)


def saver_definitions(meta_graph: MetaGraph) -> Iterator[Any]:
    """Yield the SaverDefs of a variant.

    Raises:
      CorruptModuleError: one is malformed.
    """
    if meta_graph.definition.HasField("saver_def"):
        yield meta_graph.definition.saver_def
    with unreadable(meta_graph.where):
        for item in meta_graph.collection(_SAVERS):
            if isinstance(item, bytes):
                yield SaverDef.FromString(item)


def variables_of_collections(definition: Any, graph: Graph) -> set[str]:
    """Return the names of the nodes that are variables in a collection, which loading restores."""
    found: set[str] = set()
    for item in (item for each in definition.collection_def.values() for item in each.bytes_list.value):
        try:
            found.add(node_of(VariableDef.FromString(item).variable_name))
        except DecodeError:  # it is another message
            continue
    return found & graph.nodes.by_name.keys()


def named_functions(node: Node) -> set[str]:
    """Return the functions that the attributes of a node name, also as attributes of functions.

    Raises:
      ValueError: they are nested too deeply.
    """
    found: set[str] = set()
    for attribute in node.attributes.values():
        found.update(_functions_in(attribute, 0))
    return found


def _follow(
    called: Iterable[str], entry: Entry, calls: Mapping[str, Iterable[str]], functions: dict[str, Entry]
) -> None:
    """Mark functions, and those that they call, as run by an entry, but for those that an earlier one runs."""
    waiting = list(called)
    while waiting:
        name = waiting.pop()
        if name in calls and name not in functions:
            functions[name] = entry
            waiting.extend(calls[name])


def _roots(meta_graph: MetaGraph) -> dict[Entry, list[str]]:
    roots: dict[Entry, list[str]] = {entry: [] for entry in Entry}
    for name, signature in meta_graph.signatures.items():
        entry = Entry.INITIALIZER if name in _INIT_SIGNATURES else Entry.SIGNATURE
        for info in signature.outputs.values():
            roots[entry].extend(_tensors(info))
        for info in signature.inputs.values():
            roots[Entry.COLLECTION].extend(_tensors(info))
    _add_collections(meta_graph, roots)
    for saver in saver_definitions(meta_graph):
        roots[Entry.RESTORE].append(saver.restore_op_name)
        roots[Entry.SAVER] += [saver.filename_tensor_name, saver.save_tensor_name]
    return roots


def _add_collections(meta_graph: MetaGraph, roots: dict[Entry, list[str]]) -> None:
    known = meta_graph.graph.nodes.by_name
    left = [_MOST_FIELDS]
    for key, definition in meta_graph.definition.collection_def.items():
        entry = Entry.INITIALIZER if key in _INIT_COLLECTIONS else Entry.TABLE if key == _TABLES else Entry.COLLECTION
        roots[entry].extend(definition.node_list.value)
        for item in () if key in _SILENT else definition.bytes_list.value:
            variable = _variable(item, known)
            if variable is not None:
                # TF2's loader of TF1 SavedModels initializes local variables; they are not restored.
                roots[Entry.INITIALIZER if key == _LOCAL else Entry.VARIABLE] += [
                    variable.initializer_name,
                    variable.initial_value_name,
                ]
                roots[Entry.COLLECTION] += [variable.variable_name, variable.snapshot_name]
            else:
                roots[entry].extend(_names_in(item, known, left, 0))
    if left[0] < 0:  # the search was not ended
        roots[Entry.COLLECTION].extend(known)


def _variable(item: bytes, known: Mapping[str, Node]) -> Any:
    """Return the VariableDef that an item of a collection is; None if it is none."""
    try:
        variable = VariableDef.FromString(item)
    except DecodeError:
        return None
    return variable if {node_of(variable.variable_name), node_of(variable.initializer_name)} <= known.keys() else None


def _names_in(data: bytes, known: Mapping[str, Node], left: list[int], depth: int) -> Iterator[str]:
    """Yield the names of nodes in a message of whatever type; some of its text may look like one, too."""
    try:
        for _, kind, start, end in fields(data):
            left[0] -= 1
            if left[0] < 0:
                return
            if kind == BYTES:
                text = data[start:end].decode(errors="replace")
                if node_of(text) in known:
                    yield text
                elif depth < _MOST_MESSAGE_DEPTH:
                    yield from _names_in(data[start:end], known, left, depth + 1)
    except ValueError:  # it is no message
        return


def _tensors(info: Any) -> Iterator[str]:
    """Yield the tensors that make up what a TensorInfo describes."""
    yield info.name
    sparse = info.coo_sparse
    yield from (sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name)
    for component in info.composite_tensor.components:
        yield from _tensors(component)


def _calls(graph: Graph) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the functions that each node of the graph names, and those that each function does."""
    if not graph.functions:
        return {}, {}
    by_nodes = {node.name: called for node in graph.nodes if (called := _called(node, graph))}
    by_functions: dict[str, set[str]] = {}
    interfaces: dict[bytes, set[str]] = {}
    for function in graph.functions.values():
        called = {each for node in function.nodes for each in _called(node, graph)}
        if function.name in graph.gradients:
            called.add(graph.gradients[function.name])
        by_functions[function.name] = called
        if INTERFACE in function.definition.attr:
            interfaces.setdefault(function.definition.attr[INTERFACE].s, set()).add(function.name)
    for alike in interfaces.values():
        # In a ring, so that any one leads to all, and a thousand alike make a thousand calls.
        ring = sorted(alike)
        for name, following in zip(ring, ring[1:] + ring[:1], strict=True):
            by_functions[name].add(following)
    return by_nodes, by_functions


def _called(node: Node, graph: Graph) -> set[str]:
    return (named_functions(node) | {node.op}) & graph.functions.keys()


def _functions_in(attribute: Any, depth: int) -> Iterator[str]:
    """Yield the functions in an attribute; a function that is an attribute has attributes itself."""
    kind = attribute.WhichOneof("value")
    listed: Iterable[Any] = (attribute.func,) if kind == "func" else attribute.list.func if kind == "list" else ()
    for function in listed:
        yield function.name
        if depth > _MOST_NESTED:
            raise ValueError("the attributes of a function are nested too deeply")
        for below in function.attr.values():
            yield from _functions_in(below, depth + 1)
