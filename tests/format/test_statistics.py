from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modhub.errors import InvalidArgumentError
from modhub.format.statistics import NumberStatistics, StringStatistics, statistics

_NUMBERS = st.sampled_from(["f2", "f4", "f8", "i1", "i4", "u2", "c8", "?"])


@settings(deadline=None)
@given(_NUMBERS.flatmap(lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, min_side=0))))
def test_they_are_what_numpy_says_of_the_finite_elements(value: np.ndarray[Any, Any]) -> None:
    found = statistics(value)
    assert isinstance(found, NumberStatistics)
    finite = np.isfinite(value)
    nan = np.isnan(value)
    # In extended precision, where squares of float64 stay in range.
    wide = np.abs(value[finite].astype(np.clongdouble if value.dtype.kind == "c" else np.longdouble))
    if value.dtype.kind == "i" or value.dtype.kind == "f":
        wide = value[finite].astype(np.longdouble)
    assert found.count == value.size
    assert found.zeros == np.sum(value == 0)
    assert (found.nans, found.infinities) == (nan.sum(), (~finite & ~nan).sum())
    if not wide.size:
        assert (found.minimum, found.maximum, found.mean, found.deviation) == (None,) * 4
        return
    assert found.minimum == pytest.approx(float(wide.min()), rel=1e-12)
    assert found.maximum == pytest.approx(float(wide.max()), rel=1e-12)
    if abs(wide).max() < 1e150:
        largest = float(abs(wide).max())
        assert found.mean == pytest.approx(float(wide.mean()), rel=1e-9, abs=1e-12 * largest)
        assert found.deviation == pytest.approx(float(wide.std()), rel=1e-9, abs=1e-7 * largest)


def test_blocks_are_put_together() -> None:
    random = np.random.default_rng(0)
    value = 1e6 + random.normal(size=[3, 100_000])
    value[1, :70_000] = np.nan  # all of a block, and more
    found = statistics(value)
    assert isinstance(found, NumberStatistics)
    assert (found.count, found.nans, found.infinities, found.zeros) == (300_000, 70_000, 0, 0)
    assert (found.minimum, found.maximum) == (np.nanmin(value), np.nanmax(value))
    assert found.mean == pytest.approx(np.nanmean(value), rel=1e-14)
    assert found.deviation == pytest.approx(np.nanstd(value), rel=1e-10)


def test_large_integers_are_exact() -> None:
    found = statistics(np.array([2**64 - 1, 2**64 - 2, 0], np.uint64))
    assert isinstance(found, NumberStatistics)
    assert (found.minimum, found.maximum, found.zeros) == (0, 2**64 - 1, 1)
    assert type(found.maximum) is int
    low = statistics(np.array(-(2**63), np.int64))
    assert isinstance(low, NumberStatistics)
    assert (low.minimum, low.deviation) == (-(2**63), 0)


def test_booleans_are_zero_and_one() -> None:
    assert statistics(np.array([True, False, True, True])) == NumberStatistics(
        count=4, minimum=0, maximum=1, mean=0.75, deviation=math.sqrt(3) / 4, zeros=1, nans=0, infinities=0
    )


def test_complex_elements_count_by_their_magnitude() -> None:
    value = np.array([3 + 4j, 0, -1, complex(math.nan, math.inf), complex(0, math.inf)], np.complex64)
    assert statistics(value) == NumberStatistics(
        count=5, minimum=0, maximum=5, mean=2, deviation=pytest.approx(math.sqrt(14 / 3)), zeros=1, nans=1, infinities=1
    )


def test_what_float64_does_not_reach_is_infinite() -> None:
    found = statistics(np.array([1e200, -1e200]))
    assert isinstance(found, NumberStatistics)
    assert (found.minimum, found.mean, found.deviation) == (-1e200, 0, math.inf)


def test_strings_have_lengths() -> None:
    value = np.array([[b"a", b""], [b"\xc3\xa9\xc3\xa9x", b"\0\0"]], object)
    assert statistics(value) == StringStatistics(count=4, empty=1, total_bytes=8, longest=5)
    assert statistics(np.empty([0], object)) == StringStatistics(count=0, empty=0, total_bytes=0, longest=0)


@pytest.mark.parametrize("value", [np.array(["text"], object), np.array(["text"]), np.array([(1, 2)], "i4,i4")])
def test_other_elements_are_refused(value: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="of numbers and of `bytes` objects, got"):
        statistics(value)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "int4", "uint4"])
def test_types_of_ml_dtypes_are_numbers(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    found = statistics(np.array([0, 1, 2, 5], getattr(ml_dtypes, name)))
    assert isinstance(found, NumberStatistics)
    assert (found.minimum, found.maximum, found.mean, found.zeros) == (0, 5, 2, 1)
    assert type(found.maximum) is (int if "int" in name else float)


def test_not_finite_elements_of_ml_dtypes_are_counted() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    found = statistics(np.array([math.nan, math.inf, -math.inf, -0.0, 3], bfloat16))
    assert isinstance(found, NumberStatistics)
    assert (found.nans, found.infinities, found.zeros, found.minimum, found.maximum) == (1, 2, 1, 0, 3)


def test_a_large_value_takes_little_more_memory() -> None:
    value = np.ones([2**24], np.float32)
    statistics(value[:10])
    tracemalloc.start()
    found = statistics(value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found, NumberStatistics)
    assert (found.mean, found.deviation) == (1, 0)
    assert peak < 4 * 2**20
