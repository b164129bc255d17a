"""The function library of a graph: which functions a part calls, and names for them that nothing else has."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2

from modhub.core import _tensorflow
from modhub.core.gradients import GRADIENTS

__all__ = ["called_functions", "import_nodes", "set_gradient", "uniquely_named"]

_serial = itertools.count()
_NUMBERED = re.compile(rb"[A-Za-z]+-\d+")


def called_functions(
    nodes: Iterable[Any], library: Mapping[str, Any], gradients: Mapping[str, str], *, published: bool
) -> Any:
    """Return a library of the functions that nodes call, directly or not, fit for import; sorted by name.

    Args:
      nodes: NodeDefs.
      library: FunctionDefs by name.
      gradients: name of a function -> the function that was declared as its gradient.
      published: whether another process may have made them.
    """
    found: dict[str, Any] = {}
    pending = [name for node in nodes for name in _calls(node, library)] if library else []
    while pending:
        name = pending.pop()
        if name in found:
            continue
        function = type(library[name])()
        function.CopyFrom(library[name])
        found[name] = function
        for key in ("forward_function_name", "backward_function_name", "gradient_op_type"):
            function.attr.pop(key, None)
        for node in function.node_def:
            node.device = ""
            set_gradient(node, published=published)
            pending.extend(_calls(node, library))
        if name in gradients:
            pending.append(gradients[name])
    taken = function_pb2.FunctionDefLibrary(function=[found[name] for name in sorted(found)])
    for name in sorted(found.keys() & gradients.keys()):
        taken.gradient.add(function_name=name, gradient_func=gradients[name])
    return taken


def set_gradient(node: Any, *, published: bool) -> None:
    """See to it that an op finds its gradient: ours, one that the caller registered by name, or its type's own.

    `tf.custom_gradient` and functions register theirs under a number, which means something else, or nothing, in
    another process: a wrong gradient must not be taken silently.
    """
    if node.op in GRADIENTS:
        node.attr["_gradient_op_type"].s = GRADIENTS[node.op].encode()
    elif published and "_gradient_op_type" in node.attr:
        name = node.attr["_gradient_op_type"].s
        if _NUMBERED.fullmatch(name):
            node.attr["_gradient_op_type"].s = name + b" of the process that published the module"


def uniquely_named(graph_def: Any) -> Any:
    """Return a GraphDef whose functions have names that this process has not seen; itself where it has none.

    Functions are known to the whole process by name, and the gradients of loops store rewritten ones beside them:
    two modules, or two applications of one, must not meet there.
    """
    if not graph_def.library.function:
        return graph_def
    suffix = f"_modhub_{next(_serial)}"
    new = graph_pb2.GraphDef()
    new.CopyFrom(graph_def)
    names = {function.signature.name for function in new.library.function}
    for function in new.library.function:
        function.signature.name += suffix
        for node in function.node_def:
            _rename_calls(node, names, suffix)
    for node in new.node:
        _rename_calls(node, names, suffix)
    for gradient in new.library.gradient:
        gradient.function_name += suffix
        gradient.gradient_func += suffix
    return new


def import_nodes(graph_def: Any, fed: Mapping[str, tf.Tensor], scope: str) -> None:
    """Import a GraphDef into the default graph, with names of its own for its functions.

    Args:
      graph_def: the GraphDef.
      fed: the tensors that it is imported on, by the names that they feed.
      scope: the name scope for its nodes, with a slash at the end.
    """
    tf.import_graph_def(uniquely_named(graph_def), input_map=fed, name=scope)
    if graph_def.library.function:
        graph = tf.compat.v1.get_default_graph()
        _tensorflow.describe_variables(graph.get_operation_by_name(scope + node.name) for node in graph_def.node)


def _functions_of(node: Any) -> Iterator[Any]:
    """Yield the NameAttrLists in a node's attributes."""
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func
        elif kind == "list":
            yield from value.list.func


def _calls(node: Any, library: Mapping[str, Any]) -> Iterator[str]:
    if node.op in library:
        yield node.op
    yield from (func.name for func in _functions_of(node) if func.name in library)


def _rename_calls(node: Any, names: set[str], suffix: str) -> None:
    if node.op in names:
        node.op += suffix
    for func in _functions_of(node):
        if func.name in names:
            func.name += suffix
