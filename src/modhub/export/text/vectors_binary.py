"""Binary files of word2vec: a header in text, then for each word its bytes, a space, and float32 values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modhub.errors import InvalidArgumentError
from modhub.export.text.vectors_sniffing import UNREADABLE, open_unpacked
from modhub.export.text.vectors_source import MOST_WORDS, Block, Layout, place, refuse, shown

if TYPE_CHECKING:
    from modhub.export.text.vectors_source import Floats

__all__ = ["read_binary"]

_BLOCK_BYTES = 4 * 2**20
# word2vec reads words of up to 100 bytes, and fills in at most 2000.
_LONGEST_TOKEN = 2**16


def read_binary(path: Path, layout: Layout, max_words: int | None) -> Iterator[Block]:
    """Read a binary file of word2vec, in constant memory.

    A line feed before a word is no part of it: word2vec writes one after each vector, other writers do not.

    Args:
      path: the file.
      layout: how many words, and of how many dimensions.
      max_words: how many are read; nothing after them is looked at.

    Yields:
      Blocks, in the order of the file.

    Raises:
      InvalidArgumentError: the file is cut off, has something after the words, an empty word, or cannot be read.
    """
    promised = layout.words or 0
    words = promised if max_words is None else min(promised, max_words)
    start = 0
    block_bytes = min(_BLOCK_BYTES, 4 * layout.dimension * MOST_WORDS)
    try:
        with path.open("rb") as raw, open_unpacked(raw, layout.gzip) as file:
            file.read(layout.skipped)
            pending = b""
            while start < words:
                fresh = file.read(block_bytes)
                data = pending + fresh
                tokens, values, used = _records(path, layout, start, data, words - start)
                if tokens:
                    yield Block(start=start, tokens=tokens, values=values, done=raw.tell())
                start += len(tokens)
                pending = data[used:]
                if not fresh and start < words:
                    refuse(
                        place(path, layout, start),
                        f"the file ends here, but its header promises {promised} vectors of {layout.dimension} "
                        "dimensions. It is cut off, or no binary file of word2vec.",
                    )
            if words == promised:
                _check_end(path, layout, pending, file)
    except UNREADABLE as error:
        raise InvalidArgumentError(f"Cannot read {place(path, layout, start)}: {error}.") from error


def _records(path: Path, layout: Layout, start: int, data: bytes, most: int) -> tuple[list[bytes], Floats, int]:
    """Return the words and values of the whole records in some bytes, and how many bytes those take."""
    import numpy as np

    size = 4 * layout.dimension
    tokens: list[bytes] = []
    pieces: list[memoryview] = []
    view, used = memoryview(data), 0
    while len(tokens) < most:
        space = data.find(b" ", used, used + _LONGEST_TOKEN)
        if space < 0:
            if len(data) - used >= _LONGEST_TOKEN:
                refuse(
                    place(path, layout, start + len(tokens)),
                    f"no space ends the word {shown(data[used:])}; the file is damaged, or the header is wrong.",
                )
            break
        end = space + 1 + size
        if end > len(data):
            break
        token = data[used:space].lstrip(b"\n")
        if not token:
            refuse(
                place(path, layout, start + len(tokens)), "the word is empty; the file is damaged, or the header wrong."
            )
        tokens.append(token)
        pieces.append(view[space + 1 : end])
        used = end
    values = np.frombuffer(b"".join(pieces), "<f4").reshape(-1, layout.dimension)
    return tokens, values.astype(np.float32, copy=False), used


def _check_end(path: Path, layout: Layout, pending: bytes, file: BinaryIO) -> None:
    rest = (pending + file.read(_LONGEST_TOKEN)).strip(b"\r\n")
    if rest:
        refuse(
            str(path),
            f"the header promises {layout.words} vectors, but {shown(rest)} follows them. The header or the file is "
            "damaged.",
        )
