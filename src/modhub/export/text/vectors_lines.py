"""Lines of word vectors, one by one in Python: the rules, and what is said of a line that breaks them.

`vectors_arrow` reads most blocks faster, to the same values. What it declines is read here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modhub.export.text.vectors_source import shown

if TYPE_CHECKING:
    from modhub.export.text.vectors_source import Floats

__all__ = ["Lines", "LinesError", "count_line_feeds", "parse_lines", "trailing_numbers"]

# What a comparison makes of it stays in the processor's cache.
_COUNTED_BYTES = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What some lines hold.

    Attributes:
      tokens: the words.
      values: float32, [len(tokens), dimension].
      blank: the index of the first of the blank lines that they end with, if any.
    """

    tokens: list[bytes]
    values: Floats
    blank: int | None = None


class LinesError(ValueError):
    """A line that cannot be read. It becomes an InvalidArgumentError where the file is known.

    Attributes:
      index: of the line among those that were given.
    """

    def __init__(self, message: str, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


def parse_lines(data: bytes, dimension: int) -> Lines:
    r"""Read lines of a word and its values.

    Fields are separated by ASCII white space. The last `dimension` ones are the values, each `np.float32(float(text))`;
    what is before them, without the white space around it, is the word, so that a word may hold spaces. Blank lines may
    only be at the end.

    Args:
      data: whole lines; the last may lack its end.
      dimension: how many values each has.

    Returns:
      The words and the values.

    Raises:
      LinesError: a line has too few values, one too many, or something else in their place.

    Example:
      >>> lines = parse_lines(b". . . 0.5 1e3\nthe -0.0 2 \n", 2)
      >>> lines.tokens, lines.values.tolist()
      ([b'. . .', b'the'], [[0.5, 1000.0], [-0.0, 2.0]])
    """
    import numpy as np

    # A line takes two bytes for each value, one for its word and one for its end; blank lines take no row.
    values = np.empty(((len(data) + 1) // (2 * dimension + 2), dimension), np.float32)
    tokens: list[bytes] = []
    blank = None
    with np.errstate(over="ignore"):  # 1e39 is infinite as a float32, as the rule has it
        for index, line in enumerate(io.BytesIO(data)):
            fields = line.rsplit(None, dimension)
            if not fields:
                blank = index if blank is None else blank
                continue
            if blank is not None:
                raise LinesError("is blank; only the last lines may be.", blank)
            if len(fields) <= dimension:
                raise LinesError(_wrong(line.split(), dimension), index)
            try:
                values[len(tokens)] = [float(field) for field in fields[1:]]
            except ValueError as error:
                raise LinesError(_wrong(line.split(), dimension), index) from error
            token = fields[0].strip()
            _check_width(token, dimension, index)
            tokens.append(token)
    return Lines(tokens=tokens, values=values[: len(tokens)], blank=blank)


def trailing_numbers(fields: Sequence[bytes]) -> int:
    """Return how many of the last fields of a line are numbers, not counting the first field, which is its word.

    Example:
      >>> trailing_numbers([b"7", b"of", b"1", b"2e-3"])
      2
    """
    return next((count for count, field in enumerate(reversed(fields[1:])) if not _is_number(field)), len(fields[1:]))


def count_line_feeds(data: bytes) -> int:
    """Return how many line feeds there are, in a quarter of the time that `bytes.count` takes."""
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    starts = range(0, len(array), _COUNTED_BYTES)
    return sum(int(np.count_nonzero(array[start : start + _COUNTED_BYTES] == 0x0A)) for start in starts)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _check_width(token: bytes, dimension: int, index: int) -> None:
    """Refuse a word that ends in a number: the line has a value too many, unless a word with spaces ends so."""
    parts = token.split()
    if len(parts) > 1 and any(0x30 <= byte <= 0x39 for byte in parts[-1]) and _is_number(parts[-1]):
        raise LinesError(
            f"ends in {trailing_numbers(parts) + dimension} numbers, where {dimension} are expected. If its word is "
            f"{shown(token)}, give the vectors as a pair (vocabulary, matrix).",
            index,
        )


def _wrong(fields: list[bytes], dimension: int) -> str:
    count = trailing_numbers(fields)
    before = fields[-1 - count]
    reason = f": {shown(before)} is not a number" if count < len(fields) - 1 else ""
    return f"ends in {count} number{'s' * (count != 1)}, where {dimension} are expected{reason}."
