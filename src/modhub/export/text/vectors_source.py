"""What is known of word vectors before they are read, a block of them, and how messages name a place among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from modhub.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]

__all__ = [
    "BINARY",
    "FORMATS",
    "MOST_DIMENSIONS",
    "MOST_WORDS",
    "PAIR",
    "Block",
    "Layout",
    "Pair",
    "Vectors",
    "place",
    "refuse",
    "shown",
]

BINARY = "word2vec-binary"
PAIR = "pair"
FORMATS = ("auto", "fasttext", "glove", "word2vec", BINARY)

# A word takes some hundred bytes while it is read, however short its vector.
MOST_WORDS = 2**15
# Far more than any vectors have; a header that says more is a lie that would cost memory.
MOST_DIMENSIONS = 2**16

_SHOWN_BYTES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the vectors lie in a file.

    Attributes:
      format: "glove", "word2vec", "fasttext" or "word2vec-binary".
      dimension: how many values a vector has.
      words: how many vectors the header promises; None where there is no header.
      skipped: bytes before the first vector, after unpacking: those of a byte order mark and of the header.
      delimiter: what separates fields, a space or a tab.
      trailing: whether a delimiter follows the last value of a line.
      gzip: whether the file is packed.
    """

    format: str
    dimension: int
    words: int | None = None
    skipped: int = 0
    delimiter: bytes = b" "
    trailing: bool = False
    gzip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Vectors that are in memory already, or in a mapped file.

    Attributes:
      encoded: gives the tokens from one index up to another.
      matrix: their values, real numbers of any type, [words, dimension].
    """

    encoded: Callable[[int, int], Sequence[bytes]]
    matrix: npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Word vectors that can be read, as often as needed; nothing is open.

    Attributes:
      source: the file, or the vocabulary and the matrix.
      layout: how the vectors lie in it.
      max_words: how many are read at most; None for all.
      total: what `Block.done` comes to at the end: the bytes of the file, or the words of a pair.
    """

    source: Path | Pair
    layout: Layout
    max_words: int | None
    total: int

    @property
    def dimension(self) -> int:
        """How many values a vector has."""
        return self.layout.dimension


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some vectors that follow one another.

    Attributes:
      start: the index of the first one among all.
      tokens: their words, as bytes; none is empty.
      values: float32, [len(tokens), dimension].
      done: how far reading has come, of `Vectors.total`; ahead of what the block holds where a file is read ahead.
    """

    start: int
    tokens: list[bytes]
    values: Floats
    done: int


def place(source: Path | Pair, layout: Layout, index: int) -> str:
    """Return how a message names the vector of an index: by its line in a text file, by its number elsewhere.

    Example:
      >>> place(Path("words.vec"), Layout(format="word2vec", dimension=3, words=9), 0)
      "'words.vec', line 2"
    """
    if isinstance(source, Pair):
        return f"Word {index + 1} of the vocabulary"
    if layout.format == BINARY:
        return f"{str(source)!r}, word {index + 1}"
    return f"{str(source)!r}, line {index + 1 + (layout.words is not None)}"


def refuse(where: str, what: str) -> NoReturn:
    """Raise the error for vectors that cannot be read."""
    raise InvalidArgumentError(f"{where}: {what}")


def shown(data: bytes) -> str:
    """Return bytes as a message shows them: as text where they are, and cut where they are many."""
    cut = data[:_SHOWN_BYTES]
    try:
        text = repr(cut.decode())
    except UnicodeDecodeError:
        text = repr(cut)
    return text + ("..." if len(data) > len(cut) else "")
