"""Word vectors, as others publish them, in blocks: GloVe, word2vec (text and binary), fastText; gzip too."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from modhub.errors import HandleNotFoundError, InvalidArgumentError, accepted
from modhub.export.text.vectors_binary import read_binary
from modhub.export.text.vectors_pair import pair_vectors, read_pair
from modhub.export.text.vectors_sniffing import sniff
from modhub.export.text.vectors_source import BINARY, FORMATS, Block, Pair, Vectors
from modhub.export.text.vectors_text import read_text

__all__ = ["Block", "Source", "Vectors", "open_vectors", "read_blocks"]

Source: TypeAlias = str | os.PathLike[str] | tuple[object, object]


def open_vectors(source: Source, *, format: str = "auto", max_words: int | None = None) -> Vectors:
    """Look at word vectors: which format, and how many dimensions.

    Args:
      source: a file in one of the formats below, packed by gzip or not; or a pair (vocabulary, matrix): words, each
        `str` or `bytes`, and real numbers, [words, dimension].
      format: "glove", a word and its values on each line; "word2vec" or "fasttext", the same after a line with the
        numbers of words and dimensions; "word2vec-binary"; or "auto", which looks at the first two lines.
      max_words: reads only so many, the first ones, and does not look at the others; None for all.

    Returns:
      The vectors, for `read_blocks`. Nothing is left open.

    Raises:
      HandleNotFoundError: there is no such file.
      InvalidArgumentError: it is empty, of another format, or an argument is at fault.

    Example:
      >>> import numpy as np
      >>> vectors = open_vectors((["a", "b"], np.eye(2)))
      >>> vectors.dimension
      2
      >>> [block.tokens for block in read_blocks(vectors)]
      [[b'a', b'b']]
    """
    if max_words is not None and (isinstance(max_words, bool) or not isinstance(max_words, int) or max_words < 1):
        raise InvalidArgumentError(f"max_words is a number from 1 on, or None for all; got {max_words!r}.")
    if format not in FORMATS:
        raise InvalidArgumentError(f"No vectors have the format {format!r}. {accepted(format, FORMATS, 'formats')}")
    if isinstance(source, tuple):
        return pair_vectors(source, max_words)
    if not isinstance(source, str | os.PathLike):
        raise InvalidArgumentError(
            f"Word vectors are a path or a pair (vocabulary, matrix), not of type {type(source).__name__!r}."
        )
    if "://" in os.fspath(source):
        raise InvalidArgumentError(f"{source!r} is no path of a file on this machine. Download it, and give its path.")
    path = Path(source)
    total = _size(path)
    return Vectors(source=path, layout=sniff(path, format), max_words=max_words, total=total)


def read_blocks(vectors: Vectors) -> Iterator[Block]:
    """Read word vectors from the first on, in constant memory.

    Each value is `np.float32(float(text))`, bit for bit, also where it is nan, infinite or subnormal. Words are the
    bytes of the file, in whichever encoding; a byte order mark at the beginning is left out. Lines end with a line
    feed, with or without a carriage return, and the last one may lack it.

    Args:
      vectors: what `open_vectors` returned.

    Yields:
      Blocks of some thousand words.

    Raises:
      InvalidArgumentError: the vectors break a rule; the message says where. A line has too few values or too many,
        or something that is no number; a blank line is not one of the last; the header promises something else; the
        file is cut off, or changes while it is read.
    """
    source, layout = vectors.source, vectors.layout
    if isinstance(source, Pair):
        return read_pair(source, layout, vectors.total)
    if layout.format == BINARY:
        return read_binary(source, layout, vectors.max_words)
    return read_text(source, layout, vectors.max_words, vectors.total)


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HandleNotFoundError(
            f"{str(path)!r} does not exist; a file of word vectors was expected there."
        ) from error
    except (OSError, ValueError) as error:  # a null byte is a ValueError
        raise InvalidArgumentError(f"{str(path)!r} is not a path that can be read: {error}.") from error
    if not stat.S_ISREG(found.st_mode):
        raise InvalidArgumentError(f"{str(path)!r} is no file. A stream cannot be read either: write it to a file.")
    return found.st_size
