"""Lines of word vectors by numpy and pyarrow, which decline what they would read otherwise than Python.

The fields of a block are an Arrow array of strings that lies on the block itself; what is no value in it (words,
delimiters) is null. Arrow turns it into float64, without Python's lock, and that is cast: its float32 is not the
`np.float32(float(text))` of the rule. Its reader of CSV gives the same and takes one and a half times as long.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modhub.export.text.vectors_lines import Lines
from modhub.export.text.vectors_source import Layout

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from modhub.export.text.vectors_source import Floats

__all__ = ["arrow_parser"]

_SPACES = b" \t\r\x0b\x0c"
_LINE_FEED = ord("\n")


def arrow_parser(layout: Layout) -> Callable[[bytes], Lines | None] | None:
    """Return a function that reads whole lines, or returns None for those that `parse_lines` has to read.

    Args:
      layout: how the vectors lie in the file.

    Returns:
      The function; None where pyarrow is not installed.
    """
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError:
        return None
    delimiter, dimension = layout.delimiter[0], layout.dimension
    width = dimension + 1 + layout.trailing  # fields of a line

    def parse(data: bytes) -> Lines | None:
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data += b"\n"
        ends = _field_ends(data, delimiter, width)
        if ends is None or (layout.trailing and (ends[:, -1] - ends[:, -2] != 1).any()):
            return None
        tokens = _words(data, ends)
        joined = b"".join(tokens)
        if not all(tokens) or len(joined.translate(None, _SPACES)) != len(joined):
            return None
        values = _values(pyarrow, data, ends, dimension)
        return None if values is None else Lines(tokens=tokens, values=values)

    return parse


def _field_ends(data: bytes, delimiter: int, width: int) -> npt.NDArray[np.int64] | None:
    """Return where fields end, [lines, width]; None unless each line has so many, with one delimiter between them."""
    import numpy as np

    text = np.frombuffer(data, np.uint8)
    found = np.flatnonzero((text == delimiter) | (text == _LINE_FEED))
    if len(found) % width:
        return None
    ends = found.reshape(-1, width)
    marks = text[ends]
    if (marks[:, :-1] != delimiter).any() or (marks[:, -1] != _LINE_FEED).any():
        return None
    return ends


def _words(data: bytes, ends: npt.NDArray[np.int64]) -> list[bytes]:
    """Return the first field of each line."""
    starts = [0, *(ends[:-1, -1] + 1).tolist()]
    return [data[start:end] for start, end in zip(starts, ends[:, 0].tolist(), strict=True)]


def _values(pyarrow: Any, data: bytes, ends: npt.NDArray[np.int64], dimension: int) -> Floats | None:
    """Return what follows the first field of each line, unless it is no finite number."""
    import numpy as np

    # What is an element of the array: each field, and each delimiter. Those that are values are not null.
    offsets = np.zeros(2 * ends.size + 1, np.int32)
    offsets[1::2], offsets[2::2] = ends.ravel(), ends.ravel() + 1
    valid = np.zeros((*ends.shape, 2), np.bool_)
    valid[:, 1 : dimension + 1, 0] = True
    buffers = (pyarrow.py_buffer(each) for each in (offsets, data, np.packbits(valid, bitorder="little")))
    try:
        numbers = pyarrow.StringArray.from_buffers(valid.size, *buffers).cast(pyarrow.float64())
    except pyarrow.ArrowInvalid:
        return None
    with np.errstate(over="ignore"):
        read = np.frombuffer(numbers.buffers()[1], np.float64, valid.size).reshape(valid.shape)
        values = read[:, 1 : dimension + 1, 0].astype(np.float32)
    # Arrow takes "nan(1)" for a number.
    return values if np.isfinite(values).all() else None
