"""Word vectors that are given as a vocabulary and a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modhub.errors import InvalidArgumentError
from modhub.export.text.vectors_source import MOST_DIMENSIONS, MOST_WORDS, PAIR, Block, Layout, Pair, Vectors, refuse

__all__ = ["pair_vectors", "read_pair"]

_BLOCK_BYTES = 4 * 2**20


def pair_vectors(source: tuple[object, object], max_words: int | None) -> Vectors:
    """Return the vectors of a vocabulary and a matrix; the matrix may be a mapped file, of which pieces are read.

    Args:
      source: words, each of them `str` or `bytes`, and real numbers, [words, dimension].
      max_words: how many are read; None for all.

    Returns:
      The vectors.

    Raises:
      InvalidArgumentError: one of the two is something else, or they do not fit each other.
    """
    import numpy as np

    if len(source) != 2:
        raise InvalidArgumentError(f"A pair (vocabulary, matrix) is needed, got a tuple of {len(source)}.")
    vocabulary, given = source
    if isinstance(vocabulary, np.ndarray):
        if vocabulary.ndim != 1:
            raise InvalidArgumentError(f"The vocabulary has the shape {list(vocabulary.shape)}; it is a list of words.")
    elif not isinstance(vocabulary, Sequence) or isinstance(vocabulary, str | bytes):
        raise InvalidArgumentError(f"The vocabulary is a list of words, not of type {type(vocabulary).__name__!r}.")
    words: Any = vocabulary
    try:
        matrix = np.asarray(given)
    except ValueError as error:
        raise InvalidArgumentError(f"The matrix is no array: {error}.") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or not 0 < matrix.shape[1] <= MOST_DIMENSIONS:
        raise InvalidArgumentError(
            f"The matrix is an array of real numbers, [words, dimension] with 1 to {MOST_DIMENSIONS} dimensions; got "
            f"{matrix.dtype.name}, {list(matrix.shape)}."
        )
    if len(words) != len(matrix):
        raise InvalidArgumentError(f"{len(words)} words do not fit a matrix of {len(matrix)} rows.")
    if not len(words):
        raise InvalidArgumentError("The vocabulary is empty.")
    layout = Layout(format=PAIR, dimension=matrix.shape[1])

    def encoded(start: int, end: int) -> list[bytes]:
        return [_encoded(word, start + row) for row, word in enumerate(words[start:end])]

    pair = Pair(encoded=encoded, matrix=matrix)
    total = len(words) if max_words is None else min(max_words, len(words))
    return Vectors(source=pair, layout=layout, max_words=max_words, total=total)


def read_pair(pair: Pair, layout: Layout, total: int) -> Iterator[Block]:
    """Read the first `total` vectors of a pair, cast to float32.

    Yields:
      Blocks, in order.

    Raises:
      InvalidArgumentError: a word is neither `str` nor `bytes`, or empty.
    """
    import numpy as np

    step = min(MOST_WORDS, max(1, _BLOCK_BYTES // (8 * layout.dimension)))
    for start in range(0, total, step):
        end = min(start + step, total)
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(pair.matrix[start:end], np.float32)
        yield Block(start=start, tokens=list(pair.encoded(start, end)), values=values, done=end)


def _encoded(word: object, index: int) -> bytes:
    where = f"Word {index + 1} of the vocabulary"
    if isinstance(word, str):
        try:
            word = word.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"{where}: {word!r} cannot be encoded as UTF-8. Give its bytes.") from error
    if not isinstance(word, bytes):
        refuse(where, f"is {word!r}; a word is `str` or `bytes`.")
    if not word:
        refuse(where, "is empty; a table of words cannot hold it.")
    return word
