from __future__ import annotations

import importlib.util
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modhub.errors import InvalidArgumentError
from modhub.export.text.vectors import open_vectors
from modhub.export.text.vectors_arrow import arrow_parser
from modhub.export.text.vectors_lines import LinesError, parse_lines
from modhub.export.text.vectors_source import Layout
from tests.export.text.plain_reader import float_bits, plain_rows, read_rows

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200"))
# The fixtures only choose a parser and a block size, the same for each example.
_SAME_FOR_ALL = [HealthCheck.function_scoped_fixture]

_needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")

_FLOAT32 = st.integers(0, 2**32 - 1).map(lambda bits: struct.unpack("<f", struct.pack("<I", bits))[0])


@st.composite
def _midpoints(draw: st.DrawFn) -> str:
    """A number half way between two float32s, or a digit beside it: what is rounded twice comes out otherwise."""
    low = np.float32(draw(st.floats(-(2.0**126), 2.0**126, width=32)))
    middle = (float(low) + float(np.nextafter(low, np.float32(np.inf)))) / 2
    return f"{middle:.60e}".replace("e", draw(st.sampled_from(["", "1", "0000000000000000000000001"])) + "e")


_NUMBERS = st.one_of(
    _FLOAT32.map(repr),
    st.floats().map(repr),
    st.floats(-1, 1).map("{:.6f}".format),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    _midpoints(),
    st.sampled_from(
        [
            "0",
            "-0",
            "-0.0",
            "+1",
            "1.",
            ".5",
            "1E5",
            "1e-45",
            "1e-46",
            "1.4e-45",
            "7e-46",
            "3.4028235e38",
            "1e22",
            "3.4028236e38",
            "1e39",
            "-1e39",
            "1e-400",
            "1e400",
            "nan",
            "-nan",
            "inf",
            "-inf",
            "Infinity",
            "1_0",
            "0.1",
            "16777217",
            "1.000000059604644775390625",
            "00.10",
            "5e-324",
            "9007199254740993",
            "1.17549435e-38",
        ]
    ),
).map(str.encode)
# A word of bytes that no white space begins or ends, and no number ends where there is any.
_WORDS = st.one_of(
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1).map(str.encode),
    st.binary(min_size=1, max_size=8),
    st.sampled_from(
        [
            b'"',
            b'""',
            b"'",
            b'a"b',
            b"\\",
            b"\\n",
            b",",
            b";",
            b". . .",
            b"\xc2\xa0",
            b"1\xc2\xa01/2",
            b"\xff\xfe",
            b"1",
            b"-0.5",
            b"nan",
            b"NULL",
            b"NA",
            b"#",
            b"\xef\xbb\xbf",
            b"a\rb",
            b"\x00",
            b"a\tb",
            b"name at x.com",
            b"\x1a",
        ]
    ),
).filter(lambda word: word == word.strip() and b"\n" not in word and word != b"" and _ends_in_no_number(word))


def _ends_in_no_number(word: bytes) -> bool:
    if len(word.split()) == 1:
        return True
    try:
        float(word.split()[-1])
    except ValueError:
        return True
    return False


