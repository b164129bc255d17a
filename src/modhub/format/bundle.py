"""The index of a tensor bundle: which tensors `variables/` holds, of which type and shape, and where.

A bundle is `<prefix>.index`, a table of BundleEntryProto by tensor name, and `<prefix>.data-00000-of-00001` (or more
such files), the bytes of the tensors. Facts: TensorFlow's tensor_bundle.proto, and the files that it writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf.message import DecodeError

from modhub.errors import CorruptModuleError, NotAModuleError, UnsupportedFormatError
from modhub.format.dtypes import ITEM_BYTES, STRING, VARIANT, element_count
from modhub.format.layout import BUNDLE, VARIABLES
from modhub.format.protos import BundleEntryProto, BundleHeaderProto
from modhub.format.slices import FULL, SLICE_PREFIX, Slice, check_cover, slice_key, slice_shape
from modhub.format.table import read_table

if TYPE_CHECKING:
    from modhub.format.files import ModuleFiles

__all__ = ["Bundle", "BundleEntry", "data_path", "index_path", "parse_bundle", "read_bundle", "read_module_bundle"]

# Gives the size in bytes of a data file, by its number and the number of all of them; None where there is none.
DataSize: TypeAlias = Callable[[int, int], int | None]

HEADER_KEY = b""
VERSION = 1
_INDEX_SUFFIX = ".index"

# An entry takes some 60 bytes, so this is a million tensors.
_MOST_INDEX_BYTES = 2**26
# What a message in it may have: the entry of a tensor of 10,000 slices has 0.2 MB.
_MOST_ROW_BYTES = 2**20
# Of all tensors together, before they are looked for; each is an entry of its own.
_MOST_SLICES = 2**18
# Each is looked for. TensorFlow's names have five digits for them, and it writes one per saving host.
_MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleEntry:
    """What the index says of one tensor, or of one slice of a partitioned tensor.

    Attributes:
      dtype: the number of a TensorFlow DataType.
      shape: the sizes of the dimensions.
      shard: the number of the data file.
      offset: where the tensor starts in the data file, in bytes.
      size: how long it is there, in bytes.
      crc32c: the masked checksum of these bytes (see `verify_bundle` for strings).
      slices: of a partitioned tensor, its slices, each with (start, length) per dimension; a length of -1 is the whole
        dimension. Such an entry has no bytes of its own: `Bundle.pieces` has the entries of the slices.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The tensors of a bundle.

    Attributes:
      prefix: the path that the names of the files start with.
      entries: the logical tensors by name; a partitioned tensor is one of them.
      pieces: for each partitioned tensor, the entries of its slices, in the order of `BundleEntry.slices`.
      num_shards: the number of data files.
    """

    prefix: Path
    entries: Mapping[str, BundleEntry]
    pieces: Mapping[str, tuple[BundleEntry, ...]]
    num_shards: int

    def stored(self) -> Iterator[tuple[str, BundleEntry]]:
        """Yield what has bytes in a data file, with the name of its tensor: whole tensors, and slices."""
        for name, entry in self.entries.items():
            for piece in self.pieces.get(name, (entry,)):
                yield name, piece


def index_path(prefix: Path) -> Path:
    """Return the path of the index of a bundle."""
    return prefix.with_name(prefix.name + _INDEX_SUFFIX)


def data_path(prefix: Path, shard: int, num_shards: int) -> Path:
    """Return the path of one data file of a bundle."""
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{num_shards:05d}")


def read_bundle(prefix: Path) -> Bundle:
    """Read the index of a bundle, and check it: each bit of it, and against the sizes of the data files.

    The contents of the data files are not read; `verify_bundle` does that.

    Args:
      prefix: `<module directory>/variables/variables`.

    Returns:
      The tensors of the bundle.

    Raises:
      NotAModuleError: there is no index.
      UnsupportedFormatError: the bundle asks for a later version, or has types that this version does not know.
      CorruptModuleError: the index is damaged or contradicts itself, or a data file is missing or cut off.
    """
    path = index_path(prefix)
    return parse_bundle(_read_index(path), str(path), lambda shard, count: _size(data_path(prefix, shard, count)))


def read_module_bundle(files: ModuleFiles) -> Bundle:
    """Read and check the index of a module's bundle, in a directory or in an archive, as `read_bundle` does.

    Args:
      files: of the module.

    Returns:
      The tensors of the bundle; its prefix is `<where the module is>/variables/variables`.

    Raises:
      NotAModuleError: there is no index.
      UnsupportedFormatError: see `read_bundle`.
      CorruptModuleError: see `read_bundle`.
    """
    prefix = Path(files.where, BUNDLE)
    return parse_bundle(
        files.read(BUNDLE + _INDEX_SUFFIX, _MOST_INDEX_BYTES),
        str(index_path(prefix)),
        lambda shard, count: files.sizes.get(f"{VARIABLES}/{data_path(prefix, shard, count).name}"),
    )


def parse_bundle(index: bytes, where: str, data_size: DataSize) -> Bundle:
    """Parse and check the index of a bundle.

    Args:
      index: the contents of the file.
      where: the path of this file, `<prefix>.index`; for messages, and for the names of the data files.
      data_size: gives the size in bytes of a data file, by its number and the number of all data files; None if there
        is no such file.

    Returns:
      The tensors of the bundle.

    Raises:
      UnsupportedFormatError: see `read_bundle`.
      CorruptModuleError: see `read_bundle`.
    """
    table = read_table(index, where)
    try:
        return _Index(Path(where.removesuffix(_INDEX_SUFFIX)), table, data_size).read()
    except ValueError as error:
        if isinstance(error, UnsupportedFormatError | CorruptModuleError):
            raise
        raise CorruptModuleError(f"{where!r} is damaged: {error}. Download or export the module again.") from error


def _read_index(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # Asked for first: a read of at most so many bytes would allocate them all.
            fits = os.fstat(file.fileno()).st_size <= _MOST_INDEX_BYTES
            data = file.read() if fits else b""
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotAModuleError(f"{str(path)!r} does not exist: the module has no weights there.") from error
    except IsADirectoryError as error:
        raise CorruptModuleError(f"{str(path)!r} is a directory; a module has a file there.") from error
    if not fits:
        raise CorruptModuleError(f"{str(path)!r} has more than {_MOST_INDEX_BYTES} bytes; no index has.")
    return data


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


class _Index:
    """One pass over the rows of an index; a plain `ValueError` that it raises is a finding about the index."""

    __slots__ = ("_free", "_num_shards", "_prefix", "_rows", "_sizes", "_slices")

    def __init__(self, prefix: Path, rows: dict[bytes, bytes], data_size: DataSize) -> None:
        self._prefix = prefix
        self._rows = rows
        self._num_shards = _header(prefix, rows.pop(HEADER_KEY, None))
        self._sizes = [self._data_size(data_size, shard) for shard in range(self._num_shards)]
        # The bytes of each data file that no tensor has yet.
        self._free = list(self._sizes)
        self._slices = 0

    def read(self) -> Bundle:
        names = {key: _name(key) for key in self._rows if not key.startswith(SLICE_PREFIX)}
        entries = {name: self._entry(name, self._rows.pop(key)) for key, name in names.items()}
        pieces = {name: self._pieces(name, entry) for name, entry in entries.items() if entry.slices}
        if self._rows:
            raise ValueError(f"the slice {next(iter(self._rows))!r} belongs to no tensor")
        return Bundle(prefix=self._prefix, entries=entries, pieces=pieces, num_shards=self._num_shards)

    def _entry(self, name: str, row: bytes) -> BundleEntry:
        proto = _parsed(BundleEntryProto, row, f"the entry of tensor {name!r}")
        if proto.shape.unknown_rank:
            raise ValueError(f"tensor {name!r} has no shape")
        self._slices += len(proto.slices)
        if self._slices > _MOST_SLICES:
            raise ValueError(f"its tensors have more than {_MOST_SLICES} slices")
        entry = BundleEntry(
            dtype=proto.dtype,
            shape=tuple([dim.size for dim in proto.shape.dim]),
            shard=proto.shard_id,
            offset=proto.offset,
            size=proto.size,
            crc32c=proto.crc32c,
            slices=tuple([_slice(part) for part in proto.slices]) if proto.slices else (),
        )
        self._check_type(name, entry)
        self._check_place(name, entry)
        return entry

    def _check_type(self, name: str, entry: BundleEntry) -> None:
        """Check that the size fits the type and the shape."""
        try:
            count = element_count(entry.shape)
        except ValueError as error:
            raise ValueError(f"tensor {name!r} has {error}") from error
        item = ITEM_BYTES.get(entry.dtype)
        if item is None and entry.dtype not in (STRING, VARIANT):
            raise UnsupportedFormatError(
                f"{str(index_path(self._prefix))!r} holds tensor {name!r} of the type number {entry.dtype}, which "
                "modhub does not know. It was written by a newer TensorFlow, or is damaged."
            )
        if entry.slices:
            if entry.size:
                raise ValueError(f"tensor {name!r} has slices and bytes of its own")
        elif item is not None and entry.size != count * item:
            raise ValueError(f"tensor {name!r} has {entry.size} bytes; its type and shape need {count * item}")
        elif item is None and entry.size < count:
            # Each string takes a byte or more for its length, so a size in the file bounds the count.
            raise ValueError(f"tensor {name!r} has {entry.size} bytes for {count} elements")

    def _check_place(self, name: str, entry: BundleEntry) -> None:
        """Check that the bytes lie in a data file."""
        if not 0 <= entry.shard < self._num_shards:
            raise ValueError(f"tensor {name!r} is in data file {entry.shard} of {self._num_shards}")
        if entry.offset < 0 or entry.size < 0:
            raise ValueError(f"tensor {name!r} has {entry.size} bytes at {entry.offset}")
        held = self._sizes[entry.shard]
        if entry.offset + entry.size > held:
            path = data_path(self._prefix, entry.shard, self._num_shards)
            raise CorruptModuleError(
                f"{str(path)!r} is cut off: it has {held} bytes, and tensor {name!r} ends at "
                f"{entry.offset + entry.size}. Download or export the module again."
            )
        # So that what is read in all is not more than the files have: a few bytes could be a thousand slices.
        self._free[entry.shard] -= entry.size
        if self._free[entry.shard] < 0:
            raise ValueError(f"tensor {name!r} overlaps another")

    def _pieces(self, name: str, entry: BundleEntry) -> tuple[BundleEntry, ...]:
        """Take the rows of a partitioned tensor's slices, which must make it up."""
        try:
            check_cover(entry.slices, entry.shape)
        except ValueError as error:
            raise ValueError(f"tensor {name!r}: {error}") from error
        pieces = []
        for part in entry.slices:
            row = self._rows.pop(slice_key(name, part), None)
            if row is None:
                raise ValueError(f"tensor {name!r} lacks its slice {part}")
            piece = self._entry(name, row)
            shape = slice_shape(part, entry.shape)
            if piece.slices or piece.dtype != entry.dtype or piece.shape != shape:
                raise ValueError(
                    f"tensor {name!r} has type {entry.dtype} and a slice of shape {list(shape)}; stored is type "
                    f"{piece.dtype}, shape {list(piece.shape)}"
                )
            pieces.append(piece)
        return tuple(pieces)

    def _data_size(self, data_size: DataSize, shard: int) -> int:
        size = data_size(shard, self._num_shards)
        if size is None:
            raise CorruptModuleError(
                f"{str(data_path(self._prefix, shard, self._num_shards))!r} is missing: the index names "
                f"{self._num_shards} data files. Download or export the module again."
            )
        return size


