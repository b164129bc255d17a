"""A KerasLayer gives what the module gives, for all kinds of inputs, and tells shapes without running it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.keras.modules import X, Y, published, ragged, scaled, sparse, words


def test_as_the_module(tmp_path: Path) -> None:
    path = published(tmp_path)
    expected = hub.load(path)(X)
    layer = hub.KerasLayer(path)
    for given in (X, X.tolist(), X.astype(np.float64), tf.constant(X), tf.constant(X, tf.float64), {"x": X}):
        if isinstance(given, dict):
            given = dict.fromkeys(layer.resolved_object.get_input_info_dict(), X)
        np.testing.assert_array_equal(layer(given), expected)
    np.testing.assert_array_equal(layer(inputs=X.tolist()), expected)
    np.testing.assert_array_equal(tf.function(layer)(X), expected)
    x = keras.Input([2])
    for model in (keras.Sequential([layer]), keras.Model(x, layer(x))):
        np.testing.assert_array_equal(model.predict(X, verbose=0), expected)


def test_strings(tmp_path: Path) -> None:
    layer = hub.KerasLayer(words(tmp_path))
    assert layer(["c", "a", "?"]).numpy().tolist() == [2, 0, -1]
    rows = tf.data.Dataset.from_tensor_slices(["b", "c"]).batch(2)
    assert keras.Sequential([layer]).predict(rows, verbose=0).tolist() == [1, 2]
    x = keras.Input([], dtype="string")
    y = layer(x)
    assert (y.shape, y.dtype) == ((None,), "int64")
    assert keras.Model(x, y).predict(rows, verbose=0).tolist() == [1, 2]


def test_the_arguments_of_old_code(tmp_path: Path) -> None:
    layer = hub.KerasLayer(words(tmp_path), input_shape=[], dtype=tf.string)
    assert keras.Sequential([layer])(tf.constant(["b"])).numpy().tolist() == [1]


def test_sparse(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path, sparse), trainable=True)
    given = tf.sparse.from_dense(np.eye(3, dtype=np.float32))
    x = keras.Input([3], sparse=True)
    model = keras.Model(x, layer(x))
    assert model.predict(given, verbose=0).tolist() == [[1.0], [2.0], [3.0]]
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(tf.data.Dataset.from_tensors((given, tf.zeros([3, 1]))), shuffle=False, verbose=0)
    np.testing.assert_allclose(layer.get_weights()[0], [[1 / 3], [2 / 3], [1.0]], rtol=1e-6)


def test_ragged(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path, ragged))
    given = tf.ragged.constant([[1.0, 2.0], [3.0], []])
    x = keras.Input([None], ragged=True)
    assert keras.Model(x, layer(x))(given).numpy().tolist() == [6.0, 6.0, 0.0]


def test_arguments_and_outputs(tmp_path: Path) -> None:
    path = published(tmp_path, scaled)
    raw = X * [1.0, 2.0]
    layer = hub.KerasLayer(path, signature="by", arguments={"scale": 3.0})
    np.testing.assert_allclose(layer(X), 3 * raw)
    np.testing.assert_allclose(layer({"x": X}), 3 * raw)
    np.testing.assert_allclose(hub.KerasLayer(path, signature="by")({"x": X, "scale": 2.0}), 2 * raw)
    np.testing.assert_allclose(hub.KerasLayer(path, output_key="twice")(X), 2 * raw)
    both = hub.KerasLayer(path, signature_outputs_as_dict=True)
    assert sorted(both(X)) == sorted(both(keras.Input([2]))) == ["default", "twice"]
    x = {"x": keras.Input([2], name="x"), "scale": keras.Input(batch_shape=(), name="scale")}
    model = keras.Model(x, hub.KerasLayer(path, signature="by")(x))
    np.testing.assert_allclose(model({"x": tf.constant(X), "scale": tf.constant(2.0)}), 2 * raw)


def test_shapes(tmp_path: Path, shared_modules: Path) -> None:
    layer = hub.KerasLayer(shared_modules / "genuine" / "resnet_like" / "module", signature_outputs_as_dict=True)
    expected = {"default": (4, 32), "resnet_v2_tiny/block1": (4, 4, 4, 16)}
    assert layer.compute_output_shape((4, 32, 32, 3)) == expected
    assert {key: each.shape for key, each in layer(keras.Input([32, 32, 3], batch_size=4)).items()} == expected
    path = published(tmp_path, open_shape)
    with pytest.raises(hub.errors.InvalidArgumentError, match="pass output_shape="):
        hub.KerasLayer(path)(keras.Input([2]))
    shaped = hub.KerasLayer(path, output_shape=[2])
    assert shaped(keras.Input([2])).shape == (None, 2)
    assert shaped.compute_output_shape((3, 2)) == (3, 2)
    assert tf.function(shaped).get_concrete_function(tf.TensorSpec([None, 2])).structured_outputs.shape == [None, 2]


def open_shape() -> None:
    x = tf.compat.v1.placeholder(tf.float32, None, name="x")
    hub.add_signature(inputs=x, outputs=2.0 * x)


def test_mixed_precision(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = hub.KerasLayer(published(tmp_path), trainable=True)
        model = keras.Sequential([keras.Input([2]), keras.layers.Dense(2), layer, keras.layers.Dense(2)])
    finally:
        keras.config.set_dtype_policy("float32")
    assert [weight.dtype for weight in layer.weights] == ["float32"] * 2
    assert layer.output.dtype == "float32"
    assert layer(tf.constant(X, tf.float16)).dtype == tf.float32
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("given", [["a"], np.ones([2, 3], np.float32), {"y": X}])
def test_inputs_of_another_kind(tmp_path: Path, given) -> None:
    layer = hub.KerasLayer(published(tmp_path))
    with pytest.raises(hub.errors.InvalidInputError):
        layer(given)


def test_a_list_of_inputs(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path))
    with pytest.raises(hub.errors.InvalidInputError, match="Pass the tensor itself"):
        layer([keras.Input([2])])


def test_in_a_graph_of_tf1(tmp_path: Path) -> None:
    path = published(tmp_path)
    with tf.Graph().as_default(), pytest.raises(hub.errors.GraphError, match=r"use modhub\.Module\(handle\)"):
        hub.KerasLayer(path)


def test_partitions_and_summary(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path, constructions.partitioned), trainable=True)
    assert [weight.name for weight in layer.weights] == ["part.table_0", "part.table_1", "part.table_2"]
    model = keras.Sequential([layer, keras.layers.Dense(1, use_bias=False)])
    model.compile("adam", "mse")
    model.fit(np.arange(4), np.ones([4, 1]), verbose=0)
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "keras_layer" in lines[0]
    assert "Trainable params: 22" in lines[0]
