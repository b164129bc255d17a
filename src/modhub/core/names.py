"""How a GraphDef names tensors, ops and control edges."""

from __future__ import annotations

__all__ = ["node_of", "split_input", "tensor_name"]


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
