"""Entries that tensorflow_hub wrote: they have no manifest, and may be what a connection that broke has left."""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath

from modhub.cache.checking import is_settled, listed_files
from modhub.cache.descriptor import DOWNLOADED, read_descriptor
from modhub.cache.manifest import Manifest, new_manifest
from modhub.errors import CorruptModuleError, UnsupportedFormatError
from modhub.format.bundle import read_module_bundle
from modhub.format.bundle_verify import verify_bundle
from modhub.format.digests import digest_file
from modhub.format.files import ModuleFiles, open_files
from modhub.format.layout import ASSETS, BUNDLE, MANIFEST, MODULE_DEF, check_module_def
from modhub.format.meta_graphs import MetaGraph, read_meta_graphs

__all__ = ["check_whole", "describe_foreign"]

_MOST_MARKER_BYTES = 65536


def describe_foreign(directory: Path, handle: str) -> Manifest:
    """Check that an entry without a manifest is a whole module, and make its manifest.

    What is checked is what the format allows: the graph is read to its end, the values of all variables against the
    checksums that the checkpoint has, and whether each asset that the graph names is there. All files are read.

    Args:
      directory: the entry.
      handle: what it was asked for as.

    Returns:
      Its manifest.

    Raises:
      ModuleFormatError: it is not whole, or no module.
      OSError: it cannot be read.
    """
    # A manifest is another process's that does the same.
    statuses = {name: status for name, status in listed_files(directory) if name != MANIFEST}
    for name, status in statuses.items():
        if not stat.S_ISREG(status.st_mode):
            raise CorruptModuleError(f"{name!r} in {str(directory)!r} is not a file.")
    _check_module(open_files(directory))
    digests, times = {}, {}
    for name, status in statuses.items():
        times[name] = _settled(directory / name, status)
        digests[name] = digest_file(directory / name)
    manifest = new_manifest(
        directory,
        digests,
        handle=handle,
        key=directory.name,
        by="tensorflow_hub",
        downloaded=read_descriptor(directory.parent, directory.name).get(DOWNLOADED),
    )
    # The times of before it was read, so that a file which was written to meanwhile is read again.
    records = {name: dataclasses.replace(record, mtime_ns=times[name]) for name, record in manifest.files.items()}
    return dataclasses.replace(manifest, files=records)


def check_whole(directory: Path) -> None:
    """Check that a module or SavedModel is whole, as far as the format allows. A directory of another kind passes.

    Raises:
      ModuleFormatError: it is not.
    """
    files = open_files(directory)
    if any(name.startswith(("saved_model.", MODULE_DEF, BUNDLE)) for name in files.sizes):
        _check_module(files)


def _check_module(files: ModuleFiles) -> None:
    if MODULE_DEF in files.sizes:
        check_module_def(files.read(MODULE_DEF, _MOST_MARKER_BYTES), f"{files.where}/{MODULE_DEF}")
    try:
        meta_graphs = read_meta_graphs(files)
    except UnsupportedFormatError:  # saved_model.cpb, which only TensorFlow reads
        meta_graphs = ()
    assets = {name for meta_graph in meta_graphs for name in meta_graph.assets().values()}
    missing = [name for name in sorted(assets) if f"{ASSETS}/{PurePosixPath(name)}" not in files.sizes]
    if missing:
        raise CorruptModuleError(f"The asset {missing[0]!r} is not in {files.where!r}.")
    has_values = any(name.startswith(f"{BUNDLE}.") for name in files.sizes)
    if has_values or any(_has_variables(meta_graph) for meta_graph in meta_graphs):
        verify_bundle(read_module_bundle(files))


def _has_variables(meta_graph: MetaGraph) -> bool:
    """Tell whether a graph restores values: a module lists its variables, a SavedModel has ops that restore them."""
    return bool(meta_graph.collection("variables")) or bool(meta_graph.definition.saver_def.restore_op_name)


def _settled(path: Path, status: os.stat_result) -> int:
    """Set the time of a file that was just written a little back: another write within the same tick has to show.

    Returns:
      Its time now, in nanoseconds.
    """
    if not is_settled(status):
        with suppress(OSError):
            earlier = (int(time.time()) // 2 * 2 - 2) * 10**9
            os.utime(path, ns=(earlier, earlier))
    return os.stat(path, follow_symlinks=False).st_mtime_ns
