"""What text columns take of a feature: one text for each example, or any number of them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from modhub import errors

__all__ = ["all_texts", "one_text_each"]


def one_text_each(feature: Any, column: str) -> tf.Tensor:
    """Return the texts of a feature [batch, 1] as [batch].

    Args:
      feature: as a layer hands it to a column.
      column: the column's name.

    Raises:
      InvalidInputError: it is sparse, or has several texts for an example. Where that is known only when the graph
        runs, the graph fails then: as many rows as texts would be values of other examples.
    """
    shape = feature.shape
    if isinstance(feature, tf.SparseTensor):
        found = "is a SparseTensor"
    elif shape.rank is not None and shape[1:].num_elements() not in (None, 1):
        found = f"has the shape {shape}"
    else:
        return tf.reshape(feature, tf.shape(feature)[:1])
    raise errors.InvalidInputError(
        f"The feature of the column {column!r} {found}, and the column takes one text for each example: strings "
        "[batch] or [batch, 1]. sparse_text_embedding_column takes any number of them."
    )


def all_texts(feature: Any, column: str) -> tf.SparseTensor:
    """Return the texts of a feature [batch, texts], those that are not "" if it is dense.

    Args:
      feature: as a layer hands it to a column.
      column: the column's name.

    Raises:
      InvalidInputError: it has no strings.
    """
    if feature.dtype != tf.string:
        raise errors.InvalidInputError(
            f"The feature of the column {column!r} is {feature.dtype.name}, and the column takes strings: use "
            "tf.strings.as_string, if these numbers are its words."
        )
    return feature if isinstance(feature, tf.SparseTensor) else tf.sparse.from_dense(feature)