@st.composite
def _files(draw: st.DrawFn) -> tuple[bytes, int]:
    """A file that keeps the rules, in one of the ways of ending lines."""
    dimension = draw(st.integers(1, 4))
    separator = draw(st.sampled_from([b" ", b"\t"]))
    end = draw(st.sampled_from([b"\n", b"\r\n", b" \n", b"\t \r\n"]))
    rows = draw(
        st.lists(st.tuples(_WORDS, st.lists(_NUMBERS, min_size=dimension, max_size=dimension)), min_size=1, max_size=12)
    )
    lines = [separator.join([word, *numbers]) for word, numbers in rows]
    # How many values there are is seen at the first line.
    lines.insert(0, separator.join([b"first", *[b"0.5"] * dimension]))
    data = end.join(lines) + draw(st.sampled_from([b"", end, end + b"\n", end + b" \n\r\n"]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + data, dimension


@pytest.mark.usefixtures("parser", "block_bytes")
@settings(max_examples=200, suppress_health_check=_SAME_FOR_ALL, deadline=None)
@given(_files())
def test_words_and_values_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[bytes, int]
) -> None:
    data, dimension = file
    path = tmp_path_factory.getbasetemp() / "property.txt"
    path.write_bytes(data)
    vectors = open_vectors(path, format="glove")
    assert vectors.dimension == dimension
    assert read_rows(vectors) == plain_rows(data, dimension)


# Pieces of which lines can be made that are almost right: what pyarrow reads otherwise than Python must be among them.
_PIECES = st.sampled_from(
    [
        b" ",
        b" ",
        b" ",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\t",
        b"\x0b",
        b'"',
        b"'",
        b"\\",
        b"a",
        b"b",
        b"1",
        b"2.5",
        b"-0.0",
        b"1e39",
        b"nan",
        b"-nan",
        b"inf",
        b"nan(1)",
        b"1_0",
        b"0x1p3",
        b"+3",
        b"1e-400",
        b"\xef\xbb\xbf",
        b"\xc2\xa0",
        b"\x00",
        b"NULL",
        b"#",
        b",",
        b"a 1 2\n",
        b"b 3 4 \n",
        b"\ra 1 2",
        b"\n\n",
    ]
)


@_needs_pyarrow
@settings(max_examples=max(1000, _EXAMPLES), deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=30).map(b"".join), st.booleans(), st.sampled_from([b" ", b"\t"]))
@example(b"\na 1 2\rb 3 4\n", False, b" ")
@example(b"a 1 2\rb 3 4\n\n", False, b" ")
@example(b"a 1 2\rb 3 4\n", False, b" ")
@example(b"\xef\xbb\xbfa 1 2\n", False, b" ")
@example(b"a 1 2 \nb 3 4 5\n", True, b" ")
@example(b'"a\n1" 1 2\n', False, b" ")
@example(b"a\t 1 2\n", False, b" ")
@example(b" 1 2\n", False, b" ")
@example(b"a nan(1) -nan\n", False, b" ")
@example(b"a 1 2\r\r\n", False, b" ")
@example(b"a 1 2\r", False, b" ")
def test_pyarrow_reads_the_same_or_declines(data: bytes, trailing: bool, delimiter: bytes) -> None:
    fast = arrow_parser(Layout(format="glove", dimension=2, trailing=trailing, delimiter=delimiter))
    assert fast is not None
    lines = fast(data)
    if lines is not None:
        expected = parse_lines(data, 2)
        assert lines.tokens == expected.tokens
        assert lines.values.tobytes() == expected.values.tobytes()
        assert expected.blank is None


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.lists(_PIECES, max_size=20).map(b"".join)), st.integers(1, 3))
def test_any_bytes_are_read_or_refused(data: bytes, dimension: int) -> None:
    index = 0
    try:
        lines = parse_lines(data, dimension)
        assert lines.values.shape == (len(lines.tokens), dimension)
    except LinesError as error:
        index = error.index
    assert 0 <= index <= data.count(b"\n")


@_needs_pyarrow
@pytest.mark.parametrize(
    "data",
    [
        b"a 1 2\nb -0.5 1e-3\n",
        b"a 1 2 \nb 3 4 \n",
        b"a 1 2\r\nb 3 4\r\n",
        b"a 1 2\nb 3 4",
        b'" 1 2\n"" 3 4\n\\ 5 6\n, 7 8\n\xc2\xa0 1 2\n\xff 1 2\n\xef\xbb\xbf 3 4\n1 2 3\nNULL 4 5\n# 1 2\n',
    ],
)
def test_pyarrow_reads_what_is_common(data: bytes) -> None:
    fast = arrow_parser(Layout(format="glove", dimension=2, trailing=b" \n" in data))
    assert fast is not None
    lines = fast(data)
    assert lines is not None
    assert lines.tokens == parse_lines(data, 2).tokens


@pytest.mark.usefixtures("parser")
def test_midpoints_are_rounded_twice_as_python_does(written: Callable[[bytes], Path]) -> None:
    # Just above the middle of two float32s: float64 makes it the middle, and float32 of that the even one below.
    text = b"1.00000005960464477539062500001"
    rows = read_rows(open_vectors(written(b"a %s\n" % text)))
    assert rows == [(b"a", [float_bits(1.0)])]
    assert float_bits(float(text)) == float_bits(1.0)


@pytest.mark.usefixtures("parser", "block_bytes")
def test_many_blocks_come_in_their_order(written: Callable[[bytes], Path]) -> None:
    data = b"".join(b"w%d %d %d.5\n" % (number, number, -number) for number in range(500))
    assert read_rows(open_vectors(written(data))) == plain_rows(data, 2)


@pytest.mark.usefixtures("parser", "block_bytes")
def test_only_the_first_words_are_read(written: Callable[[bytes], Path]) -> None:
    good = b"".join(b"w%d %d\n" % (number, number) for number in range(40))
    vectors = open_vectors(written(good + b"damaged\n\n"), max_words=30)
    assert [word for word, _ in read_rows(vectors)] == [b"w%d" % number for number in range(30)]
    assert len(read_rows(open_vectors(written(good + b"damaged\n\n"), max_words=40))) == 40
    with pytest.raises(InvalidArgumentError, match=r"line 41: ends in 0 numbers, where 1 are expected"):
        read_rows(open_vectors(written(good + b"damaged\n\n"), max_words=41))
