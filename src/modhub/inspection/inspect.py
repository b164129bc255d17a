"""`hub.inspect`: what is in a module, without TensorFlow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from modhub.format import ASSETS, ImageModuleInfo
from modhub.format.collections import collection_size
from modhub.format.graph import Node
from modhub.format.meta_graphs import MetaGraph, unreadable
from modhub.inspection.contents import Contents, open_module
from modhub.inspection.description import (
    AssetDescription,
    AttachmentDescription,
    Inspection,
    VariantDescription,
)
from modhub.inspection.signatures import describe_signatures
from modhub.inspection.variables import declared_variables, describe_variables, trainable_variables

__all__ = ["describe", "inspect"]

_IMAGE_MODULE_INFO = "image_module_info"
_MOST_TEXT_BYTES = 65536


def inspect(handle: str | os.PathLike[str]) -> Inspection:
    """Describe a TF1 Hub module, a TF1 SavedModel or a TF2 SavedModel, without TensorFlow.

    Files are checked as far as they are read: the graphs and the index of the checkpoint in full, the values of
    variables when `Inspection.read_variable` asks for one.

    Args:
      handle: a directory, or a tar archive, which is read without unpacking it to disk.

    Returns:
      Its description.

    Raises:
      HandleNotFoundError: the handle names nothing.
      NotAModuleError: it is neither a module nor a SavedModel; the message says what it looks like.
      CorruptModuleError: a file is truncated, altered, or beyond what a module can hold.
      UnsupportedFormatError: it needs features that this version does not know.

    Example:
      >>> inspect("no/such/module")
      Traceback (most recent call last):
      modhub.errors.HandleNotFoundError: 'no/such/module' does not exist. ...
    """
    return describe(open_module(handle))


def describe(contents: Contents) -> Inspection:
    """Describe a module that was opened."""
    files, bundle = contents.files, contents.bundle
    return Inspection(
        handle=contents.handle,
        format=contents.format,
        variants=tuple([_variant(meta_graph) for meta_graph in contents.meta_graphs]),
        variables=describe_variables(bundle, trainable_variables(files, bundle, contents.meta_graphs)),
        assets=_assets(contents),
        files=dict(sorted(files.sizes.items())),
        _files=files,
        _bundle=bundle,
    )


def _variant(meta_graph: MetaGraph) -> VariantDescription:
    graph, definition = meta_graph.graph, meta_graph.definition
    return VariantDescription(
        tags=tuple(sorted(meta_graph.tags)),
        signatures=describe_signatures(meta_graph),
        collections={key: collection_size(definition, key) for key in sorted(definition.collection_def)},
        variables=tuple(sorted(declared_variables(meta_graph))),
        trainable=tuple(sorted(declared_variables(meta_graph, "trainable_variables"))),
        regularization_losses=_names(meta_graph, "regularization_losses"),
        update_ops=_names(meta_graph, "update_ops"),
        assets=tuple(sorted(set(meta_graph.assets().values()))),
        attachments=tuple([_attachment(key, raw) for key, raw in sorted(meta_graph.attachments().items())]),
        ops=_histogram(graph.nodes),
        functions={name: len(function.nodes) for name, function in sorted(graph.functions.items())},
        function_ops=_histogram(node for function in graph.functions.values() for node in function.nodes),
        producer=graph.producer,
        min_consumer=graph.min_consumer,
        tensorflow_version=definition.meta_info_def.tensorflow_version,
    )


def _names(meta_graph: MetaGraph, collection: str) -> tuple[str, ...]:
    """Return the names of tensors or ops in a collection, which holds nothing else."""
    return tuple([item for item in meta_graph.collection(collection) if isinstance(item, str)])


def _histogram(nodes: Iterable[Node]) -> dict[str, int]:
    return dict(sorted(Counter(node.op for node in nodes).items()))


def _attachment(key: str, raw: bytes) -> AttachmentDescription:
    value: object = None
    if key == _IMAGE_MODULE_INFO:
        with unreadable("the attachment 'image_module_info'"):
            size = ImageModuleInfo.FromString(raw).default_image_size
            value = {"default_image_size": {"height": size.height, "width": size.width}}
    elif len(raw) <= _MOST_TEXT_BYTES and raw.isascii() and raw.decode().isprintable():
        value = raw.decode()
    return AttachmentDescription(key=key, bytes=len(raw), value=value, raw=raw)


def _assets(contents: Contents) -> tuple[AssetDescription, ...]:
    prefix = f"{ASSETS}/"
    sizes = {name.removeprefix(prefix): size for name, size in contents.files.sizes.items() if name.startswith(prefix)}
    users: dict[str, list[tuple[str, ...]]] = {name: [] for name in sizes}
    for meta_graph in contents.meta_graphs:
        for name in sorted(set(meta_graph.assets().values())):
            users.setdefault(name, []).append(tuple(sorted(meta_graph.tags)))
    return tuple(
        [
            AssetDescription(name=name, bytes=sizes.get(name), used_by=tuple(variants))
            for name, variants in sorted(users.items())
        ]
    )
