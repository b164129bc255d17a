"""sparse_text_embedding_column: combiners, and examples that have no text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub.columns import sparse_text_embedding_column
from tests.columns.modules import TABLE, lengths, rows
from tests.constructions import started

v1 = tf.compat.v1
COMBINERS = {"mean": lambda n: n, "sqrtn": np.sqrt, "sum": lambda n: 1}
# Examples without text at the start, inside, and at the end.
WORDS = [[], ["wow", "much", "wow"], [], ["so easy"], []]


def sparse(words: list[list[str]]) -> v1.SparseTensorValue:
    indices = [(row, at) for row, texts in enumerate(words) for at in range(len(texts))]
    values = np.array([text for texts in words for text in texts], object)
    return v1.SparseTensorValue(np.array(indices, np.int64).reshape(-1, 2), values, [len(words), 3])


def combined(words: list[list[str]], combiner: str, default_value: str | None) -> np.ndarray:
    """The reference, example by example."""
    found = []
    for texts in words:
        used = texts or ([] if default_value is None else [default_value])
        total = rows(used).sum(0) if used else np.zeros(3)
        found.append(total / (COMBINERS[combiner](len(used)) if used else 1))
    return np.array(found, np.float32).reshape(len(words), 3)


def evaluated(feature: Any, combiner: str, default_value: str | None) -> np.ndarray:
    column = sparse_text_embedding_column("words", hub.create_module_spec(lengths), combiner, default_value)
    with tf.Graph().as_default():
        found = v1.feature_column.input_layer({"words": feature()}, [column])
        with started() as session:
            return session.run(found)


@pytest.mark.parametrize("combiner", COMBINERS)
@pytest.mark.parametrize("default_value", [None, "so easy", ""])
@pytest.mark.parametrize("words", [WORDS, [["a"], ["b", "cc"]], [[], []], []], ids=["some", "full", "none", "no batch"])
def test_combiners(combiner: str, default_value: str | None, words: list[list[str]]) -> None:
    found = evaluated(lambda: tf.SparseTensor(*sparse(words)), combiner, default_value)
    np.testing.assert_allclose(found, combined(words, combiner, default_value), rtol=1e-6)


@pytest.mark.parametrize("combiner", COMBINERS)
def test_as_embedding_lookup_sparse(combiner: str) -> None:
    words = [texts for texts in WORDS if texts]
    found = evaluated(lambda: tf.SparseTensor(*sparse(words)), combiner, None)
    ids = tf.SparseTensor(sparse(words).indices, [3, 4, 3, 2], [2, 3])
    np.testing.assert_array_equal(found, tf.nn.embedding_lookup_sparse(TABLE, ids, None, combiner=combiner))


def test_a_dense_feature() -> None:
    dense = [["wow", "", "much"], ["", "", ""], ["so easy", "", ""]]
    words = [[text for text in texts if text] for texts in dense]
    found = evaluated(lambda: tf.constant(dense), "sqrtn", "wow")
    np.testing.assert_allclose(found, combined(words, "sqrtn", "wow"), rtol=1e-6)


def test_gradients(graph: tf.Graph) -> None:
    column = sparse_text_embedding_column("words", hub.create_module_spec(lengths), "mean", "so easy", trainable=True)
    found = v1.feature_column.input_layer({"words": tf.SparseTensor(*sparse(WORDS))}, [column])
    (variable,) = v1.trainable_variables()
    (gradient,) = v1.gradients(tf.reduce_sum(found), [variable])
    # Three examples are of the default value alone, and one of it by itself; "wow" counts twice among three.
    expected = np.zeros([5, 3], np.float32)
    expected[7 % 5], expected[3], expected[4] = 4, 2 / 3, 1 / 3
    with started() as session:
        np.testing.assert_allclose(session.run(gradient), expected, rtol=1e-6)
