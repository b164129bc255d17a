"""tf.contrib.lookup: tables of a vocabulary, from words to numbers and back."""

from __future__ import annotations

from typing import Any

from modhub.compat.tf1._tensorflow import lookup_ops
from modhub.compat.tf1.contrib.names import names_from

__all__ = [
    "MutableDenseHashTable",
    "index_table_from_tensor",
    "index_to_string",
    "index_to_string_table_from_tensor",
    "string_to_index",
    "string_to_index_table_from_file",
    "string_to_index_table_from_tensor",
]

__getattr__ = names_from("lookup", lookup_ops)

MutableDenseHashTable = lookup_ops.DenseHashTable
string_to_index_table_from_file = lookup_ops.index_table_from_file


# TensorFlow's functions of these names call the first argument `vocabulary_list`.
def index_table_from_tensor(mapping: Any, *args: Any, **options: Any) -> Any:
    """Return a table from the strings of a 1-D tensor or list to their places in it."""
    return lookup_ops.index_table_from_tensor(mapping, *args, **options)


string_to_index_table_from_tensor = index_table_from_tensor


def index_to_string_table_from_tensor(mapping: Any, *args: Any, **options: Any) -> Any:
    """Return a table from places in a 1-D tensor or list of strings to these."""
    return lookup_ops.index_to_string_table_from_tensor(mapping, *args, **options)


def string_to_index(tensor: Any, mapping: Any, default_value: int = -1, name: str | None = None) -> Any:
    """Return the places of strings in a list; its table is initialized with the others."""
    return index_table_from_tensor(mapping, default_value=default_value, name=name).lookup(tensor)


def index_to_string(tensor: Any, mapping: Any, default_value: str = "UNK", name: str | None = None) -> Any:
    """Return the strings of a list at some places; its table is initialized with the others."""
    return index_to_string_table_from_tensor(mapping, default_value=default_value, name=name).lookup(tensor)
