"""KerasLayer and FeatureSpace in Keras 3 give what the columns gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.utils import FeatureSpace

import modhub as hub
from modhub.columns import text_embedding_column
from tests.columns.modules import PROJECTION, TABLE, TEXTS, pooled, published, rows
from tests.constructions import started

# Keras's own, with NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

FEATURES = {"comment": np.array(TEXTS), "stars": np.array([1, 2, 3, 4, 5], np.float32)}
LABELS = np.array([1, 0, 1, 0, 1], np.float32)


def space_of(path: str, trainable: bool) -> FeatureSpace:
    text = keras.Sequential([keras.layers.Reshape((), dtype="string"), hub.KerasLayer(path, trainable=trainable)])
    return FeatureSpace(
        {
            "comment": FeatureSpace.feature("string", text, output_mode="float"),
            "stars": FeatureSpace.float_rescaled(scale=2.0),
        }
    )


def adapted(path: str, trainable: bool = False) -> tuple[FeatureSpace, Any]:
    data = tf.data.Dataset.from_tensor_slices((FEATURES, LABELS)).batch(2)
    space = space_of(path, trainable)
    space.adapt(data.map(lambda features, label: features))
    return space, data


def test_values_are_those_of_the_column(tmp_path: Path) -> None:
    path = published(tmp_path)
    with tf.Graph().as_default():
        columns = [text_embedding_column("comment", path), tf.feature_column.numeric_column("stars")]
        inputs = tf.compat.v1.feature_column.input_layer(FEATURES, columns)
        with started() as session:
            by_columns = session.run(inputs)
    by_columns[:, 3] *= 2
    space, data = adapted(path)
    np.testing.assert_array_equal(space(FEATURES), by_columns)
    in_pipeline = [batch.numpy() for batch in data.map(lambda features, label: space(features))]
    np.testing.assert_array_equal(np.concatenate(in_pipeline), by_columns)
    np.testing.assert_array_equal(by_columns[:, :3], rows(TEXTS))


def test_gradients_reach_the_module(tmp_path: Path) -> None:
    space, data = adapted(published(tmp_path), trainable=True)
    outputs = keras.layers.Dense(1, kernel_initializer="ones")(space.get_encoded_features())
    model = keras.Model(dict(space.get_inputs()), outputs)
    assert [tuple(weight.shape) for weight in model.trainable_weights] == [(5, 3), (4, 1), (1,)]
    assert len(model.losses) == 1
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(data, shuffle=False, verbose=0)
    changed = (model.trainable_weights[0].numpy() != TABLE).any(axis=1)
    assert changed.all()  # those that no text chose too, by the loss of the module

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


def test_a_space_is_saved(tmp_path: Path) -> None:
    space, _ = adapted(published(tmp_path))
    space.save(tmp_path / "space.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "space.keras")(FEATURES), space(FEATURES))


def test_an_image_beside_a_space(tmp_path: Path) -> None:
    space, _ = adapted(published(tmp_path / "text"))
    photo = keras.Input([4, 4, 3], name="photo")
    embedded = hub.KerasLayer(published(tmp_path / "images", pooled()))(photo)
    inputs = {**space.get_inputs(), "photo": photo}
    model = keras.Model(inputs, keras.layers.Concatenate()([space.get_encoded_features(), embedded]))
    images = np.random.default_rng(0).random([5, 4, 4, 3], np.float32)
    given = {"photo": tf.constant(images), **{key: tf.constant(value)[:, None] for key, value in FEATURES.items()}}
    expected = np.concatenate([space(FEATURES), images.mean((1, 2)) @ PROJECTION], axis=1)
    np.testing.assert_allclose(model(given), expected, rtol=1e-6)
