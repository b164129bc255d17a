"""Columns of modules that TensorFlow 1.15 wrote give what it computed with them."""

from __future__ import annotations

from pathlib import Path

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
from tests.constructions import started
from tests.goldens.golden_files import compare, golden

v1 = tf.compat.v1
input_layer = v1.feature_column.input_layer
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tf_keras")


@pytest.mark.parametrize("make", [text_embedding_column, text_embedding_column_v2])
def test_nnlm(shared_modules: Path, make) -> None:
    folder = shared_modules / "genuine" / "nnlm_ref"
    arrays = golden(folder / "golden.npz")
    (texts,) = (array for name, array in arrays.items() if name.startswith("in/default/"))
    expected = arrays["out/-/default/default"]
    column = make("text", folder / "module", trainable=True)

    layer = tf_keras.layers.DenseFeatures([column])
    with tf.GradientTape() as tape:
        eager = layer({"text": tf.constant(texts)})
        loss = tf.reduce_sum(eager)
    assert len(layer.trainable_weights) == 2
    assert all(gradient is not None for gradient in tape.gradient(loss, layer.trainable_weights))
    np.testing.assert_array_equal(eager, hub.KerasLayer(str(folder / "module"))(tf.constant(texts)))

    with tf.Graph().as_default():
        found = input_layer({"text": texts}, [column])
        module = hub.Module(str(folder / "module"))(texts)
        gradients = v1.gradients(found, v1.trainable_variables())
        assert len(gradients) == 2
        with started() as session:
            by_column, by_module, _ = session.run([found, module, gradients])
    np.testing.assert_array_equal(by_column, by_module)
    for value in (eager.numpy(), by_column):
        compare(value, expected, "default")


def test_nnlm_of_words(shared_modules: Path) -> None:
    folder = shared_modules / "genuine" / "nnlm_ref"
    arrays = golden(folder / "golden.npz")
    (texts,) = (array for name, array in arrays.items() if name.startswith("in/default/"))
    expected = arrays["out/-/default/default"]
    column = sparse_text_embedding_column("text", folder / "module", "sum", default_value=None)
    # All texts in one example, after one that has none.
    indices = [(1, at) for at in range(len(texts))]
    feature = tf.SparseTensor(indices, tf.constant(texts), [3, len(texts)])
    found = tf_keras.layers.DenseFeatures([column])({"text": feature})
    np.testing.assert_allclose(found, [0 * expected[0], expected.sum(0), 0 * expected[0]], rtol=1e-5, atol=1e-6)


def test_resnet(shared_modules: Path) -> None:
    folder = shared_modules / "genuine" / "resnet_like"
    arrays = golden(folder / "golden.npz")
    images, expected = arrays["in/default/images"], arrays["out/-/default/default"]
    column = image_embedding_column("photo", folder / "module")
    assert column.parse_example_spec["photo"].shape == list(images.shape[1:])
    eager = tf_keras.layers.DenseFeatures([column])({"photo": images})
    with tf.Graph().as_default():
        found = input_layer({"photo": images}, [column])
        with started() as session:
            in_graph = session.run(found)
    for value in (eager.numpy(), in_graph):
        compare(value, expected, "default")
