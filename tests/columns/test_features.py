"""Features that a text column takes, and those that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from modhub import errors
from modhub.columns import sparse_text_embedding_column, text_embedding_column, text_embedding_column_v2
from tests.columns.modules import lengths, published, rows

v1 = tf.compat.v1
COLUMNS = {"text": text_embedding_column, "text_v2": text_embedding_column_v2}


def in_a_graph(feature: Any, column: Any, values: Any = None) -> np.ndarray:
    """What `input_layer` makes of a feature, or of a placeholder like it that is fed with values."""
    with tf.Graph().as_default(), v1.Session() as session:
        given = feature()
        found = v1.feature_column.input_layer({"comment": given}, [column])
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        result: np.ndarray = session.run(found, None if values is None else {given: values})
        return result


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("shape", [None, [None], [None, None], [None, 1], [2, None]])
def test_shapes_that_are_not_known_before(tmp_path: Path, kind: str, shape: Any) -> None:
    column = COLUMNS[kind]("comment", published(tmp_path, lengths))
    texts = np.array(["so", "wow"], object)
    values = texts if shape is not None and len(shape) == 1 else texts[:, None]
    found = in_a_graph(lambda: v1.placeholder(tf.string, shape), column, values)
    np.testing.assert_array_equal(found, rows(["so", "wow"]))


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize(
    ("feature", "says"),
    [
        (lambda: tf.constant([["so", "easy"], ["wow", "much"]]), r"has the shape \(2, 2\)"),
        (lambda: v1.placeholder(tf.string, [None, 1, 3]), r"has the shape \(None, 1, 3\)"),
        (lambda: tf.sparse.from_dense([["so"], ["wow"]]), "is a SparseTensor"),
    ],
)
def test_several_texts_are_refused(tmp_path: Path, kind: str, feature: Any, says: str) -> None:
    column = COLUMNS[kind]("comment", published(tmp_path, lengths))
    with pytest.raises(errors.InvalidInputError, match=f"'comment_hub_module_embedding' {says}.*one text for each"):
        in_a_graph(feature, column)


@pytest.mark.parametrize("kind", COLUMNS)
def test_several_texts_that_are_seen_late_fail(tmp_path: Path, kind: str) -> None:
    column = COLUMNS[kind]("comment", published(tmp_path, lengths))
    texts = np.array([["so", "easy"], ["wow", "much"]], object)
    with pytest.raises(tf.errors.InvalidArgumentError, match="reshape is a tensor with 4 values"):
        in_a_graph(lambda: v1.placeholder(tf.string, [None, None]), column, texts)


@pytest.mark.parametrize("default", [None, "none"])
@pytest.mark.parametrize("feature", [lambda: tf.constant([1, 2]), lambda: tf.sparse.from_dense([[1.0], [2.0]])])
def test_numbers_are_no_texts(tmp_path: Path, feature: Any, default: Any) -> None:
    column = sparse_text_embedding_column("comment", published(tmp_path, lengths), "sum", default)
    with pytest.raises(errors.InvalidInputError, match=r"'comment_hub_module_embedding' is .*takes strings"):
        in_a_graph(feature, column)
