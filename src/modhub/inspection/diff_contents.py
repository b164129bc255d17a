"""What `hub.diff` compares by its contents: nodes of graphs, values of variables, and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modhub.format.files import DirectoryFiles, ModuleFiles
from modhub.format.graph import Graph, Nodes
from modhub.format.layout import ASSETS, MODULE_DEF, SAVED_MODEL, VARIABLES
from modhub.format.meta_graphs import SAVED_MODEL_TEXT

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["changed_files", "changed_nodes", "compare_values"]

_ELEMENTS = 2**18  # compared at a time: a few MB with what is computed of them
_CHUNK = 2**22
# What is compared by what is in it, and a digest of them that newer TensorFlow writes.
_KNOWN = frozenset({MODULE_DEF, SAVED_MODEL, SAVED_MODEL_TEXT, "fingerprint.pb"})


def changed_nodes(a: Graph, b: Graph) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the nodes in which two graphs differ: name, and the op in each; None where a graph lacks the node.

    Nodes of functions are named "function/node"; those of functions that only one graph has are left out.
    """
    yield from _changed("", a.nodes, b.nodes)
    for name in sorted({*a.functions} & {*b.functions}):
        yield from _changed(f"{name}/", a.functions[name].nodes, b.functions[name].nodes)


def _changed(prefix: str, a: Nodes, b: Nodes) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted({*a.by_name, *b.by_name}):
        one, other = a.by_name.get(name), b.by_name.get(name)
        if one is None or other is None or not one.same_as(other):
            yield prefix + name, None if one is None else one.op, None if other is None else other.op


def compare_values(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[int, float | None]:
    """Compare two arrays of the same dtype and shape, block by block.

    Returns:
      The number of elements that differ, and of numbers the greatest difference. A NaN equals a NaN; the difference is
      infinite where one of two elements is NaN, or where they are infinities of different signs, or only one is.

    Example:
      >>> import numpy as np
      >>> compare_values(np.array([1.0, np.nan, 3.0]), np.array([1.5, np.nan, 3.0]))
      (1, 0.5)
    """
    import numpy as np

    one, other = a.reshape(-1), b.reshape(-1)
    unequal, greatest = 0, 0.0
    for start in range(0, one.size, _ELEMENTS):
        x, y = one[start : start + _ELEMENTS], other[start : start + _ELEMENTS]
        if x.dtype.hasobject:
            unequal += sum(left != right for left, right in zip(x.tolist(), y.tolist(), strict=True))
            continue
        if x.dtype.kind not in "biufc":  # those of ml_dtypes
            x, y = x.astype(np.float32), y.astype(np.float32)
        differs = x != y
        if x.dtype.kind in "fc":
            differs &= ~(np.isnan(x) & np.isnan(y))
        count = int(np.count_nonzero(differs))
        if count:
            unequal += count
            greatest = max(greatest, _greatest(x[differs], y[differs]))
    return unequal, None if one.dtype.hasobject else greatest


def _greatest(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> float:
    import numpy as np

    if x.dtype.kind == "b":
        return 1.0
    if x.dtype.kind in "iu":
        # In the unsigned type of the same width no difference overflows.
        unsigned = np.dtype(f"u{x.dtype.itemsize}")
        return float((np.maximum(x, y).astype(unsigned) - np.minimum(x, y).astype(unsigned)).max())
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.abs(x.astype(np.result_type(x, np.float64)) - y.astype(np.result_type(y, np.float64)))
    distance[np.isnan(distance)] = np.inf
    return float(distance.max())


def changed_files(a: ModuleFiles, b: ModuleFiles) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Yield in which files two modules differ: "asset" or "file", name, and what each has.

    Left out are graphs and variables, which are compared by what they say, and what a newer TensorFlow writes of them.
    """
    names = {name for files in (a, b) for name in files.sizes}
    for name in sorted(names, key=lambda name: (not name.startswith(f"{ASSETS}/"), name)):
        if name in _KNOWN or name.startswith(f"{VARIABLES}/"):
            continue
        sizes = a.sizes.get(name), b.sizes.get(name)
        if sizes[0] == sizes[1] and _digest(a, name) == _digest(b, name):
            continue
        what = "asset" if name.startswith(f"{ASSETS}/") else "file"
        yield what, name.removeprefix(f"{ASSETS}/"), _contents(a, name), _contents(b, name)


def _contents(files: ModuleFiles, name: str) -> str | None:
    if name not in files.sizes:
        return None
    return f"{files.sizes[name]} bytes, SHA-256 {_digest(files, name)}"


def _digest(files: ModuleFiles, name: str) -> str:
    """Return the SHA-256 of a file; of a directory it is read piece by piece, so that it takes no memory."""
    digest, size = hashlib.sha256(), files.sizes[name]
    if isinstance(files, DirectoryFiles):
        for offset in range(0, size, _CHUNK):
            digest.update(files.read_range(name, offset, min(_CHUNK, size - offset)))
    else:
        digest.update(files.mapped(name))
    return digest.hexdigest()
