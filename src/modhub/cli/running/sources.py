"""Reads the files that values are given in; each kind of damage is an error of ours."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modhub import errors

__all__ = ["STDIN", "parse_json", "read_csv", "read_json", "read_json_lines", "read_lines", "read_npy", "read_npz"]

STDIN = "-"


def parse_json(text: str | bytes, where: str) -> Any:
    """Return what a JSON text says.

    Raises:
      InvalidInputError: it is no JSON.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise errors.InvalidInputError(f"{where} is nested too deeply for a tensor.") from error
    except ValueError as error:  # with its subclasses for JSON and for UTF-8
        raise errors.InvalidInputError(f"{where} is not JSON: {error}.") from error


def read_json(path: str) -> Any:
    """Return what a file of one JSON value says."""
    return parse_json(_bytes(path), repr(path))


def read_json_lines(path: str) -> list[Any]:
    """Return the values of a file that has one in each line; empty lines are left out. "-" is stdin."""
    where = "stdin" if path == STDIN else repr(path)
    lines = _bytes(path).split(b"\n")
    return [parse_json(line, f"line {number} of {where}") for number, line in enumerate(lines, 1) if line.strip()]


def read_lines(path: str) -> list[str]:
    """Return the lines of a text file in UTF-8."""
    return _text(path).splitlines()


def read_csv(path: str, column: str | None = None) -> list[list[str]]:
    """Return the rows of a CSV file, or the cells of one column.

    The first line is a header if a cell of it is no number; of a file of texts, if the column is one of its cells. A
    column that is none is a number, counted from 0, of a file without header.

    Raises:
      InvalidInputError: rows differ in length, it is empty, or has no such column.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(_text(path), newline=""), strict=True) if row]
    except csv.Error as error:
        raise errors.InvalidInputError(f"{path!r} is not CSV: {error}.") from error
    if not rows:
        raise errors.InvalidInputError(f"{path!r} has no rows.")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise errors.InvalidInputError(
                f"Row {number} of {path!r} has {len(row)} cells, the first has {len(rows[0])}."
            )
    has_header = not all(map(_is_number, rows[0]))
    if column is None:
        return rows[1:] if has_header else rows
    if has_header and column in rows[0]:
        index = rows[0].index(column)
        return [[row[index]] for row in rows[1:]]
    if column.isdecimal() and int(column) < len(rows[0]):
        return [[row[int(column)]] for row in rows]
    raise errors.InvalidInputError(f"{path!r} has no column {column!r}. " + errors.accepted(column, rows[0], "columns"))


def read_npy(path: str) -> Any:
    """Return the array of an .npy file; one of Python objects (pickle) is refused, for loading it runs code."""
    import numpy as np

    with _numpy_errors(path), open(path, "rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def read_npz(path: str) -> dict[str, Any]:
    """Return the arrays of an .npz file, which are plain arrays as for `read_npy`."""
    import numpy as np

    with _numpy_errors(path), np.load(path, allow_pickle=False) as arrays:
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array: call it .npy")
        return {name: arrays[name] for name in arrays.files}


@contextlib.contextmanager
def _numpy_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from error
    # The readers of NumPy and zipfile raise ValueError, BadZipFile, EOFError, KeyError, zlib.error, struct.error, ...
    except Exception as error:
        if "allow_pickle" in str(error):
            raise errors.InvalidInputError(
                f"{path!r} holds Python objects (pickle), and reading them could run any code: save arrays of numbers, "
                "and texts as arrays of dtype 'U' or 'S'."
            ) from error
        raise errors.InvalidInputError(f"{path!r} cannot be read as arrays of NumPy: {error}.") from error


def _bytes(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _text(path: str) -> str:
    try:
        return _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.InvalidInputError(f"{path!r} is not text in UTF-8: {error}.") from error


def _unreadable(path: str, error: OSError) -> errors.InvalidInputError:
    reason = error.strerror or str(error) or type(error).__name__
    return errors.InvalidInputError(f"The file {path!r} cannot be read: {reason}.")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
