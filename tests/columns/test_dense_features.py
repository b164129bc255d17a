"""Columns in DenseFeatures of tf_keras, under eager execution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import modhub as hub
from modhub.columns import (
    image_embedding_column,
    sparse_text_embedding_column,
    text_embedding_column,
    text_embedding_column_v2,
)
from tests.columns.modules import PROJECTION, TABLE, TEXTS, Lengths, Several, pooled, published, rows

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tf_keras")

IMAGES = np.random.default_rng(0).random([2, 4, 4, 3], np.float32)
KINDS = ["text", "text_v2", "sparse_text", "TF2"]


def column(kind: str, folder: Path, trainable: bool = True) -> Any:
    """A column of the kind, for the feature "comment", of a module as small as can be."""
    if kind == "TF2":
        tf.saved_model.save(Lengths(), str(folder / "saved"))
        return text_embedding_column_v2("comment", folder / "saved", trainable=trainable)
    path = published(folder)
    if kind == "sparse_text":
        return sparse_text_embedding_column("comment", path, "mean", None, trainable)
    return (text_embedding_column if kind == "text" else text_embedding_column_v2)("comment", path, trainable=trainable)


def features(kind: str, texts: list[str] = TEXTS) -> dict[str, Any]:
    """The texts as the feature that the kind of column takes."""
    return {
        "comment": tf.sparse.from_dense([[t or "-none-"] for t in texts])
        if kind == "sparse_text"
        else tf.constant(texts)
    }


def expected(kind: str) -> np.ndarray:
    """What the kind of column makes of TEXTS."""
    return rows([text or "-none-" for text in TEXTS]) if kind == "sparse_text" else rows(TEXTS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trainable", [False, True])
def test_values_and_gradients(tmp_path: Path, kind: str, trainable: bool) -> None:
    layer = tf_keras.layers.DenseFeatures([column(kind, tmp_path, trainable)])
    with tf.GradientTape() as tape:
        found = layer(features(kind))
        loss = tf.reduce_sum(found)
    np.testing.assert_array_equal(found, expected(kind))
    assert len(layer.trainable_weights) == int(trainable)
    assert len(layer.weights) == 1
    assert len(tape.watched_variables()) == int(trainable)
    if trainable:
        (gradient,) = tape.gradient(loss, layer.trainable_weights)
        counts = np.bincount([len(text or "-none-" * (kind == "sparse_text")) % 5 for text in TEXTS], minlength=5)
        np.testing.assert_array_equal(gradient, np.repeat(counts[:, None], 3, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_has_one_module(tmp_path: Path, kind: str) -> None:
    layer = tf_keras.layers.DenseFeatures([column(kind, tmp_path)])
    first = layer(features(kind))
    layer.trainable_weights[0].assign_add(tf.ones_like(TABLE))
    np.testing.assert_array_equal(layer(features(kind)), first + 1)
    assert len(layer.weights) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_is_not_trainable(tmp_path: Path, kind: str) -> None:
    layer = tf_keras.layers.DenseFeatures([column(kind, tmp_path)], trainable=False)
    layer(features(kind))
    assert layer.trainable_weights == []
    assert len(layer.weights) == 1


def model_of(made: Any) -> tf_keras.Model:
    """A model of one layer of columns, and a linear one."""
    sparse = type(made).__name__.startswith("Sparse")
    inputs = {"comment": tf_keras.Input([None] if sparse else [1], dtype=tf.string, sparse=sparse, name="comment")}
    x = tf_keras.layers.DenseFeatures([made])(inputs)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(1, kernel_initializer="ones", name="head")(x))
    model.compile(tf_keras.optimizers.SGD(0.01), "mse")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_fit_trains_the_module_and_a_file_keeps_it(tmp_path: Path, kind: str) -> None:
    model = model_of(column(kind, tmp_path))
    assert len(model.losses) == int(kind != "TF2")
    data = tf.data.Dataset.from_tensors((features(kind), np.ones([len(TEXTS), 1], np.float32)))
    model.fit(data, verbose=0)
    weights = {
        weight.shape.as_list()[0]: weight.numpy() for weight in model.trainable_weights if weight.shape.rank == 2
    }
    assert not np.array_equal(weights[5], TABLE)

    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))
    assert len(again.trainable_weights) == len(model.trainable_weights)

    for number, name in enumerate(["checkpoint", "old.h5", "model.weights.h5"]):
        model.save_weights(tmp_path / name)
        fresh = model_of(column(kind, tmp_path / str(number)))
        fresh.load_weights(tmp_path / name)
        np.testing.assert_array_equal(fresh.predict(data, verbose=0), model.predict(data, verbose=0))


@pytest.mark.parametrize("make", [text_embedding_column, text_embedding_column_v2])
def test_two_columns_of_one_module(tmp_path: Path, make: Any) -> None:
    path, keys = published(tmp_path), ["a.b", "a_b", "a/b"]

    def build() -> tf_keras.Model:
        inputs = {key: tf_keras.Input([1], dtype=tf.string, name=f"input_{at}") for at, key in enumerate(keys)}
        layer = tf_keras.layers.DenseFeatures([make(key, path, trainable=True) for key in keys])
        return tf_keras.Model(inputs, layer(inputs))

    given = dict.fromkeys(keys, tf.constant(TEXTS)[:, None])
    model = build()
    for number, weight in enumerate(model.trainable_weights):
        weight.assign_add(number * tf.ones_like(TABLE))
    expected = np.concatenate([rows(TEXTS) + number for number in range(3)], axis=1)
    assert sorted(model(given).numpy()[0]) == sorted(expected[0])
    for name in ("checkpoint", "model.weights.h5"):
        model.save_weights(tmp_path / name)
        fresh = build()
        fresh.load_weights(tmp_path / name)
        np.testing.assert_array_equal(fresh(given), model(given))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(tf_keras.models.load_model(tmp_path / "model.keras")(given), model(given))


def test_a_name_that_is_no_scope(tmp_path: Path) -> None:
    layer = tf_keras.layers.DenseFeatures([text_embedding_column("what is said?", published(tmp_path))])
    np.testing.assert_array_equal(layer({"what is said?": tf.constant(TEXTS)}), rows(TEXTS))


def test_in_a_function_that_is_saved(tmp_path: Path) -> None:
    layer = tf_keras.layers.DenseFeatures([column("text", tmp_path)])
    layer(features("text"))
    holder = tf.Module()
    holder.layer = layer
    holder.call = tf.function(
        lambda comment: holder.layer({"comment": comment}), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(holder, str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_array_equal(served.call(TEXTS), rows(TEXTS))


def test_images(tmp_path: Path) -> None:
    path = published(tmp_path, pooled())
    layer = tf_keras.layers.DenseFeatures([image_embedding_column("photo", path)])
    found = layer({"photo": IMAGES})
    np.testing.assert_allclose(found, IMAGES.mean((1, 2)) @ PROJECTION, rtol=1e-6)
    np.testing.assert_array_equal(found, hub.KerasLayer(path)({"images": IMAGES}))
    assert layer.trainable_weights == []


def test_beside_other_columns(tmp_path: Path) -> None:
    image = image_embedding_column(tf.feature_column.numeric_column("pixels", [4, 4, 3]), published(tmp_path, pooled()))
    text = column("text", tmp_path / "text")
    number = tf.feature_column.numeric_column("number")
    given = {"pixels": IMAGES, "comment": tf.constant(TEXTS[:2]), "number": tf.constant([[7.0], [8.0]])}
    found = tf_keras.layers.DenseFeatures([text, number, image])(given)
    pooled_images = IMAGES.mean((1, 2)) @ PROJECTION
    # Sorted by name: comment_..., number, pixels_...
    np.testing.assert_allclose(found, np.concatenate([rows(TEXTS[:2]), [[7], [8]], pooled_images], 1), rtol=1e-6)


def test_one_output_of_several(tmp_path: Path) -> None:
    tf.saved_model.save(Several(), str(tmp_path / "saved"))
    chosen = text_embedding_column_v2("comment", str(tmp_path / "saved"), output_key="vectors")
    assert chosen.variable_shape.as_list() == [3]
    np.testing.assert_array_equal(tf_keras.layers.DenseFeatures([chosen])(features("text")), rows(TEXTS))
    for key, message in ((None, "return a single result.*output_key"), ("lengths", "int32 of shape")):
        refused = text_embedding_column_v2("comment", str(tmp_path / "saved"), output_key=key)
        with pytest.raises(ValueError, match=message):
            tf_keras.layers.DenseFeatures([refused])(features("text"))