def _header(prefix: Path, row: bytes | None) -> int:
    """Check the header; return the number of data files."""
    if row is None:
        raise ValueError("it has no header, so it is not the index of a bundle")
    header = _parsed(BundleHeaderProto, row, "the header")
    version = header.version
    if header.num_shards < 1 or version.producer < 0 or version.min_consumer < 0 or header.endianness not in (0, 1):
        raise ValueError("its header makes no sense")
    if header.num_shards > _MOST_SHARDS:
        raise ValueError(f"its header names {header.num_shards} data files; at most {_MOST_SHARDS} are read")
    path = str(index_path(prefix))
    if version.min_consumer > VERSION or VERSION in version.bad_consumers:
        raise UnsupportedFormatError(
            f"{path!r} is a bundle for readers of version {version.min_consumer}; modhub reads version {VERSION}."
        )
    if header.endianness != BundleHeaderProto.LITTLE:
        raise UnsupportedFormatError(f"{path!r} was written on a big-endian machine, which modhub does not read.")
    return int(header.num_shards)


# Of messages that are made at run time, so that neither the class nor its fields have types.
def _parsed(message_class: Any, row: bytes, what: str) -> Any:
    if len(row) > _MOST_ROW_BYTES:
        raise ValueError(f"{what} has {len(row)} bytes; at most {_MOST_ROW_BYTES} are read")
    message = message_class()
    try:
        message.ParseFromString(row)
    except DecodeError as error:
        raise ValueError(f"{what} does not parse") from error
    return message


def _slice(proto: Any) -> Slice:
    return tuple([(extent.start, extent.length if extent.HasField("length") else FULL) for extent in proto.extent])


def _name(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the name {key!r} is not UTF-8") from error
