"""Word vectors to the files of a module: the matrix as a checkpoint, the words as an asset, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modhub.errors import InvalidArgumentError, accepted
from modhub.export.text.vectors import read_blocks
from modhub.export.text.vectors_repeated import Repeated
from modhub.export.text.vectors_source import Block, Vectors, place, refuse, shown
from modhub.format import ASSETS, BUNDLE, BundleWriter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["DTYPES", "EMBEDDINGS", "TOKENS", "Written", "write_vectors"]

# The name of the variable, and that of the asset under `assets/`.
EMBEDDINGS = "embeddings"
TOKENS = "tokens.txt"
# How values may be stored, with the number of the TensorFlow type.
DTYPES = {"float32": 1, "float16": 19}

_DUPLICATES = ("error", "first")
_ZERO_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
      words: how many words have a vector; also how many lines `tokens.txt` has.
      dimension: how many values a vector has.
      repeated: how many vectors were left out because their word came before.
      not_finite: how many vectors hold nan or infinity. A sentence with such a word has no embedding to speak of.
    """

    words: int
    dimension: int
    repeated: int
    not_finite: int


def write_vectors(
    directory: Path,
    vectors: Vectors,
    *,
    num_oov_buckets: int = 1,
    dtype: str = "float32",
    duplicates: str = "error",
    on_progress: Callable[[int], None] | None = None,
) -> Written:
    r"""Write `variables/` and `assets/tokens.txt` of a module.

    The one tensor, "embeddings", is [words + num_oov_buckets, dimension]: the vectors in their order, then a row of
    zeros for each bucket of words that are not in the vocabulary. `tokens.txt` has the words in the same order, one a
    line, as the tables of TensorFlow read them.

    Args:
      directory: the module's, which exists; it is the caller's to remove after an error.
      vectors: what `open_vectors` returned.
      num_oov_buckets: how many buckets there are for words that are not in the vocabulary; 0 or more.
      dtype: how the values are stored: "float32", or "float16", rounded to the nearest, ties to even.
      duplicates: what a word that occurs again does: "error", because no table of TensorFlow takes it twice; or
        "first": only the first of its vectors counts.
      on_progress: called after each block with `Block.done`, of `Vectors.total`.

    Returns:
      What was written.

    Raises:
      InvalidArgumentError: the vectors cannot be read (see `read_blocks`), a word cannot be a line of `tokens.txt`, a
        value is too large for float16, or an argument is at fault.
      ExportExistsError: the checkpoint is there already.

    Example:
      >>> import tempfile
      >>> from modhub.export.text.vectors import open_vectors
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     written = write_vectors(Path(folder), open_vectors((["a", "b"], [[1.0, 2.0], [3.0, 4.0]])))
      ...     Path(folder, "assets", "tokens.txt").read_bytes()
      b'a\nb\n'
      >>> written.words, written.dimension
      (2, 2)
    """
    import numpy as np

    _check_arguments(num_oov_buckets, dtype, duplicates)
    tokens_path = directory / ASSETS / TOKENS
    tokens_path.parent.mkdir(exist_ok=True)
    known = Repeated(tokens_path)
    words = repeated = not_finite = 0
    with (
        BundleWriter(directory / BUNDLE) as writer,
        tokens_path.open("wb") as tokens_file,
        writer.rows(EMBEDDINGS, DTYPES[dtype], vectors.dimension) as rows,
    ):
        for block in read_blocks(vectors):
            _check_tokens(vectors, block)
            tokens, values = block.tokens, _stored(vectors, block, dtype)
            tokens_file.flush()
            again = known.find(tokens, words)
            if again:
                _refuse_repeated(vectors, block, again, duplicates)
                kept = [row for row in range(len(tokens)) if row not in again]
                tokens, values = [tokens[row] for row in kept], values[kept]
            rows.write(values)
            _write_tokens(tokens_file, tokens)
            words += len(tokens)
            repeated += len(again)
            finite = np.isfinite(values)
            if not finite.all():
                not_finite += int(np.count_nonzero(~finite.all(axis=1)))
            if on_progress is not None:
                on_progress(block.done)
        _write_zeros(rows.write, num_oov_buckets, vectors.dimension, dtype)
    return Written(words=words, dimension=vectors.dimension, repeated=repeated, not_finite=not_finite)


def _check_arguments(num_oov_buckets: int, dtype: str, duplicates: str) -> None:
    if isinstance(num_oov_buckets, bool) or not isinstance(num_oov_buckets, int) or num_oov_buckets < 0:
        raise InvalidArgumentError(f"num_oov_buckets is a number from 0 on, got {num_oov_buckets!r}.")
    if dtype not in DTYPES:
        raise InvalidArgumentError(f"Vectors are not stored as {dtype!r}. {accepted(dtype, DTYPES, 'types')}")
    if duplicates not in _DUPLICATES:
        known = accepted(duplicates, _DUPLICATES, "values")
        raise InvalidArgumentError(f"duplicates cannot be {duplicates!r}. {known}")


def _check_tokens(vectors: Vectors, block: Block) -> None:
    r"""Refuse words that TensorFlow would not read back from the lines of a file: it takes a \r off a line's end."""
    for row, token in enumerate(block.tokens):
        if b"\n" in token or token.endswith(b"\r"):
            where = place(vectors.source, vectors.layout, block.start + row)
            refuse(where, f"the word {shown(token)} has an end of line in it, which no line of {TOKENS!r} can hold.")


def _refuse_repeated(vectors: Vectors, block: Block, again: dict[int, int], duplicates: str) -> None:
    if duplicates == "first":
        return
    row = min(again)
    first = place(vectors.source, vectors.layout, again[row]).rpartition(", ")[2]
    refuse(
        place(vectors.source, vectors.layout, block.start + row),
        f"the word {shown(block.tokens[row])} is there already ({first}), and a table takes a word once. Remove one, "
        "or give duplicates='first', which keeps the first vector of each word.",
    )


def _stored(vectors: Vectors, block: Block, dtype: str) -> npt.NDArray[np.floating]:
    """Return the values as they are stored; none that is finite may become infinite."""
    import numpy as np

    if dtype == "float32":
        return block.values
    with np.errstate(over="ignore"):
        values = block.values.astype(np.float16)
    lost = np.isinf(values) & np.isfinite(block.values)
    if lost.any():
        row, column = (int(position) for position in np.argwhere(lost)[0])
        refuse(
            place(vectors.source, vectors.layout, block.start + row),
            f"the value {block.values[row, column]} is too large for float16, which ends at 65504. Use float32.",
        )
    return values


def _write_tokens(file: BinaryIO, tokens: list[bytes]) -> None:
    if tokens:
        file.write(b"\n".join(tokens) + b"\n")


def _write_zeros(write: Callable[[npt.NDArray[np.floating]], None], count: int, dimension: int, dtype: str) -> None:
    import numpy as np

    step = max(1, _ZERO_BYTES // (4 * dimension))
    for start in range(0, count, step):
        write(np.zeros((min(step, count - start), dimension), dtype))
