"""What a graph must satisfy to become a variant of a module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2

from modhub import errors
from modhub.core import is_state_op, show_tags

__all__ = [
    "SUPPORTED_COLLECTIONS",
    "as_collection_keys",
    "check_assets",
    "check_collections",
    "check_colocations",
    "check_signatures",
]

_keys = tf.compat.v1.GraphKeys
SUPPORTED_COLLECTIONS = frozenset(
    {
        _keys.GLOBAL_VARIABLES, _keys.TRAINABLE_VARIABLES, _keys.MODEL_VARIABLES, _keys.TABLE_INITIALIZERS,
        _keys.UPDATE_OPS, _keys.REGULARIZATION_LOSSES, _keys.ASSET_FILEPATHS, _keys.COND_CONTEXT, _keys.WHILE_CONTEXT,
        "saved_model_assets", "hub_module_attachments",
    }
)  # fmt: skip


def as_collection_keys(keys: Iterable[str] | None) -> list[str]:
    """Return the keys of collections as a list.

    Raises:
      InvalidArgumentError: they are a string.
    """
    if isinstance(keys, str):
        raise errors.InvalidArgumentError(
            f"drop_collections={keys!r} is a string, where a list of strings is expected: write [{keys!r}]."
        )
    return list(keys or ())


def check_signatures(signatures: Iterable[str], tags: Iterable[str]) -> None:
    """Check that there is a signature.

    Raises:
      ModuleDefinitionError: there is none.
    """
    if not list(signatures):
        raise errors.ModuleDefinitionError(
            f"No signatures present in the graph variant with tags {show_tags(tags)}. "
            "Please call hub.add_signature(...) at least once in the module_fn."
        )


def check_collections(keys: Iterable[str]) -> None:
    """Check that only collections which go with a module hold anything.

    Raises:
      ModuleDefinitionError: another one does.
    """
    unsupported = sorted(str(key) for key in set(keys) - SUPPORTED_COLLECTIONS)
    if unsupported:
        raise errors.ModuleDefinitionError(
            f"Unsupported collections in graph: {unsupported}\n"
            f"Use hub.create_module_spec(..., drop_collections={unsupported}) as appropriate. "
            + errors.accepted("", SUPPORTED_COLLECTIONS - {"hub_module_attachments"}, "collections")
        )


def check_colocations(graph_def: Any, tags: Iterable[str]) -> None:
    """Check that no state is placed with an op that is no state: state is created apart from the rest.

    Raises:
      ModuleDefinitionError: a tf.colocate_with ties state to another op.
    """
    kinds = {op for op in {node.op for node in graph_def.node} if is_state_op(op)}
    state = {node.name for node in graph_def.node if node.op in kinds}
    for node in graph_def.node:
        if node.name not in state or "_class" not in node.attr:
            continue
        others = [group.decode().removeprefix("loc:@") for group in node.attr["_class"].list.s]
        strangers = [name for name in others if name not in state]
        if strangers:
            raise errors.ModuleDefinitionError(
                f"A state-holding node x of a module's graph (e.g., a Variable op) must not be subject to a "
                f"tf.colocate_with(y) constraint unless y is also a state-holding node. In the graph for tags "
                f"{show_tags(tags)}: x is {node.name!r} ({node.op}), y is {strangers[0]!r}."
            )


def check_assets(graph: tf.Graph) -> None:
    """Check that assets are constants: their paths change when the module is published.

    Raises:
      ModuleDefinitionError: an asset's path is computed, or no scalar string.
    """
    for tensor in graph.get_collection(_keys.ASSET_FILEPATHS):
        if not isinstance(tensor, tf.Tensor) or tensor.op.type != "Const" or tensor.dtype.base_dtype != tf.string:
            raise errors.ModuleDefinitionError(
                f"The asset {tensor!r} in ASSET_FILEPATHS is not a string constant; make it with tf.constant(path)."
            )
        if tensor.shape.rank != 0 or tensor.op.get_attr("value").dtype != types_pb2.DT_STRING:
            raise errors.ModuleDefinitionError(f"The asset {tensor.name} is not a scalar, so it names no one file.")
