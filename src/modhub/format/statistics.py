"""What the values of a variable look like in a few numbers: range, mean, deviation, zeros, and what is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from modhub.errors import InvalidArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["NumberStatistics", "StringStatistics", "VariableStatistics", "statistics"]

# Elements that are widened to float64 at a time: 0.5 MB, which stays in a processor's cache.
_BLOCK = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberStatistics:
    """Numbers about the elements of a variable of numbers.

    Range, mean and deviation are those of the finite elements: NaN and infinities are counted, and left out of them. Of
    complex elements they are those of the magnitudes, and False and True are 0 and 1.

    Attributes:
      count: the number of elements.
      minimum: the least; an `int` for integers and booleans, exactly; None if no element is finite.
      maximum: the greatest, likewise.
      mean: in float64, so that of integers beyond 2**53 it is rounded; None if no element is finite. Infinite where
        float64 does not reach.
      deviation: the standard deviation of the whole (divided by the number of elements), likewise.
      zeros: how many are zero, with either sign.
      nans: how many are NaN; complex ones if either part is.
      infinities: how many are infinite and not NaN; complex ones if either part is.
    """

    count: int
    minimum: int | float | None
    maximum: int | float | None
    mean: float | None
    deviation: float | None
    zeros: int
    nans: int
    infinities: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StringStatistics:
    """Numbers about the elements of a variable of strings.

    Attributes:
      count: the number of strings.
      empty: how many have no byte.
      total_bytes: of all strings together.
      longest: the bytes of the longest; 0 if there is none.
    """

    count: int
    empty: int
    total_bytes: int
    longest: int


VariableStatistics: TypeAlias = NumberStatistics | StringStatistics


def statistics(value: npt.NDArray[Any]) -> VariableStatistics:
    """Return statistics of the value of a variable.

    Computed in blocks, in a few MB beyond the value itself. The pages of a mapped file that have been looked at count
    as memory of the process (RSS) until the system needs them for something else.

    Args:
      value: as `read_value` returns it. One that is not contiguous is copied.

    Raises:
      InvalidArgumentError: its elements are neither numbers nor `bytes` objects.

    Example:
      >>> import numpy as np
      >>> found = statistics(np.array([0, 1, np.nan, 3], np.float32))
      >>> found.minimum, found.maximum, round(found.mean, 3), found.zeros, found.nans
      (0.0, 3.0, 1.333, 1, 1)
    """
    if value.dtype.hasobject:
        return _of_strings(value)
    return _of_numbers(value)


def _of_strings(value: npt.NDArray[Any]) -> StringStatistics:
    empty = total = longest = 0
    for string in value.flat:
        if not isinstance(string, bytes):
            raise InvalidArgumentError(f"Statistics are made of numbers and of `bytes` objects, got {string!r}.")
        empty += not string
        total += len(string)
        longest = max(longest, len(string))
    return StringStatistics(count=value.size, empty=empty, total_bytes=total, longest=longest)


def _of_numbers(value: npt.NDArray[Any]) -> NumberStatistics:
    import numpy as np

    integral = value.dtype.kind in "biu" or value.dtype.name in ("int2", "int4", "uint2", "uint4")
    flat = value.reshape(-1)
    minimum: int | float | None = None
    maximum: int | float | None = None
    finite_count = zeros = nans = infinities = 0
    mean = squares = 0.0  # squares: the sum of the squared distances from the mean
    # A sum may leave the range of float64, which the result tells.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            zeros += block.size - int(np.count_nonzero(block))
            wide = _widened(block)
            if not integral:
                nan = np.isnan(wide)
                finite = np.isfinite(wide)
                nans += int(np.count_nonzero(nan))
                infinities += int(np.count_nonzero(~(nan | finite)))
                if not finite.all():
                    wide = wide[finite]
            wide = np.abs(wide) if wide.dtype.kind == "c" else wide
            if not wide.size:
                continue
            # Integers of 64 bits have more digits than float64.
            of = block if value.dtype.kind in "biu" else wide
            kind = int if integral else float
            low, high = kind(of.min()), kind(of.max())
            minimum = low if minimum is None else min(minimum, low)
            maximum = high if maximum is None else max(maximum, high)
            # Two sets put together (Chan, Golub and LeVeque), which loses no digits to a large mean.
            block_mean = float(wide.mean())
            share = wide.size / (finite_count + wide.size)
            distance = block_mean - mean
            squares += float(np.square(wide - block_mean).sum()) + distance * distance * finite_count * share
            mean += distance * share
            finite_count += wide.size
    return NumberStatistics(
        count=flat.size,
        minimum=minimum,
        maximum=maximum,
        mean=mean if finite_count else None,
        deviation=math.sqrt(squares / finite_count) if finite_count else None,
        zeros=zeros,
        nans=nans,
        infinities=infinities,
    )


def _widened(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a block as float64, or complex128."""
    import numpy as np

    try:
        return block.astype(np.complex128 if block.dtype.kind == "c" else np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"Statistics are made of numbers and of `bytes` objects, got an array of {block.dtype.name}."
        ) from error
