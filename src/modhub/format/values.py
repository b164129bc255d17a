"""The values of a bundle's tensors as numpy arrays, checked against their checksums, without TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from modhub.errors import CorruptModuleError, UnknownVariableError, UnsupportedFormatError, accepted
from modhub.format.bundle import Bundle, BundleEntry, data_path, index_path
from modhub.format.bundle_verify import check_bytes, check_strings
from modhub.format.dtypes import NUMPY_NAMES, STRING, VARIANT, dtype_name
from modhub.format.layout import VARIABLES
from modhub.format.slices import Slice, slice_shape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from modhub.format.files import ModuleFiles

__all__ = ["read_value", "read_values"]

# Gives a part of a file of the module: name, offset and size in bytes.
_ReadRange: TypeAlias = Callable[[str, int, int], memoryview]

_BOOL = 10

# Quantized types are read as the integers that they are stored as.
_QUANTIZED: Mapping[int, str] = MappingProxyType({11: "int8", 12: "uint8", 13: "int32", 15: "int16", 16: "uint16"})


def read_value(files: ModuleFiles, bundle: Bundle, name: str) -> npt.NDArray[Any]:
    """Read one tensor of a module, and check every byte of it first.

    The types are those of numpy; quantized types become the integers they are stored as, and bfloat16 and the types of
    8 bits and less are those of the package ml-dtypes. Strings are an array of `bytes` objects.

    Args:
      files: of the module. They must not change while the array is in use: it may be a view of a mapped file.
      bundle: what `read_module_bundle` returned for these files.
      name: of the tensor; a partitioned one is put together.

    Returns:
      The value, which cannot be written to. That of a tensor in a directory, neither partitioned nor of strings, takes
      no memory of its own: it is a view of the file, where it may lie at any address (`flags.aligned` is False).

    Raises:
      UnknownVariableError: there is no tensor of this name.
      UnsupportedFormatError: of a type that neither numpy nor the installed ml-dtypes has, or of more dimensions than
        numpy has.
      CorruptModuleError: a byte is altered, or a file is cut off or missing; the message names the tensor.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> import numpy as np
      >>> from modhub.format.bundle import read_module_bundle
      >>> from modhub.format.bundle_writer import BundleWriter
      >>> from modhub.format.files import open_files
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with BundleWriter(Path(folder, "variables", "variables")) as writer:
      ...         writer.add("w", 1, np.ones([2, 2], np.float32))
      ...     files = open_files(Path(folder))
      ...     read_value(files, read_module_bundle(files), "w").tolist()
      [[1.0, 1.0], [1.0, 1.0]]
    """
    return _value(bundle, name, files.read_range)


def read_values(
    files: ModuleFiles, bundle: Bundle, names: Iterable[str] | None = None
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield several tensors of a module, each checked as `read_value` does, going through each data file once.

    `read_value` unpacks an archive again for each tensor; this holds the data files of an archive in memory instead.

    Args:
      files: of the module.
      bundle: what `read_module_bundle` returned for these files.
      names: of the tensors; None for all of them.

    Yields:
      The name and the value of each, in the order asked for.

    Raises:
      UnknownVariableError: see `read_value`.
      UnsupportedFormatError: see `read_value`; or an archive's data file is too large to be held in memory.
      CorruptModuleError: see `read_value`.
    """
    held: dict[str, memoryview] = {}

    def read_range(file: str, offset: int, size: int) -> memoryview:
        if file not in held:
            held[file] = files.mapped(file)
        return held[file][offset : offset + size]

    for name in bundle.entries if names is None else names:
        yield name, _value(bundle, name, read_range)


def _value(bundle: Bundle, name: str, read_range: _ReadRange) -> npt.NDArray[Any]:
    entry = bundle.entries.get(name)
    if entry is None:
        raise UnknownVariableError(
            f"{str(index_path(bundle.prefix))!r} has no variable {name!r}. "
            + accepted(name, bundle.entries, "variables")
        )
    dtype = _numpy_dtype(bundle, name, entry.dtype)
    _check_shape(bundle, name, entry, dtype)
    if name in bundle.pieces:
        value = _assembled(bundle, name, entry, dtype, read_range)
    else:
        value = _stored(bundle, name, entry, dtype, read_range)
    value.setflags(write=False)
    return value


