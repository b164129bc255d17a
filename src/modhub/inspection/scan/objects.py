"""What the objects of a TF2 SavedModel say of its functions: who calls them, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modhub.format.dtypes import STRING

__all__ = ["all_functions", "bound_inputs", "functions_that_loading_calls", "has_default_text", "has_lambda"]

# What loading calls of a restored resource, and what the end of its life does.
_OF_RESOURCES = frozenset({"_create_resource", "_initialize", "_destroy_resource", "__init__"})
_LAMBDA = '"Lambda"'


def all_functions(definition: Any) -> set[str]:
    """Return the names of the functions of all objects of a MetaGraphDef."""
    objects = definition.object_graph_def
    found = set(objects.concrete_functions)
    for node in objects.nodes:
        found.update(_functions(node))
    return found


def functions_that_loading_calls(definition: Any) -> set[str]:
    """Return the names of the functions that loading calls: to make resources, to fill and to restore them."""
    nodes = definition.object_graph_def.nodes
    called = [child.node_id for node in nodes for child in node.children if child.local_name in _OF_RESOURCES]
    called += [each.restore_function for node in nodes for each in node.saveable_objects.values()]
    return {name for index in called if 0 <= index < len(nodes) for name in _functions(nodes[index])}


def bound_inputs(definition: Any, function: str) -> list[Any] | None:
    """Return the objects (SavedObjects, None where there is none) that a function has as its last arguments.

    None if the function is none that objects have.
    """
    objects = definition.object_graph_def
    if function not in objects.concrete_functions:
        return None
    indices = objects.concrete_functions[function].bound_inputs
    return [objects.nodes[index] if 0 <= index < len(objects.nodes) else None for index in indices]


def has_default_text(definition: Any) -> bool:
    """Tell whether a function of an object has an argument with a text by default, so that no caller need pass one."""
    for node in definition.object_graph_def.nodes:
        for specification in (node.function.function_spec, node.bare_concrete_function.function_spec):
            pairs = specification.fullargspec.named_tuple_value.values
            if any(pair.key in ("defaults", "kwonlydefaults") and any(_texts(pair.value)) for pair in pairs):
                return True
    return False


def has_lambda(definition: Any) -> bool:
    """Tell whether the metadata that Keras of TF 2.4 and earlier kept in objects has a Lambda layer."""
    return any(_LAMBDA in node.user_object.metadata for node in definition.object_graph_def.nodes)


def _functions(node: Any) -> Iterator[str]:
    yield from node.function.concrete_functions
    if node.bare_concrete_function.concrete_function_name:
        yield node.bare_concrete_function.concrete_function_name


def _texts(value: Any) -> Iterator[bool]:
    """Yield, for each value in a StructuredValue, whether it is a text."""
    kind = value.WhichOneof("kind")
    if kind in ("list_value", "tuple_value"):
        for each in getattr(value, kind).values:
            yield from _texts(each)
    elif kind == "dict_value":
        for each in value.dict_value.fields.values():
            yield from _texts(each)
    elif kind == "named_tuple_value":
        for pair in value.named_tuple_value.values:
            yield from _texts(pair.value)
    elif kind in ("tensor_value", "numpy_value"):
        yield getattr(value, kind).dtype == STRING
    else:
        yield kind == "string_value"
