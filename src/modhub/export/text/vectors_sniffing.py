"""From the beginning of a file of word vectors to how they lie in it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO, cast

from modhub.errors import InvalidArgumentError
from modhub.export.text.vectors_lines import trailing_numbers
from modhub.export.text.vectors_source import BINARY, MOST_DIMENSIONS, Layout, refuse, shown

__all__ = ["BOM", "LONGEST_LINE", "UNREADABLE", "open_unpacked", "sniff"]

BOM = b"\xef\xbb\xbf"
# What holds any line of MOST_DIMENSIONS values, and what is read to see how a file is made.
LONGEST_LINE = 2**21
# What reading raises for a file that is damaged or goes away; gzip's own error is an OSError.
UNREADABLE = (OSError, EOFError, zlib.error)

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PK\x03\x04": "is a zip archive; unpack it, and give the file that was in it.",
    b"BZh": "is packed by bzip2; unpack it first (only gzip is read as it is).",
    b"\xfd7zXZ\x00": "is packed by xz; unpack it first (only gzip is read as it is).",
    b"\x28\xb5\x2f\xfd": "is packed by zstd; unpack it first (only gzip is read as it is).",
    b"\xba\x16\x4f\x2f": "is a fastText model; what is read is the '.vec' file beside it.",
    b"\x93NUMPY": "is an array of NumPy; load it, and give the pair (vocabulary, matrix).",
}
# White space that text may hold; other bytes below 0x20 speak for binary values.
_TEXT_CONTROLS = b"\t\n\r\x0b\x0c"
_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS))
# More digits than a number of words or dimensions ever has.
_MOST_DIGITS = 15


def sniff(path: Path, format_: str) -> Layout:
    """Return how the vectors lie in a file.

    Args:
      path: a file, perhaps packed by gzip.
      format_: one of `FORMATS`; "auto" looks at the first two lines.

    Returns:
      The layout.

    Raises:
      InvalidArgumentError: the file is empty, of no known format, or not of the one asked for.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(6)
            raw.seek(0)
            gzip = magic.startswith(_GZIP)
            with open_unpacked(raw, gzip) as file:
                data = file.read(LONGEST_LINE)
    except UNREADABLE as error:
        raise InvalidArgumentError(f"Cannot read {str(path)!r}: {error}.") from error
    for start, what in _OTHERS.items():
        if data.startswith(start):
            raise InvalidArgumentError(f"{str(path)!r} {what}")
    if not data.strip():
        raise InvalidArgumentError(f"{str(path)!r} is empty: it holds no word vectors.")
    skipped = len(BOM) if data.startswith(BOM) else 0
    first = _line(path, data, skipped, 1)
    header = _header(first)
    if format_ == "auto":
        format_ = _guess(data[skipped + len(first) :], header)
    if format_ == "glove":
        dimension = trailing_numbers(first.split())
        if not dimension:
            refuse(f"{str(path)!r}, line 1", f"{shown(first)} is not a word and its values.")
        return _layout(path, format_, gzip, skipped, dimension, None, first)
    if header is None:
        refuse(
            f"{str(path)!r}, line 1",
            f"a {format_} file starts with two numbers, of words and of dimensions, not with {shown(first)}. "
            "Without them it is read with the format 'glove'.",
        )
    words, dimension = header
    skipped += len(first)
    if not data[skipped:].strip():
        refuse(str(path), "the header is all there is; it holds no word vectors.")
    following = b"" if format_ == BINARY else _line(path, data, skipped, 2)
    return _layout(path, format_, gzip, skipped, dimension, words, following)


def open_unpacked(raw: BinaryIO, gzip: bool) -> BinaryIO:
    """Return a file, or what it holds packed."""
    if not gzip:
        return raw
    from gzip import GzipFile

    return cast(BinaryIO, GzipFile(fileobj=raw, mode="rb"))


def _line(path: Path, data: bytes, start: int, number: int) -> bytes:
    """Return the line at an offset, with its end."""
    end = data.find(b"\n", start)
    if end < 0 and len(data) >= LONGEST_LINE:
        refuse(f"{str(path)!r}, line {number}", f"is longer than {LONGEST_LINE} bytes; these are no word vectors.")
    return data[start : end + 1] if end >= 0 else data[start:]


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) <= _MOST_DIGITS for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _guess(rest: bytes, header: tuple[int, int] | None) -> str:
    """Return the format of a file from what follows its first line, and what that line says if it is a header."""
    if header is None:
        return "glove"
    rest = rest.lstrip(b"\r\n")  # a blank line is for the reader to refuse, by its number
    line = rest[: rest.find(b"\n") + 1 or None]
    fields = line.split()
    numbers = trailing_numbers(fields)
    is_text = len(line.translate(None, _CONTROLS)) == len(line)
    if numbers == 1 and len(fields) == 2 and header[1] != 1 and is_text:
        return "glove"  # of one dimension, and the first word is a number
    if numbers >= header[1] or (numbers and is_text):
        return "word2vec"
    return BINARY if rest.strip() else "word2vec"


def _layout(
    path: Path, format_: str, gzip: bool, skipped: int, dimension: int, words: int | None, line: bytes
) -> Layout:
    """Return the layout, with what a line of it shows."""
    if not 0 < dimension <= MOST_DIMENSIONS:
        refuse(f"{str(path)!r}, line 1", f"vectors of {dimension} dimensions; from 1 to {MOST_DIMENSIONS} are read.")
    body = line.rstrip(b"\r\n")
    # The last separator is one before a value; the first one may lie inside the word.
    separators = body.rstrip(b" \t")
    delimiter = b"\t" if separators.rfind(b"\t") > separators.rfind(b" ") else b" "
    return Layout(
        format=format_,
        dimension=dimension,
        words=words,
        skipped=skipped,
        delimiter=delimiter,
        trailing=body.endswith(delimiter),
        gzip=gzip,
    )