def _numpy_dtype(bundle: Bundle, name: str, number: int) -> np.dtype[Any]:
    import numpy as np

    what = f"Tensor {name!r} of {str(index_path(bundle.prefix))!r} is of type {dtype_name(number)}"
    if number == STRING:
        return np.dtype(object)
    if number == VARIANT:
        raise UnsupportedFormatError(f"{what}, which holds an object of TensorFlow's own, and has no numpy value.")
    if number in NUMPY_NAMES:
        return np.dtype(NUMPY_NAMES[number]).newbyteorder("<")
    if number in _QUANTIZED:
        return np.dtype(_QUANTIZED[number]).newbyteorder("<")
    try:
        # By name: it comes with TensorFlow, and no types of it are needed here.
        dtype: np.dtype[Any] = np.dtype(getattr(importlib.import_module("ml_dtypes"), dtype_name(number)))
    except ImportError as error:
        raise UnsupportedFormatError(f"{what}; to read it: pip install ml-dtypes") from error
    except AttributeError as error:
        raise UnsupportedFormatError(
            f"{what}, which the installed ml-dtypes lacks; to read it: pip install --upgrade ml-dtypes"
        ) from error
    return dtype


def _check_shape(bundle: Bundle, name: str, entry: BundleEntry, dtype: np.dtype[Any]) -> None:
    """Check that numpy can have such a shape, before anything is read; it also refuses empty ones of large sides."""
    import numpy as np

    try:
        np.broadcast_to(np.empty((), dtype), entry.shape)
    except ValueError as error:
        raise UnsupportedFormatError(
            f"Tensor {name!r} of {str(index_path(bundle.prefix))!r} has a shape of {len(entry.shape)} dimensions that "
            f"numpy does not have: {error}."
        ) from error


def _assembled(
    bundle: Bundle, name: str, entry: BundleEntry, dtype: np.dtype[Any], read_range: _ReadRange
) -> npt.NDArray[Any]:
    """Put a partitioned tensor together; the index reader has seen that its slices make it up."""
    import numpy as np

    value = np.empty(entry.shape, dtype)
    for part, piece in zip(entry.slices, bundle.pieces[name], strict=True):
        # The ellipsis makes the left side a view even of an array without dimensions.
        value[(*_spans(part, entry.shape), ...)] = _stored(bundle, name, piece, dtype, read_range)
    return value


def _spans(part: Slice, shape: tuple[int, ...]) -> list[Any]:
    return [slice(start, start + size) for (start, _), size in zip(part, slice_shape(part, shape), strict=True)]


def _stored(
    bundle: Bundle, name: str, entry: BundleEntry, dtype: np.dtype[Any], read_range: _ReadRange
) -> npt.NDArray[Any]:
    """Read and check what one entry has in a data file."""
    import numpy as np

    path = data_path(bundle.prefix, entry.shard, bundle.num_shards)
    data = read_range(f"{VARIABLES}/{path.name}", entry.offset, entry.size)
    try:
        if len(data) != entry.size:
            raise ValueError(f"it is cut off, and tensor {name!r} ends at {entry.offset + entry.size}")
        if entry.dtype == STRING:
            return _strings(data, name, entry)
        check_bytes(data, name, entry)
        if entry.dtype == _BOOL and np.frombuffer(data, np.uint8).max(initial=0) > 1:
            raise ValueError(f"tensor {name!r} of type bool holds a byte that is neither 0 nor 1")
    except ValueError as error:
        raise CorruptModuleError(f"{str(path)!r} is damaged: {error}. Download or export the module again.") from error
    return np.frombuffer(data, dtype).reshape(entry.shape)


def _strings(data: memoryview, name: str, entry: BundleEntry) -> npt.NDArray[Any]:
    import numpy as np

    lengths, position = check_strings(data, name, entry)
    strings = np.empty(len(lengths), object)
    for number, length in enumerate(lengths.tolist()):
        strings[number] = bytes(data[position : position + length])
        position += length
    return strings.reshape(entry.shape)
