"""Reads a spec from a module directory or from a TF1 SavedModel."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from modhub import errors
from modhub.authoring.checks import SUPPORTED_COLLECTIONS, as_collection_keys, check_collections
from modhub.authoring.spec import ModuleSpec
from modhub.core import ModuleDescription, Variant, node_of, show_tags, tensorflow_classes
from modhub.format import ASSETS, BUNDLE, Bundle, check_constants, read_bundle, read_module_def, read_saved_model
from modhub.handles import find_directory
from modhub.inspection.trust import check_trust

__all__ = ["create_module_spec_from_saved_model", "load_module_spec", "module_spec_of", "saved_model_as_it_is"]

_keys = tf.compat.v1.GraphKeys
# Collections of a SavedModel that a module never has: a reader of modules runs no init op and counts no steps.
_INIT_OPS = ("legacy_init_op", "saved_model_main_op")
_INIT_SIGNATURE = "__saved_model_init_op"
_ALWAYS_DROPPED = (_keys.GLOBAL_STEP, *_INIT_OPS, "saved_model_train_op")


def load_module_spec(path: str | os.PathLike[str], *, trust: bool | None = None) -> ModuleSpec:
    """Load the spec of a published module.

    The checkpoint's index is verified now; its values are when a `Module` first needs them.

    Args:
      path: the module's handle, see `modhub.resolve`: a directory, an archive, or a URL.
      trust: whether to load what a scan refuses (see docs/scan.md): True loads it, False refuses it, None refuses it
        from a URL and warns of it from a local path.

    Returns:
      Its `ModuleSpec`.

    Raises:
      HandleNotFoundError: the path does not exist (also a `tf.errors.NotFoundError`).
      DownloadError, CacheError and others: see `modhub.resolve`.
      NotAModuleError: it is a directory of another kind; the message says which, and what reads it.
      UnsupportedFormatError: it needs features that this version does not know.
      CorruptModuleError: a file is truncated or altered.
      MissingAssetError: a file below `assets/` is missing.
      UntrustedModuleError: it can do more than compute, and is not trusted.
    """
    with tensorflow_classes():
        return module_spec_of(find_directory(_as_handle(path)), handle=path, trust=trust)


def module_spec_of(directory: Path, *, handle: str | os.PathLike[str], trust: bool | None) -> ModuleSpec:
    """Return the spec of the module in a directory.

    Args:
      directory: where it is.
      handle: what the user named.
      trust: as for `load_module_spec`, whose errors it raises.
    """
    read_module_def(directory)
    saved_model = _read(directory)
    return _trusted(handle, trust, _describe(directory, saved_model), saved_model)


def create_module_spec_from_saved_model(
    saved_model_path: str | os.PathLike[str],
    drop_collections: Iterable[str] | None = None,
    *,
    trust: bool | None = None,
) -> ModuleSpec:
    """Create a spec from a TF1 SavedModel, to be used or published as a module.

    Tags and signature names stay as they are: `hub.Module(spec, tags={"serve"})` and
    `m(x, signature="serving_default")` are usual. Tables are initialized through the collection TABLE_INITIALIZERS;
    init ops and savers of the SavedModel are ignored.

    Args:
      saved_model_path: the SavedModel's handle, see `modhub.resolve`.
      drop_collections: names of graph collections to do without.
      trust: as for `load_module_spec`.

    Raises:
      HandleNotFoundError, NotAModuleError, CorruptModuleError, MissingAssetError, UntrustedModuleError: as for
        `load_module_spec`.
      ModuleDefinitionError: a collection is not supported.
      UnsupportedFormatError: it is a TF2 SavedModel.
    """
    dropped = {*_ALWAYS_DROPPED, *as_collection_keys(drop_collections)}
    with tensorflow_classes():
        directory = find_directory(_as_handle(saved_model_path))
        saved_model = _read(directory)
        for meta_graph in saved_model.meta_graphs:
            for key in dropped:
                meta_graph.collection_def.pop(key, None)
            check_collections(key for key, items in meta_graph.collection_def.items() if items.WhichOneof("kind"))
        return _trusted(saved_model_path, trust, _describe(directory, saved_model), saved_model)


def saved_model_as_it_is(directory: Path, *, handle: str | os.PathLike[str], trust: bool | None) -> ModuleSpec:
    """Return the spec of a TF1 SavedModel to be loaded, not published: with what it initializes tables by.

    Collections that modules do not have are left out.

    Args:
      directory: where it is.
      handle: what the user named.
      trust: as for `load_module_spec`.
    """
    saved_model = _read(directory)
    for meta_graph in saved_model.meta_graphs:
        collections = meta_graph.collection_def
        initializers = {op for key in _INIT_OPS if key in collections for op in collections[key].node_list.value}
        if _INIT_SIGNATURE in meta_graph.signature_def:
            initializers |= {info.name for info in meta_graph.signature_def.pop(_INIT_SIGNATURE).outputs.values()}
        for key in set(collections) - SUPPORTED_COLLECTIONS:
            del collections[key]
        # The collection says it exactly; where there is none, whatever runs at loading does.
        if initializers and _keys.TABLE_INITIALIZERS not in collections:
            collections[_keys.TABLE_INITIALIZERS].node_list.value.extend(sorted(initializers))
    return _trusted(handle, trust, _describe(directory, saved_model), saved_model)


def _as_handle(path: Any) -> str:
    if not isinstance(path, str | PurePath):
        raise errors.InvalidArgumentError(
            f"Unknown module spec type: {type(path).__name__}. Expected the path of a module, or a ModuleSpec."
        )
    return os.fspath(path)


def _read(directory: Path) -> Any:
    saved_model = read_saved_model(directory, saved_model_pb2.SavedModel)
    for meta_graph in saved_model.meta_graphs:
        if meta_graph.object_graph_def.nodes:
            raise errors.UnsupportedFormatError(
                f"{directory} is a TF2 SavedModel: its graph is not made of variants and state. "
                f"Load it with tf.saved_model.load({str(directory)!r})."
            )
        check_constants(meta_graph.graph_def, f"{directory}, tags {show_tags(meta_graph.meta_info_def.tags)}")
    return saved_model


def _trusted(
    handle: str | os.PathLike[str], trust: bool | None, description: ModuleDescription, saved_model: Any
) -> ModuleSpec:
    """Return the spec of a module that is whole, if it is trusted."""
    assert description.directory is not None  # it was read from there
    check_trust(handle, description.directory, trust, _ops(saved_model))
    return ModuleSpec(description)


def _ops(saved_model: Any) -> set[str]:
    """Return the ops of all graphs and functions."""
    graphs = [meta_graph.graph_def for meta_graph in saved_model.meta_graphs]
    found = {node.op for graph in graphs for node in graph.node}
    return found | {node.op for graph in graphs for each in graph.library.function for node in each.node_def}


def _describe(directory: Path, saved_model: Any) -> ModuleDescription:
    variants = tuple(
        Variant(tags=frozenset(meta_graph.meta_info_def.tags), meta_graph=meta_graph, source=str(directory))
        for meta_graph in saved_model.meta_graphs
    )
    for variant in variants:
        _check_assets(directory, variant)
    has_variables = any(variant.collection(_keys.GLOBAL_VARIABLES) for variant in variants)
    weights: Bundle | None = read_bundle(directory / BUNDLE) if has_variables else None
    return ModuleDescription(variants=variants, directory=directory, weights=weights)


def _check_assets(directory: Path, variant: Variant) -> None:
    try:
        assets = variant.assets()
    except Exception as error:  # protobuf raises several kinds
        raise errors.CorruptModuleError(f"The list of assets in {directory} does not parse: {error}") from error
    listed = {node_of(name) for name in assets}
    for name in variant.collection(_keys.ASSET_FILEPATHS):
        if node_of(name) not in listed:
            raise errors.CorruptModuleError(f"The asset {name!r} of {directory} has no file name.")
    for filename in assets.values():
        path = directory / ASSETS / filename
        parts = PurePath(filename).parts
        if not parts or ".." in parts or PurePath(filename).is_absolute():
            raise errors.CorruptModuleError(f"The asset {filename!r} lies outside the assets of {directory}.")
        if not path.is_file():
            raise errors.MissingAssetError(f"The asset {path} that the module needs is missing: publish it again.")
