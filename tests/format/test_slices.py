from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.format import Slice
from modhub.format.slices import FULL, _check_disjoint, check_cover, slice_key

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200"))


@pytest.mark.parametrize(
    ("slices", "shape", "message"),
    [
        ([((0, 2), (0, 2)), ((1, 2), (1, 2)), ((2, 1), (0, 1))], (3, 3), "overlaps another"),
        ([((0, 4),), ((2, 2),), ((0, 2),)], (8,), "overlaps another"),
        ([((-1, 2),)], (2,), "outside"),
        ([((1, FULL),)], (2,), "outside"),
        ([((0, -2),)], (2,), "outside"),
        ([((number, 1), (number, 1)) for number in range(5000)], (5000, 1), "outside"),
        ([((number, 1), (number % 5, 1000)) for number in range(5000)], (5000, 1000), "outside"),
        ([((n, 1), (n, 5000 - n)) for n in range(5000)] + [((n, 1), (0, n)) for n in range(5000)], (5000,) * 2, ""),
    ],
)
def test_slices_that_do_not_make_up_the_tensor_are_refused(
    slices: list[Slice], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message or "too irregularly|hold"):
        check_cover(slices, shape)


@pytest.mark.parametrize(
    ("slices", "shape"),
    [
        ([()], ()),
        ([((0, FULL),)], (0,)),
        ([((0, 2), (0, 1)), ((0, 1), (1, 2)), ((1, 2), (2, 1)), ((2, 1), (0, 2)), ((1, 1), (1, 1))], (3, 3)),
        ([((number, 1), (0, FULL)) for number in range(5000)], (5000, 8)),
    ],
)
def test_slices_that_make_up_the_tensor_pass(slices: list[Slice], shape: tuple[int, ...]) -> None:
    check_cover(slices, shape)


@pytest.mark.parametrize(
    ("name", "slice_", "key"),
    [
        ("w", ((0, 2), (0, FULL)), b"\x00w\x00\x01\x01\x02\x80\x82\x80\x7f"),
        ("é\x00ÿ", (), b"\x00\xc3\xa9\x00\xff\xc3\xbf\x00\x01\x00"),
        ("", ((63, 64),), b"\x00\x00\x01\x01\x01\xbf\xc0\x40"),
        ("", ((8191, 8192),), b"\x00\x00\x01\x01\x01\xdf\xff\xe0\x20\x00"),
        ("", ((0, 2**63 - 1),), b"\x00\x00\x01\x01\x01\x80\xff\xc0" + b"\x7f" + b"\xff" * 7),
    ],
)
def test_slice_keys_are_ordered_codes(name: str, slice_: Slice, key: bytes) -> None:
    assert slice_key(name, slice_) == key


_BOUNDS = st.tuples(st.integers(0, 2), st.integers(0, 3))


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.integers(1, 3).flatmap(lambda rank: st.sets(st.tuples(*[_BOUNDS] * rank), max_size=4)))
def test_slices_pass_if_each_element_is_in_one_of_them(boxes: set[Slice]) -> None:
    rank = len(next(iter(boxes), ((0, 1),)))
    # The shape that just holds them, so that many drawn sets are a cover.
    shape = tuple(max((sum(box[axis]) for box in boxes), default=1) for axis in range(rank))
    counts = np.zeros(shape, int)
    for box in boxes:
        counts[tuple(slice(start, start + length) for start, length in box)] += 1
    try:
        check_cover(sorted(boxes), shape)
    except ValueError:
        assert not (counts == 1).all()
    else:
        assert (counts == 1).all()


def test_a_made_up_set_of_slices_is_given_up_early() -> None:
    # Stairs: along the side that has the cuts each is open at once with all others, and none of them overlap.
    count = 4000
    boxes = [[(number, number + count), (2 * number, 2 * number + 1)] for number in range(count)]
    with pytest.raises(ValueError, match="4000 slices divide the tensor too irregularly"):
        _check_disjoint(boxes, 2)
