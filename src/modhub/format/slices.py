"""The parts that a partitioned tensor is stored in: their shapes, their keys, and whether they make up the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from modhub.format.dtypes import element_count

__all__ = ["FULL", "SLICE_PREFIX", "Slice", "check_cover", "slice_key", "slice_shape"]

# For each dimension, where the slice starts and how long it is.
Slice: TypeAlias = tuple[tuple[int, int], ...]

# The length that stands for the whole of a dimension.
FULL = -1

# The first byte of a slice's key; names of tensors never start with it.
SLICE_PREFIX = b"\x00"

# Bounds the work that a made-up set of slices can cause; real ones divide one dimension.
_MOST_CELLS = 2**24


def slice_shape(slice_: Slice, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a slice of a tensor of shape `shape`.

    Raises:
      ValueError: the slice does not lie within the tensor.

    Example:
      >>> slice_shape(((2, 3), (0, FULL)), (8, 4))
      (3, 4)
    """
    if len(slice_) != len(shape):
        raise ValueError(f"the slice {_shown(slice_)} has {len(slice_)} dimensions, the tensor {len(shape)}")
    sizes = []
    for (start, length), size in zip(slice_, shape, strict=True):
        if length == FULL and start == 0:
            sizes.append(size)
        elif start >= 0 and length >= 0 and start + length <= size:
            sizes.append(length)
        else:
            raise ValueError(f"the slice {_shown(slice_)} is outside of the shape {list(shape)}")
    return tuple(sizes)


def check_cover(slices: Sequence[Slice], shape: tuple[int, ...]) -> None:
    """Check that slices make up a tensor, each element once.

    Raises:
      ValueError: elements are missing or are in two slices, or a slice lies outside.

    Example:
      >>> check_cover([((0, 2),), ((3, 1),)], (4,))
      Traceback (most recent call last):
      ValueError: the slices hold 3 elements, the shape [4] has 4
    """
    if len(set(slices)) != len(slices):
        raise ValueError("a slice is there twice")
    shapes = [slice_shape(slice_, shape) for slice_ in slices]
    held, wanted = sum(element_count(sizes) for sizes in shapes), element_count(shape)
    if held != wanted:
        raise ValueError(f"the slices hold {held} elements, the shape {list(shape)} has {wanted}")
    # Slices of the right total that do not overlap leave no gap. Between the cut points of each dimension lie cells
    # that a slice holds entirely or not at all; mark them, and find none marked before.
    boxes = [
        [(start, start + size) for (start, _), size in zip(slice_, sizes, strict=True)]
        for slice_, sizes in zip(slices, shapes, strict=True)
    ]
    cuts = [sorted({edge for box in boxes for edge in box[axis]}) for axis in range(len(shape))]
    if element_count(tuple(map(len, cuts))) > _MOST_CELLS:
        raise ValueError(f"{len(slices)} slices that divide the tensor too irregularly")
    cells = [{edge: index for index, edge in enumerate(edges)} for edges in cuts]
    marked = np.zeros([len(edges) for edges in cuts], bool)
    for slice_, box in zip(slices, boxes, strict=True):
        # The ellipsis makes this a view even of an array without dimensions.
        spans: list[Any] = [slice(index[low], index[high]) for index, (low, high) in zip(cells, box, strict=True)]
        held_cells = marked[(*spans, ...)]
        if held_cells.any():
            raise ValueError(f"the slice {_shown(slice_)} overlaps another")
        held_cells[...] = True


def slice_key(name: str, slice_: Slice) -> bytes:
    r"""Return the key under which a slice is stored: an order-preserving code of a 0, the name, the rank, the bounds.

    Example:
      >>> slice_key("w", ((0, 2),))
      b'\x00w\x00\x01\x01\x01\x80\x82'
    """
    numbers = [number for bounds in slice_ for number in bounds]
    return SLICE_PREFIX + _text(name) + _unsigned(len(slice_)) + b"".join(map(_signed, numbers))


def _unsigned(value: int) -> bytes:
    """Encode the number of bytes, then the bytes, big end first."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def _signed(value: int) -> bytes:
    """Encode a sign-extended number of n bytes with its first n bits flipped, which hold nothing but the sign."""
    magnitude = ~value if value < 0 else value
    size = magnitude.bit_length() // 7 + 1
    header = ((1 << size) - 1) << (7 * size)
    return ((value & ((1 << 8 * size) - 1)) ^ header).to_bytes(size, "big")


def _text(text: str) -> bytes:
    """Escape the two bytes that order terminators and end with one."""
    return text.encode().replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _shown(slice_: Slice) -> str:
    bounds = [f"{start}:" if length == FULL else f"{start}:{start + length}" for start, length in slice_]
    return f"[{', '.join(bounds)}]"
