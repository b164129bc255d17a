"""A module opened for reading, from a handle: its files, graphs, and its checkpoint's index."""

from __future__ import annotations

import os
from dataclasses import dataclass

from modhub.errors import CorruptModuleError
from modhub.format import Bundle
from modhub.format.bundle import read_module_bundle
from modhub.format.files import ModuleFiles, open_files
from modhub.format.layout import BUNDLE, MODULE_DEF, check_module_def
from modhub.format.meta_graphs import MetaGraph, read_meta_graphs
from modhub.handles import find_path

__all__ = ["TF1_HUB", "TF1_SAVED_MODEL", "TF2_SAVED_MODEL", "Contents", "open_module"]

TF1_HUB = "TF1 Hub module"
TF1_SAVED_MODEL = "TF1 SavedModel"
TF2_SAVED_MODEL = "TF2 SavedModel"

_INDEX = f"{BUNDLE}.index"
_MOST_MARKER_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contents:
    """What a module or SavedModel is made of.

    Attributes:
      handle: as it was given.
      files: its files.
      format: one of TF1_HUB, TF1_SAVED_MODEL and TF2_SAVED_MODEL.
      meta_graphs: one a graph variant.
      bundle: the index of its checkpoint; None where there is none.
    """

    handle: str
    files: ModuleFiles
    format: str
    meta_graphs: tuple[MetaGraph, ...]
    bundle: Bundle | None


def open_module(handle: str | os.PathLike[str]) -> Contents:
    """Open a module or SavedModel: a directory, or a tar archive, which is read without unpacking it to disk.

    The values of variables are not read.

    Raises:
      HandleNotFoundError: the handle names nothing.
      NotAModuleError: it is neither a module nor a SavedModel.
      CorruptModuleError: a file is damaged, or the archive is.
      UnsupportedFormatError: it needs features that this version does not know.
    """
    files = open_files(find_path(handle))
    is_module = MODULE_DEF in files.sizes
    if is_module:
        check_module_def(files.read(MODULE_DEF, _MOST_MARKER_BYTES), f"{files.where}/{MODULE_DEF}")
    meta_graphs = read_meta_graphs(files)
    is_tf2 = any(meta_graph.definition.object_graph_def.nodes for meta_graph in meta_graphs)
    return Contents(
        handle=os.fspath(handle),
        files=files,
        format=TF1_HUB if is_module else TF2_SAVED_MODEL if is_tf2 else TF1_SAVED_MODEL,
        meta_graphs=meta_graphs,
        bundle=_bundle(files, meta_graphs),
    )


def _bundle(files: ModuleFiles, meta_graphs: tuple[MetaGraph, ...]) -> Bundle | None:
    if _INDEX not in files.sizes:
        if any(meta_graph.collection("variables") for meta_graph in meta_graphs):
            raise CorruptModuleError(
                f"{files.where!r} has variables, and no {_INDEX!r}. Download or export the module again."
            )
        return None
    return read_module_bundle(files)
