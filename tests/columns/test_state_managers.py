"""Columns with a StateManager alone, as those use it who write a layer of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub.columns import sparse_text_embedding_column, text_embedding_column, text_embedding_column_v2
from tests.columns.modules import TABLE, TEXTS, lengths, published, rows

api = tf.__internal__.feature_column
FEATURES = {"comment": tf.constant(TEXTS)}


def applied(column: Any, manager: Any) -> tf.Tensor:
    return column.get_dense_tensor(api.FeatureTransformationCache(FEATURES), manager)


@pytest.mark.parametrize("make", [text_embedding_column, text_embedding_column_v2])
@pytest.mark.parametrize("prepared", [False, True])
def test_without_a_layer(tmp_path: Path, make: Any, prepared: bool) -> None:
    column, manager = make("comment", published(tmp_path), trainable=True), api.StateManager(None, True)
    if prepared:
        column.create_state(manager)
    with tf.GradientTape() as tape:
        np.testing.assert_array_equal(applied(column, manager), rows(TEXTS))
    tape.watched_variables()[0].assign(TABLE + 1)
    np.testing.assert_array_equal(applied(column, manager), rows(TEXTS) + 1)


def test_in_a_layer_of_keras_3(tmp_path: Path) -> None:
    column = text_embedding_column("comment", published(tmp_path), trainable=True)

    class Columns(keras.Layer):
        def build(self, _: Any) -> None:
            self.manager = api.StateManager(self, self.trainable)
            column.create_state(self.manager)

        def call(self, features: Any) -> Any:
            return column.get_dense_tensor(api.FeatureTransformationCache(dict(features)), self.manager)

    layer = Columns()
    np.testing.assert_array_equal(layer(FEATURES), rows(TEXTS))
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [(5, 3)]


def test_a_module_without_values() -> None:
    column = text_embedding_column("comment", hub.create_module_spec(lengths))
    with pytest.raises(hub.errors.GraphError, match="publish it with export"):
        applied(column, api.StateManager(None, True))


def test_training_what_has_nothing_to_train(tmp_path: Path) -> None:
    def module_fn() -> None:
        text = tf.compat.v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=text, outputs=tf.zeros([tf.size(text), 2]))

    column = sparse_text_embedding_column("comment", published(tmp_path, module_fn), "sum", None, trainable=True)
    with pytest.raises(hub.errors.InvalidArgumentError, match="no trainable variables"):
        applied(column, api.StateManager(None, True))
