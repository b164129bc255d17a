"""Lines of word vectors by pyarrow's reader of CSV, which declines what it would read otherwise than Python.

float64 is what it reads, and that is cast: its float32 is not the `np.float32(float(text))` of the rule.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from modhub.export.text.vectors_lines import Lines, count_line_feeds
from modhub.export.text.vectors_source import Layout

__all__ = ["arrow_parser"]

_BOM = b"\xef\xbb\xbf"
# Each column costs some microseconds a block; wider vectors are few to a block.
_MOST_COLUMNS = 4096
_SPACES = b" \t\r\x0b\x0c"


def arrow_parser(layout: Layout) -> Callable[[bytes], Lines | None] | None:
    """Return a function that reads whole lines, or returns None for those that `parse_lines` has to read.

    Args:
      layout: how the vectors lie in the file.

    Returns:
      The function; None where pyarrow is not installed, or would not help.
    """
    if layout.dimension > _MOST_COLUMNS:
        return None
    try:
        pyarrow, csv = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.csv")
    except ImportError:
        return None
    dimension = layout.dimension
    columns = dimension + 1 + layout.trailing
    types = [pyarrow.binary(), *[pyarrow.float64()] * dimension, pyarrow.binary()][:columns]
    names = [f"f{number}" for number in range(columns)]
    parsing = csv.ParseOptions(
        delimiter=layout.delimiter.decode(),
        quote_char=False,
        escape_char=False,
        newlines_in_values=False,
        ignore_empty_lines=False,  # or one would make up for a line that a lone \r cuts in two
    )
    converting = csv.ConvertOptions(
        check_utf8=False,
        column_types=dict(zip(names, types, strict=True)),
        null_values=[],
        strings_can_be_null=False,
        quoted_strings_can_be_null=False,
    )

    def parse(data: bytes) -> Lines | None:
        # Arrow drops a byte order mark before each block.
        if data.startswith(_BOM):
            return None
        # A block of Arrow's own reader that holds all of the data, so that a column is one piece.
        reading = csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names)
        try:
            table = csv.read_csv(
                pyarrow.BufferReader(data), read_options=reading, parse_options=parsing, convert_options=converting
            )
        except pyarrow.ArrowInvalid:
            return None
        # Arrow ends lines also at a lone \r.
        if table.num_rows != count_line_feeds(data) + (not data.endswith(b"\n")):
            return None
        return _lines(table, dimension, trailing=layout.trailing)

    return parse


def _lines(table: Any, dimension: int, *, trailing: bool) -> Lines | None:
    """Return what a table holds, unless a word is empty or has spaces, or a value is no finite number."""
    import numpy as np

    if any(column.num_chunks != 1 or column.null_count for column in table.columns):
        return None
    tokens: list[bytes] = table.column(0).to_pylist()
    joined = b"".join(tokens)
    if not all(tokens) or len(joined.translate(None, _SPACES)) != len(joined):
        return None
    if trailing and any(table.column(dimension + 1).to_pylist()):
        return None
    values = np.empty((len(tokens), dimension), np.float32)
    with np.errstate(over="ignore"):
        for number in range(dimension):
            values[:, number] = table.column(number + 1).chunk(0).to_numpy()
    if not np.isfinite(values).all():  # Arrow takes "nan(1)" for a number
        return None
    return Lines(tokens=tokens, values=values)
