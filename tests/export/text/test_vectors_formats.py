from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modhub.errors import HandleNotFoundError, InvalidArgumentError, ModhubError
from modhub.export.text import vectors_binary
from modhub.export.text.vectors import open_vectors, read_blocks
from modhub.export.text.vectors_sniffing import LONGEST_LINE
from tests.export.text.plain_reader import float_bits, plain_rows, read_rows

_EXAMPLES = int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200"))
_TEXT = b"the 1 2.5\nof -0.0 1e-3\n. . . 3 4\n"
_ROWS = plain_rows(_TEXT, 2)
_BINARY = b"".join(
    word + b" " + np.array(bits, "<u4").tobytes() + b"\n"
    for word, bits in [(b"the", [1, 2]), (b"\xff", [3, 0x7FC00001])]
)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("format_", "found", "data"),
    [
        ("glove", "glove", _TEXT),
        ("word2vec", "word2vec", b"3 2\n" + _TEXT),
        ("word2vec", "word2vec", b"\xef\xbb\xbf3 2\r\n" + _TEXT.replace(b"\n", b"\r\n")),
        ("fasttext", "word2vec", b"3 2\n" + _TEXT.replace(b"\n", b" \n")),
        ("glove", "glove", _TEXT.replace(b" 1 2.5", b"\t1\t2.5").replace(b" -0.0 1e-3", b"\t-0.0\t1e-3")),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_text_format_is_recognized(
    written: Callable[[bytes], Path], format_: str, found: str, data: bytes, packed: bool
) -> None:
    path = written(gzip.compress(data) if packed else data)
    vectors = open_vectors(path)
    assert (vectors.layout.format, vectors.dimension, vectors.total) == (found, 2, path.stat().st_size)
    assert read_rows(vectors) == read_rows(open_vectors(path, format=format_)) == _ROWS


def test_members_of_gzip_are_joined(written: Callable[[bytes], Path]) -> None:
    assert read_rows(open_vectors(written(gzip.compress(_TEXT[:20]) + gzip.compress(_TEXT[20:])))) == _ROWS


@pytest.mark.parametrize("feeds", [True, False], ids=["with line feeds", "without"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_binary_format_is_recognized(written: Callable[[bytes], Path], feeds: bool, packed: bool) -> None:
    data = b"2 2\n" + (_BINARY if feeds else _BINARY.replace(b"\n", b""))
    path = written(gzip.compress(data) if packed else data)
    vectors = open_vectors(path)
    assert (vectors.layout.format, vectors.dimension) == ("word2vec-binary", 2)
    assert read_rows(vectors) == [(b"the", [1, 2]), (b"\xff", [3, 0x7FC00001])]
    assert read_rows(open_vectors(path, format="word2vec-binary", max_words=1)) == [(b"the", [1, 2])]


_BINARY_WORDS = st.binary(min_size=1, max_size=5).filter(lambda word: b" " not in word and not word.startswith(b"\n"))


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 4))),
    st.lists(_BINARY_WORDS, min_size=9, max_size=9),
    st.integers(1, 40),
)
def test_binary_values_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, bits: np.ndarray[Any, np.dtype[np.uint32]], words: list[bytes], block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.bin"
    records = [word + b" " + row.astype("<u4").tobytes() + b"\n" for word, row in zip(words, bits, strict=False)]
    path.write_bytes(b"%d %d\n" % bits.shape + b"".join(records))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors_binary, "_BLOCK_BYTES", block)
        rows = read_rows(open_vectors(path, format="word2vec-binary"))
    assert rows == list(zip(words, bits.tolist(), strict=False))


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a 1 2\nb 1\n", r"line 2: ends in 1 number, where 2 are expected\.$"),
        (b"a 1 2\nb\n", r"line 2: ends in 0 numbers, where 2 are expected\.$"),
        (b"a 1 2\n1 2\n", r"line 2: ends in 1 number, where 2"),
        (b"a 1 2\n 1 2\n", r"line 2: ends in 1 number, where 2"),
        (b"a 1 2\n. . 5\n", r"line 2: ends in 1 number, where 2 are expected: '\.' is not a number"),
        (b"a 1 2\nb 1 x2\n", r"line 2: ends in 0 numbers, where 2 are expected: 'x2' is not a number"),
        (b"a 1 2\nb 1 0x1p3\n", r"line 2: .* '0x1p3' is not a number"),
        (b"a 1 2\nb 1 \xff\n", r"line 2: .* b'\\xff' is not a number"),
        (b"a 1 2\nb 1 " + b"x" * 50, r"line 2: .* 'x{40}'\.\.\. is not a number"),
        (b"a 1 2\nb 1 2 3\n", r"line 2: ends in 3 numbers, where 2 are expected. If its word is 'b 1', give .* pair"),
        (b"a 1 2\n\nb 1 2\n", r"line 2: is blank; only the last lines may be"),
        (b"a 1 2\n\n \n" + b"\n" * 90 + b"b 1 2\n", r"line 2: is blank"),
        (b"\na 1 2\n", r"line 1: '\\n' is not a word and its values"),
        (b"just words\n", r"line 1: 'just words\\n' is not a word and its values"),
        (b"1\n", r"line 1: '1\\n' is not"),
        (b"2 2\na 1 2\nb 1\n", r"line 3: ends in 1 number"),
        (b"2 3\na 1 2\nb 1 2\n", r"line 2: ends in 2 numbers, where 3"),
        (b"2 1\na 1 2\nb 1 2\n", r"line 2: ends in 2 numbers, where 1"),
        (b"2 2\n\na 1 2\nb 1 2\n", r"line 2: is blank"),
        (b"3 2\na 1 2\nb 1 2\n", r"line 1: the header promises 3 vectors, but there are 2"),
        (b"1 2\na 1 2\nb 1 2\n", r"line 1: the header promises 1 vectors, but there are more"),
        (b"1 2\n\n", r"the header is all there is"),
        (b"1 0\na\n", r"line 1: vectors of 0 dimensions; from 1 to 65536"),
        (b"1 65537\na 1 2\n", r"line 1: vectors of 65537 dimensions"),
        (b"", r"is empty: it holds no word vectors"),
        (b" \r\n\n", r"is empty"),
        (b"\xef\xbb\xbf", r"line 1: '' is not a word"),
        (gzip.compress(b""), r"is empty"),
        (b"x" * (LONGEST_LINE + 1), r"line 1: is longer than 2097152 bytes"),
    ],
)
@pytest.mark.usefixtures("parser", "block_bytes")
def test_what_breaks_a_rule_is_refused_with_its_line(written: Callable[[bytes], Path], data: bytes, line: str) -> None:
    path = written(data)
    with pytest.raises(InvalidArgumentError, match=line) as caught:
        read_rows(open_vectors(path))
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("parser", "block_bytes")
def test_a_line_without_an_end_is_refused(written: Callable[[bytes], Path]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"line 2: (is longer than|ends in 0 numbers)"):
        read_rows(open_vectors(written(b"a 1\n" + b"x" * (LONGEST_LINE + 100))))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"3 2\n" + _BINARY, "word 3: the file ends here, but its header promises 3 vectors of 2 dim"),
        (b"2 2\n" + _BINARY[:-2], "word 2: the file ends here"),
        (b"1 2\n" + _BINARY, "the header promises 1 vectors, but .* follows them"),
        (b"2 2\n" + _BINARY.replace(b"the", b""), "word 1: the word is empty"),
        (b"9 9000\n" + b"\x01" * 2**17, "word 1: no space ends the word"),
        (b"99999999 65536\na \x00\x00", "word 1: the file ends here"),
    ],
)
def test_a_damaged_binary_file_is_refused(written: Callable[[bytes], Path], data: bytes, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read_rows(open_vectors(written(data), format="word2vec-binary"))


@pytest.mark.parametrize("format_", ["word2vec", "fasttext", "word2vec-binary"])
def test_a_missing_header_is_refused(written: Callable[[bytes], Path], format_: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"line 1: a {format_} file starts with two numbers.*'the 1 2\.5"):
        open_vectors(written(_TEXT), format=format_)


def test_a_first_word_that_is_a_number_is_no_header(written: Callable[[bytes], Path]) -> None:
    assert read_rows(open_vectors(written(b"7 5\nthe 3\n"))) == [(b"7", [float_bits(5)]), (b"the", [float_bits(3)])]
    assert read_rows(open_vectors(written(b"3 2\nthe 3 4\n"), format="glove", max_words=1)) == [(b"3", [float_bits(2)])]


def test_a_truncated_archive_is_refused(written: Callable[[bytes], Path]) -> None:
    lines = b"".join(b"w%d %d.%d\n" % (n, n, n * n) for n in range(3000))
    packed = gzip.compress(lines)
    for damaged in [packed[: len(packed) // 2], packed[:-8] + b"\x00" * 8, packed[:300] + b"\xff" * 99 + packed[400:]]:
        with pytest.raises(InvalidArgumentError, match="Cannot read"):
            read_rows(open_vectors(written(damaged)))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04...", "zip archive"),
        (b"BZh9...", "bzip2"),
        (b"\xfd7zXZ\x00", "by xz"),
        (b"\x28\xb5\x2f\xfd", "by zstd"),
        (b"\xba\x16\x4f\x2f\x0c", "fastText model; what is read is the '.vec' file"),
        (b"\x93NUMPY\x01", "array of NumPy"),
    ],
)
def test_what_else_a_file_may_be_is_named(written: Callable[[bytes], Path], data: bytes, what: str) -> None:
    with pytest.raises(InvalidArgumentError, match=what):
        open_vectors(written(data))


@settings(max_examples=_EXAMPLES, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["auto", "glove", "word2vec", "word2vec-binary"]), st.booleans())
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, format_: str, headed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes((b"2 1\n" if headed else b"") + data)
    rows = None
    with contextlib.suppress(ModhubError):
        rows = read_rows(open_vectors(path, format=format_))
    assert rows is None or all(token and bits for token, bits in rows)


