"""How a GraphDef names tensors, ops and control edges, and how messages show a set of tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["node_of", "show_tags", "split_input", "tensor_count", "tensor_name"]


def split_input(name: str) -> tuple[str, int]:
    """Split the name of a tensor: "a/b:1" is output 1 of node "a/b", "a" is output 0 of "a"."""
    node, colon, index = name.rpartition(":")
    return (node, int(index)) if colon and index.isdigit() else (name, 0)


def node_of(name: str) -> str:
    """Return the node of a tensor name, of a control input ("^a"), or of a node name itself."""
    return split_input(name.removeprefix("^"))[0]


def tensor_name(name: str) -> str:
    """Return the full form of a tensor name: "a" is "a:0"."""
    return "{}:{}".format(*split_input(name))


def tensor_count(argument: Any, node: Any) -> int:
    """Return how many tensors an argument of an op stands for; an attribute of the node gives the length of a list."""
    if argument.number_attr:
        return int(node.attr[argument.number_attr].i)
    return len(node.attr[argument.type_list_attr].list.type) if argument.type_list_attr else 1


def show_tags(tags: Iterable[str]) -> str:
    """Return a tag set as text: "{}", "{'train'}"."""
    return "{" + ", ".join(repr(tag) for tag in sorted(tags)) + "}"
