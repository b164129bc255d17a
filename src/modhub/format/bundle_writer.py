"""The writer of tensor bundles: streams arrays into one data file, with checksums on the way, then writes the index."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias

from modhub.errors import ExportError, ExportExistsError, InvalidArgumentError
from modhub.format.bundle import HEADER_KEY, VERSION, data_path, index_path
from modhub.format.checksum import crc32c, mask
from modhub.format.dtypes import ITEM_BYTES, NUMPY_NAMES, STRING, element_count
from modhub.format.protos import BundleEntryProto, BundleHeaderProto
from modhub.format.slices import FULL, Slice, check_cover, slice_key, slice_shape
from modhub.format.table import write_table
from modhub.format.varint import encode_varint

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["BundleRows", "BundleWriter"]

Array: TypeAlias = "npt.NDArray[Any] | np.generic | bytes | bytearray | memoryview"

# Strings are joined in batches before they are written: fewer calls, and no second copy of a large vocabulary.
_BATCH = 65536


class BundleWriter:
    """Write a bundle of tensors, in any order, that TensorFlow and `read_bundle` read.

    Arrays are written as they are added, without a copy; the index is written at the end of the `with` block. After
    an exception in the block there is neither index nor data file.

    Example:
      >>> import numpy as np, tempfile
      >>> from modhub.format.bundle import read_bundle
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     prefix = Path(folder, "variables")
      ...     with BundleWriter(prefix) as writer:
      ...         writer.add("w", 1, np.ones([2, 3], np.float32))
      ...     read_bundle(prefix).entries["w"].shape
      (2, 3)
    """

    __slots__ = ("_crc", "_file", "_offset", "_open", "_prefix", "_rows", "_sliced")

    _file: BinaryIO

    def __init__(self, prefix: Path) -> None:
        """Name the bundle; nothing is written before the `with` block.

        Args:
          prefix: the path that the names of its files start with; missing parent directories are made.
        """
        self._prefix = prefix
        self._offset = 0
        self._crc = 0
        # The name of the tensor that is being written in pieces; nothing may come between them.
        self._open: str | None = None
        self._rows: dict[bytes, Any] = {}
        self._sliced: dict[str, tuple[int, tuple[int, ...], list[Slice]]] = {}

    def __enter__(self) -> Self:
        self._prefix.parent.mkdir(parents=True, exist_ok=True)
        taken = index_path(self._prefix)
        if taken.exists():
            raise ExportExistsError(f"{str(taken)!r} exists; a bundle is not overwritten.")
        taken = data_path(self._prefix, 0, 1)
        try:
            self._file = taken.open("xb")
        except FileExistsError as error:
            raise ExportExistsError(f"{str(taken)!r} exists; a bundle is not overwritten.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        finished = False
        try:
            # Closing writes what is buffered, so it can fail; the index must not exist then.
            self._file.close()
            if kind is None:
                index = self._index()
                with index_path(self._prefix).open("xb") as file:
                    file.write(index)
                finished = True
        finally:
            if not finished:
                index_path(self._prefix).unlink(missing_ok=True)
                data_path(self._prefix, 0, 1).unlink(missing_ok=True)

    def add(self, name: str, dtype: int, array: Array, shape: Sequence[int] | None = None) -> None:
        """Write a tensor.

        Args:
          name: its name, which no other tensor of the bundle has.
          dtype: the number of a TensorFlow DataType.
          array: an array of that type; for strings (7) an array of `bytes` objects; for types that numpy lacks, such as
            bfloat16, any array whose elements have the same size. Or a buffer of its little-endian bytes, with `shape`.
          shape: the shape to record; by default that of `array`.

        Raises:
          InvalidArgumentError: the name is taken or empty, or the array does not fit the type or the shape.
        """
        self._check_name(name)
        if name in self._sliced:
            raise InvalidArgumentError(f"Tensor {name!r} is there already, in slices.")
        self._write(name, name.encode(), dtype, array, None if shape is None else tuple(shape))

    def add_slice(self, name: str, dtype: int, full_shape: Sequence[int], slice_: Slice, array: Array) -> None:
        """Write a slice of a partitioned tensor; when the block ends, its slices must make it up.

        Args:
          name: the name of the tensor.
          dtype: the number of a TensorFlow DataType.
          full_shape: the shape of the tensor.
          slice_: for each dimension the start and the length; a length of -1 is the whole dimension.
          array: the values of the slice, as for `add`.

        Raises:
          InvalidArgumentError: the slice is outside of the tensor, is there already, or contradicts another.
        """
        self._check_name(name)
        shape = tuple(full_shape)
        slice_ = tuple([(start, length) for start, length in slice_])
        try:
            part = slice_shape(slice_, shape)
        except ValueError as error:
            raise InvalidArgumentError(f"Tensor {name!r}: {error}.") from error
        if part == shape:
            # As TensorFlow does: a slice that is the whole tensor is stored as an ordinary one.
            self.add(name, dtype, array, shape)
            return
        known = self._sliced.get(name, (dtype, shape, []))
        if known[:2] != (dtype, shape) or name.encode() in self._rows:
            raise InvalidArgumentError(
                f"Tensor {name!r} is there already, with another type or shape: given type {dtype}, shape {list(shape)}"
            )
        self._write(name, slice_key(name, slice_), dtype, array, part)
        known[2].append(slice_)
        self._sliced[name] = known

    @contextmanager
    def rows(self, name: str, dtype: int, width: int) -> Iterator[BundleRows]:
        """Write a matrix in pieces, for which how many rows it has need not be known before the end.

        Nothing else is written to the bundle before the `with` block of the rows ends.

        Args:
          name: its name, which no other tensor of the bundle has.
          dtype: the number of a TensorFlow DataType, not that of strings.
          width: how many values a row has.

        Yields:
          What takes the pieces. The tensor is [rows, width], with as many rows as those have.

        Raises:
          InvalidArgumentError: the name is taken or empty, or no rows are of that type or width.

        Example:
          >>> import numpy as np, tempfile
          >>> from modhub.format.bundle import read_bundle
          >>> with tempfile.TemporaryDirectory() as folder:
          ...     with BundleWriter(Path(folder, "v")) as writer, writer.rows("w", 1, 3) as rows:
          ...         rows.write(np.zeros([2, 3], np.float32))
          ...         rows.write(np.ones([4, 3], np.float32))
          ...     read_bundle(Path(folder, "v")).entries["w"].shape
          (6, 3)
        """
        self._check_name(name)
        if name in self._sliced or name.encode() in self._rows:
            raise InvalidArgumentError(f"Tensor {name!r} is there already.")
        if dtype not in ITEM_BYTES:
            raise InvalidArgumentError(f"Tensor {name!r}: rows of the type number {dtype} cannot be written.")
        if width < 0:
            raise InvalidArgumentError(f"Tensor {name!r}: a row cannot have {width} values.")
        offset, self._crc = self._offset, 0
        rows = BundleRows(name, dtype, width, self._put)
        self._open = name
        try:
            yield rows
        except BaseException:
            # Between the tensors of a bundle there is nothing but zeros.
            self._file.seek(offset)
            self._file.truncate()
            self._offset = offset
            raise
        finally:
            rows._close()
            self._open = None
        self._add_row(name.encode(), dtype, offset, (rows.count, width))

    def _check_name(self, name: str) -> None:
        if self._open is not None:
            raise InvalidArgumentError(f"Tensor {name!r} cannot come between the rows of {self._open!r}.")
        # An empty key is the header's, and a first byte of 0 marks a slice.
        if not name or name.startswith("\x00"):
            raise InvalidArgumentError(f"{name!r} cannot be the name of a tensor.")

    def _write(self, name: str, key: bytes, dtype: int, array: Array, shape: tuple[int, ...] | None) -> None:
        if key in self._rows:
            raise InvalidArgumentError(f"Tensor {name!r} is there already.")
        if dtype == STRING:
            import numpy as np

            strings = np.asarray(array, object)
            shape = strings.shape if shape is None else shape
            elements = strings.ravel().tolist()
            _check_strings(name, elements, shape)
        else:
            data, shape = _raw(name, dtype, array, shape)
        offset, self._crc = self._offset, 0
        if dtype == STRING:
            self._put_strings(elements)
        else:
            self._put(data)
        self._add_row(key, dtype, offset, shape)

    def _add_row(self, key: bytes, dtype: int, offset: int, shape: tuple[int, ...]) -> None:
        """Note what was written since an offset as a tensor, or a slice of one."""
        row = BundleEntryProto(dtype=dtype, offset=offset, size=self._offset - offset, crc32c=mask(self._crc))
        _set_shape(row, shape)
        self._rows[key] = row

    def _put(self, data: bytes | memoryview) -> None:
        self._crc = crc32c(data, self._crc)
        # A buffered file passes what is larger than its buffer straight on.
        self._file.write(data)
        self._offset += len(data)

    def _put_strings(self, elements: list[bytes]) -> None:
        """Write the lengths, their checksum, and the strings; the lengths are checksummed as fixed integers."""
        lengths = [len(element) for element in elements]
        longest = max(lengths, default=0)
        # A length below 128 is its own code.
        self._put(bytes(lengths) if longest < 0x80 else b"".join(map(encode_varint, lengths)))
        if longest < 2**32:
            import numpy as np

            self._crc = crc32c(np.array(lengths, "<u4").tobytes())
        else:
            self._crc = crc32c(b"".join([n.to_bytes(4 if n < 2**32 else 8, "little") for n in lengths]))
        self._put(struct.pack("<I", mask(self._crc)))
        for start in range(0, len(elements), _BATCH):
            self._put(b"".join(elements[start : start + _BATCH]))

    def _index(self) -> bytes:
        for name, (dtype, shape, slices) in self._sliced.items():
            try:
                check_cover(slices, shape)
            except ValueError as error:
                raise ExportError(f"Tensor {name!r} is incomplete: {error}.") from error
            row = self._rows[name.encode()] = BundleEntryProto(dtype=dtype)
            _set_shape(row, shape)
            for slice_ in slices:
                part = row.slices.add()
                for start, length in slice_:
                    part.extent.add(start=start, **({} if length == FULL else {"length": length}))
        header = BundleHeaderProto(num_shards=1)
        header.version.producer = VERSION
        self._rows[HEADER_KEY] = header
        return write_table((key, row.SerializeToString()) for key, row in sorted(self._rows.items(), key=_key))


class BundleRows:
    """Takes the pieces of a matrix, one after the other; `BundleWriter.rows` makes it.

    Attributes:
      count: how many rows there are so far.
    """

    __slots__ = ("_dtype", "_name", "_put", "_width", "count")

    def __init__(self, name: str, dtype: int, width: int, put: Callable[[memoryview], None]) -> None:
        self._name = name
        self._dtype = dtype
        self._width = width
        self._put: Callable[[memoryview], None] | None = put
        self.count = 0

    def write(self, array: npt.NDArray[Any]) -> None:
        """Write some rows, without a copy where they lie one after the other.

        Args:
          array: [some rows, width], of the type of the tensor as for `BundleWriter.add`.

        Raises:
          InvalidArgumentError: the array is of another type or width, or the tensor is complete.
        """
        if self._put is None:
            raise InvalidArgumentError(f"Tensor {self._name!r} is complete; it takes no more rows.")
        if array.ndim != 2 or array.shape[1] != self._width:
            raise InvalidArgumentError(
                f"Tensor {self._name!r}: an array of shape {list(array.shape)} is not rows of {self._width} values."
            )
        data, shape = _raw(self._name, self._dtype, array, None)
        self._put(data)
        self.count += shape[0]

    def _close(self) -> None:
        self._put = None


def _key(item: tuple[bytes, Any]) -> bytes:
    return item[0]


def _set_shape(row: Any, shape: tuple[int, ...]) -> None:
    # A scalar has a shape, too: an empty one.
    row.shape.SetInParent()
    for size in shape:
        row.shape.dim.add(size=size)


def _raw(name: str, dtype: int, array: Array, shape: tuple[int, ...] | None) -> tuple[memoryview, tuple[int, ...]]:
    """Return the bytes of an array, by reference where it is contiguous, and the shape to record."""
    item = ITEM_BYTES.get(dtype)
    if item is None:
        raise InvalidArgumentError(f"Tensor {name!r}: a tensor of the type number {dtype} cannot be written.")
    if isinstance(array, bytes | bytearray | memoryview):
        if shape is None:
            raise InvalidArgumentError(f"Tensor {name!r}: a buffer needs the argument `shape`.")
        data = memoryview(array).cast("B")
    else:
        import numpy as np

        array = np.asarray(array)
        shape = array.shape if shape is None else shape
        wanted = NUMPY_NAMES.get(dtype)
        if (array.dtype.name != wanted) if wanted else (array.dtype.itemsize != item or array.dtype.hasobject):
            raise InvalidArgumentError(
                f"Tensor {name!r}: an array of {array.dtype.name} is not of type {dtype} ({wanted or f'{item} bytes'})."
            )
        if wanted:
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    if element_count(shape) * item != len(data):
        raise InvalidArgumentError(f"Tensor {name!r}: {len(data)} bytes are not a tensor of shape {list(shape)}.")
    return data, shape


def _check_strings(name: str, elements: list[object], shape: tuple[int, ...]) -> None:
    if element_count(shape) != len(elements):
        raise InvalidArgumentError(f"Tensor {name!r}: {len(elements)} strings are not a tensor of shape {list(shape)}.")
    wrong = next((element for element in elements if not isinstance(element, bytes)), None)
    if wrong is not None:
        raise InvalidArgumentError(f"Tensor {name!r}: a string tensor takes `bytes`, got {wrong!r}.")
