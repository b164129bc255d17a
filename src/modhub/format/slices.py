"""The parts that a partitioned tensor is stored in: their shapes, their keys, and whether they make up the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from modhub.format.dtypes import element_count

__all__ = ["FULL", "SLICE_PREFIX", "Slice", "check_cover", "slice_key", "slice_shape"]

# For each dimension, where the slice starts and how long it is.
Slice: TypeAlias = tuple[tuple[int, int], ...]

# The length that stands for the whole of a dimension.
FULL = -1

# The first byte of a slice's key; names of tensors never start with it.
SLICE_PREFIX = b"\x00"

# Bounds the comparisons that a made-up set of slices can cause; real ones divide one dimension.
_MOST_COMPARED = 2**21

_Box: TypeAlias = list[tuple[int, int]]  # for each dimension, where it starts and ends


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
    # Slices of the right total that do not overlap leave no gap.
    boxes = [
        [(start, start + size) for (start, _), size in zip(slice_, sizes, strict=True)]
        for slice_, sizes in zip(slices, shapes, strict=True)
        if 0 not in sizes
    ]
    _check_disjoint(boxes, len(shape))


def _check_disjoint(boxes: list[_Box], rank: int) -> None:
    """Sweep along the dimension that has the most cuts, and compare each box with those that are still open there."""
    if len(boxes) < 2:
        return
    axis = max(range(rank), key=lambda axis: len({box[axis] for box in boxes}))
    open_boxes: list[_Box] = []
    compared = 0
    for box in sorted(boxes, key=lambda box: box[axis]):
        compared += rank * len(open_boxes)
        if compared > _MOST_COMPARED:
            raise ValueError(f"{len(boxes)} slices divide the tensor too irregularly")
        open_boxes = [other for other in open_boxes if other[axis][1] > box[axis][0]]
        for other in open_boxes:
            if all(low < high and start < end for (low, end), (start, high) in zip(box, other, strict=True)):
                shown = ", ".join(f"{low}:{high}" for low, high in box)
                raise ValueError(f"the slice [{shown}] overlaps another")
        open_boxes.append(box)


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
