"""Writes a module directory: graphs, values, assets, whole or not at all."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from modhub import errors
from modhub.core import ModuleDescription, Variant, index_variant, node_of, show_tags
from modhub.format import ASSETS, BUNDLE, SAVED_MODEL, BundleWriter, asset_names, new_module_directory

__all__ = ["Value", "checkpoint_values", "publish", "published_variant", "write_values"]

# What stands in a published graph where an asset's path was.
_ASSET_PLACEHOLDER = "SAVEDMODEL-ASSET"
_PATH = re.compile(rb"(^|_)(/|~|[A-Za-z]:[\\\\/]|[a-z0-9]+://)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A variable's value, or one partition of it.

    Attributes:
      key: its name in the checkpoint.
      dtype: of its elements.
      array: what it holds, a NumPy array.
      full_shape, extent: of a partition, the shape of the whole and (start, length) for each dimension.
    """

    key: str
    dtype: tf.DType
    array: Any
    full_shape: tuple[int, ...] = ()
    extent: tuple[tuple[int, int], ...] | None = None


def published_variant(description: ModuleDescription) -> Variant:
    """Return the variant whose variables are those of the module: without tags if that will do.

    Raises:
      ExportError: every variant has variables that another lacks.
    """
    variants = sorted(description, key=lambda variant: len(variant.tags))
    for variant in variants:
        if not any(_lacking(variant, other) for other in variants):
            return variant
    _check_variants(description, variants[0])
    return variants[0]


def checkpoint_values(variant: Variant, checkpoint: str, rename: Callable[[str], str]) -> Iterator[Value]:
    """Yield a variant's values from a checkpoint.

    Raises:
      CheckpointError: it cannot be read, lacks a variable, or has it in another shape or dtype.
    """
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise errors.CheckpointError(f"The checkpoint {checkpoint!r} cannot be read: {error}") from error
    variables = {variable.key: variable for variable in index_variant(variant).variables.values()}
    for key, variable in variables.items():
        source = rename(key)
        if source not in shapes:
            raise errors.CheckpointError(
                f"The variable {key!r} of the module, called {source!r}, is not found in the checkpoint "
                f"{checkpoint!r}. " + errors.accepted(source, shapes, "tensors")
            )
        if not variable.shape.is_compatible_with(shapes[source]) or dtypes[source] != variable.dtype:
            raise errors.CheckpointError(
                f"The variable {key!r} of the module has shape {variable.shape} and dtype {variable.dtype.name}, which "
                f"doesn't match with shape {shapes[source]} and dtype {dtypes[source].name} of {source!r} in "
                f"{checkpoint!r}."
            )
        try:
            array = reader.get_tensor(source)
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise errors.CheckpointError(
                f"{source!r} of the checkpoint {checkpoint!r} cannot be read: {error}"
            ) from error
        yield Value(key=key, dtype=variable.dtype, array=array)


def write_values(prefix: Path, values: Iterable[Value]) -> None:
    """Write a checkpoint.

    Args:
      prefix: of the checkpoint.
      values: one at a time, so that they need not all be in memory.
    """
    with BundleWriter(prefix) as writer:
        for value in values:
            number = value.dtype.as_datatype_enum
            if value.extent is None:
                writer.add(value.key, number, value.array)
            else:
                writer.add_slice(value.key, number, value.full_shape, value.extent, value.array)


def publish(description: ModuleDescription, variant: Variant, path: str, write: Callable[[Path], None]) -> None:
    """Write a module.

    Args:
      description: the module, all variants of which are written.
      variant: the one whose variables `write` writes.
      path: the new directory.
      write: writes the checkpoint, given its prefix; not called for a module without variables.

    Raises:
      ExportExistsError: the path exists.
      ExportError: another variant has variables that this one lacks, or a file could not be written.
      MissingAssetError: an asset is not where the graph says.
    """
    _check_variants(description, variant)
    sources = {each.tags: _asset_sources(description, each) for each in description}
    names = asset_names(source for assets in sources.values() for source in assets.values())
    for source in names:
        if not os.path.isfile(source):
            raise errors.MissingAssetError(f"The asset {source!r} of the module is not there, so it cannot be copied.")
    with new_module_directory(Path(path)) as directory:
        if names:
            (directory / ASSETS).mkdir()
            for source, name in names.items():
                shutil.copyfile(source, directory / ASSETS / name)
        if index_variant(variant).variables:
            (directory / BUNDLE).parent.mkdir()
            write(directory / BUNDLE)
        saved_model = saved_model_pb2.SavedModel()
        for each in description:
            files = {tensor: names[source] for tensor, source in sources[each.tags].items()}
            saved_model.meta_graphs.append(_published(each.meta_graph, files))
        (directory / SAVED_MODEL).write_bytes(saved_model.SerializeToString(deterministic=True))


def _check_variants(description: ModuleDescription, variant: Variant) -> None:
    for other in description:
        lacking = _lacking(variant, other)
        if lacking:
            raise errors.ExportError(
                f"The variant with tags {show_tags(other.tags)} has variables {lacking} that the exported one, with "
                f"tags {show_tags(variant.tags)}, lacks or has in another shape: their values would be lost. "
                "Create them in every variant, or export the variant that has them all."
            )


def _lacking(variant: Variant, other: Variant) -> list[str]:
    if other is variant:
        return []
    have, want = _shapes(variant), _shapes(other)
    return sorted(key for key, shape in want.items() if have.get(key) != shape)


def _shapes(variant: Variant) -> dict[str, tuple[Any, ...]]:
    variables = index_variant(variant).variables.values()
    return {
        variable.key: (variable.dtype, variable.shape.as_list() if variable.shape.rank is not None else None)
        for variable in variables
    }


def _asset_sources(description: ModuleDescription, variant: Variant) -> dict[str, str]:
    """Return the files that a variant's asset constants name: tensor -> path."""
    if description.directory is not None:
        return {tensor: str(description.directory / ASSETS / name) for tensor, name in variant.assets().items()}
    nodes = index_variant(variant).nodes
    found = {}
    for name in variant.collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS):
        (path,) = nodes[node_of(name)].attr["value"].tensor.string_val
        found[name] = path.decode()
    return found


def _published(original: Any, assets: Mapping[str, str]) -> Any:
    """Return a MetaGraphDef for publication: no path of this machine in it."""
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.CopyFrom(original)
    meta_graph.ClearField("saver_def")
    meta_graph.ClearField("asset_file_def")
    meta_graph.collection_def.pop("saved_model_assets", None)
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    for tensor, filename in assets.items():
        value = nodes[node_of(tensor)].attr["value"].tensor
        value.CopyFrom(tf.make_tensor_proto(_ASSET_PLACEHOLDER))
        definition = meta_graph_pb2.AssetFileDef(filename=filename)
        definition.tensor_info.name = tensor
        meta_graph.collection_def["saved_model_assets"].any_list.value.add().Pack(definition)
    for node in nodes.values():
        # The initializers of a nested module point to its checkpoint; a reader has the values in this one.
        prefix = nodes.get(node.input[0]) if node.op == "RestoreV2" else None
        if prefix is not None and prefix.op == "Const":
            prefix.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(""))
        # TensorFlow calls a table that is read from a file "hash_table_/home/me/words.txt_-2_-1".
        if "shared_name" in node.attr and _PATH.search(node.attr["shared_name"].s):
            node.attr["shared_name"].s = node.name.encode()
    return meta_graph
