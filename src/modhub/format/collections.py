"""What the collections of a MetaGraphDef hold: names, messages, assets and attachments."""

from __future__ import annotations

from typing import Any

from modhub.format.names import tensor_name
from modhub.format.protos import ModuleAttachment

__all__ = [
    "ATTACHMENTS",
    "asset_files",
    "attached_messages",
    "collection_items",
    "collection_messages",
    "collection_size",
]

ATTACHMENTS = "hub_module_attachments"
_ASSETS = "saved_model_assets"


def collection_items(meta_graph: Any, key: str) -> list[Any]:
    """Return the items of a collection: names for a node list, bytes or messages for the other kinds.

    Args:
      meta_graph: a MetaGraphDef of any descriptor pool.
      key: the collection's name; one that is not there is empty.
    """
    if key not in meta_graph.collection_def:
        return []
    definition = meta_graph.collection_def[key]
    kind = definition.WhichOneof("kind")
    return list(getattr(definition, kind).value) if kind else []


def collection_size(meta_graph: Any, key: str) -> int:
    """Return the number of items of a collection; 0 where there is no such one."""
    if key not in meta_graph.collection_def:
        return 0
    definition = meta_graph.collection_def[key]
    kind = definition.WhichOneof("kind")
    return len(getattr(definition, kind).value) if kind else 0


def collection_messages(meta_graph: Any, key: str) -> list[bytes]:
    """Return the serialized messages of a collection; none where there is no such one.

    Raises:
      ValueError: it holds something else.
    """
    return _items_of_kind(meta_graph, key, "bytes_list")


def attached_messages(meta_graph: Any) -> dict[str, bytes]:
    """Return the serialized attached messages of a MetaGraphDef by key; of two for one key, the last.

    Raises:
      ValueError, google.protobuf.message.DecodeError: the collection holds something else.
    """
    found = map(ModuleAttachment.FromString, collection_messages(meta_graph, ATTACHMENTS))
    return {message.key: message.value for message in found}


def asset_files(meta_graph: Any) -> dict[str, str]:
    """Return the asset constants of a MetaGraphDef: name of the tensor -> file name below `assets/`.

    They are in a collection, or in the MetaGraphDef itself, where TensorFlow 1.13 and later write them.

    Raises:
      ValueError, google.protobuf.message.DecodeError: the collection holds something else.
    """
    from modhub.format.protos import AssetFileDef

    listed = [AssetFileDef.FromString(item.value) for item in _items_of_kind(meta_graph, _ASSETS, "any_list")]
    return {tensor_name(each.tensor_info.name): each.filename for each in (*listed, *meta_graph.asset_file_def)}


def _items_of_kind(meta_graph: Any, key: str, wanted: str) -> list[Any]:
    if key not in meta_graph.collection_def:
        return []
    definition = meta_graph.collection_def[key]
    kind = definition.WhichOneof("kind")
    if kind not in (wanted, None):
        raise ValueError(f"the collection {key!r} is a {kind}, where a {wanted} is expected")
    return list(getattr(definition, wanted).value)
