"""Values as a command line or a file gives them, before it is known which dtype they are to have."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["SPARSE_KEYS", "Array", "Cells", "Files", "Json", "Raw", "SparseArrays", "Text", "is_leaf_object"]

# The keys of a sparse value in JSON, and what follows "name#" in an .npz file.
SPARSE_KEYS = ("indices", "values", "dense_shape")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A word of the command line that is no file.

    Attributes:
      where: what messages call it; so in all these classes.
      text: the word.
      parsed: what it is as JSON; None where it is none (and where it is `null`).
    """

    where: str
    text: str
    parsed: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Json:
    """A value of a JSON file or of the lines of one."""

    where: str
    value: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A NumPy array; `value` has no Python objects in it."""

    where: str
    value: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SparseArrays:
    """The three arrays of a sparse value."""

    where: str
    indices: Any
    values: Any
    dense_shape: Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Rows of a CSV file, or one column of them.

    Attributes:
      rows: lists of cells, all of the same length.
      is_column: whether it is a column that was asked for.
    """

    where: str
    rows: list[list[str]]
    is_column: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Image files: pixels for an input of numbers, their bytes for one of strings."""

    where: str
    paths: tuple[str, ...]


Raw = Text | Json | Array | SparseArrays | Cells | Files


def is_leaf_object(value: Any) -> bool:
    """Tell whether a JSON object stands for one value (bytes, or a sparse value), and not for values by name."""
    return isinstance(value, dict) and (set(value) == {"b64"} or set(value) == set(SPARSE_KEYS))