@pytest.mark.parametrize(
    ("vocabulary", "matrix"),
    [
        (["a", b"\xff", "\u00e9"], np.arange(6).reshape(3, 2)),
        (("a", b"\xff", "\u00e9"), [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        (np.array(["a", b"\xff", "\u00e9"], object), np.arange(6, dtype=np.float16).reshape(2, 3).T),
    ],
)
def test_a_pair_is_read(vocabulary: Any, matrix: Any) -> None:
    vectors = open_vectors((vocabulary, matrix))
    blocks = list(read_blocks(vectors))
    assert [token for block in blocks for token in block.tokens] == [b"a", b"\xff", b"\xc3\xa9"]
    np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), np.asarray(matrix, np.float32))
    assert read_rows(open_vectors((vocabulary, matrix), max_words=1))[0][0] == b"a"


def test_words_of_numpy_are_words() -> None:
    assert read_rows(open_vectors((np.array(["a", "bc"]), np.ones([2, 1], ">f8")))) == [
        (b"a", [float_bits(1)]),
        (b"bc", [float_bits(1)]),
    ]


def test_a_large_pair_is_read_in_blocks() -> None:
    matrix = np.arange(3 * 2**20, dtype=np.float64).reshape(-1, 256) / 3
    words = [str(number) for number in range(len(matrix))]
    blocks = list(read_blocks(open_vectors((words, matrix))))
    assert len(blocks) > 2
    assert np.array_equal(np.concatenate([block.values for block in blocks]), matrix.astype(np.float32))
    assert [token.decode() for block in blocks for token in block.tokens] == words


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((["a"],), "a tuple of 1"),
        (("a", [[1.0]]), "not of type 'str'"),
        (({"a"}, [[1.0]]), "not of type 'set'"),
        ((np.array([["a"]]), [[1.0]]), r"shape \[1, 1\]"),
        ((["a"], [[1.0], [2.0]]), "1 words do not fit a matrix of 2 rows"),
        (([], np.zeros([0, 3])), "vocabulary is empty"),
        ((["a"], [1.0]), "got float64, \\[1\\]"),
        ((["a"], np.zeros([1, 0])), "got float64, \\[1, 0\\]"),
        ((["a"], [["x"]]), "real numbers"),
        ((["a"], [[1.0], [2.0, 3.0]]), "no array"),
        ((["a", ""], np.zeros([2, 1])), "Word 2 of the vocabulary: is empty"),
        ((["a", 7], np.zeros([2, 1])), "Word 2 of the vocabulary: is 7; a word is"),
        ((["\ud800"], np.zeros([1, 1])), "Word 1 of the vocabulary: .* UTF-8"),
    ],
)
def test_what_is_no_pair_is_refused(pair: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read_rows(open_vectors(pair))


@pytest.mark.parametrize("max_words", [0, -1, True, 1.0, "3"])
def test_a_number_of_words_is_refused(max_words: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="max_words is a number from 1 on"):
        open_vectors("x", max_words=max_words)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HandleNotFoundError, match="does not exist"):
        open_vectors(tmp_path / "no")
    with pytest.raises(InvalidArgumentError, match="is no file"):
        open_vectors(tmp_path)
    with pytest.raises(InvalidArgumentError, match="null byte"):
        open_vectors("a\x00b")
    with pytest.raises(InvalidArgumentError, match="not of type 'int'"):
        open_vectors(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="Did you mean 'glove'"):
        open_vectors("x", format="glov")
