"""TF2 SavedModels, and callables, as layers."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.keras.modules import Reusable, X, Y, reusable

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

RAW = X @ constructions.WEIGHTS


def test_calls(tmp_path: Path) -> None:
    path = reusable(tmp_path)
    np.testing.assert_allclose(hub.KerasLayer(path)(X)["default"], RAW)
    for given in (X, X.astype(np.float64), X.tolist(), tf.constant(X, tf.float64)):
        np.testing.assert_allclose(hub.KerasLayer(path, output_key="default")(given), RAW)
    np.testing.assert_allclose(hub.KerasLayer(path, output_key="default", arguments={"scale": 2.0})(X), 2 * RAW)
    layer = hub.KerasLayer(path, signature="serving_default", output_key="y")
    np.testing.assert_allclose(layer(X), RAW)
    np.testing.assert_allclose(layer({"x": X}), RAW)
    assert [weight.name for weight in layer.weights] == ["w"]
    assert list(hub.KerasLayer(path, signature="serving_default", signature_outputs_as_dict=True)(X)) == ["y"]


def test_training(tmp_path: Path) -> None:
    layer = hub.KerasLayer(reusable(tmp_path), trainable=True, output_key="default")
    x = keras.Input([2])
    model = keras.Model(x, layer(x))
    assert [weight.name for weight in layer.trainable_weights] == ["w"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["calls"]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, verbose=0)
    by_hand = Reusable()
    with tf.GradientTape() as tape:
        outputs = by_hand(X, training=True)["default"]
        loss = tf.reduce_mean(tf.square(outputs - Y)) + by_hand.regularization_losses[0]()
    by_hand.w.assign_sub(0.1 * tape.gradient(loss, by_hand.w))
    np.testing.assert_allclose(layer.resolved_object.w, by_hand.w, rtol=1e-6)
    assert layer.resolved_object.calls.numpy() == 1
    assert [loss.numpy() for loss in model.losses] == [by_hand.regularization_losses[0]()]
    layer.trainable = False
    layer(X, training=True)
    assert layer.resolved_object.calls.numpy() == 1
    assert model.losses == []


def test_saving(tmp_path: Path) -> None:
    layer = hub.KerasLayer(reusable(tmp_path), trainable=True, output_key="default", arguments={"scale": 2.0})
    model = keras.Sequential([keras.Input([2]), layer])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(X), model(X))
    model.export(str(tmp_path / "exported"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_array_equal(served.serve(tf.constant(X)), model(X))


def test_an_object_that_was_loaded(tmp_path: Path) -> None:
    loaded = hub.load(reusable(tmp_path))
    layer = hub.KerasLayer(loaded, trainable=True, output_key="default")
    assert layer.resolved_object is loaded
    layer.weights[0].assign(tf.zeros([2, 2]))
    assert not loaded.w.numpy().any()
    with pytest.raises(NotImplementedError, match="Can only generate a valid config"):
        layer.get_config()


def test_a_module_that_was_loaded(tmp_path: Path) -> None:
    spec = hub.create_module_spec(constructions.affine)
    spec.export(str(tmp_path / "affine"))
    module = hub.load(tmp_path / "affine", trainable="w")
    layer = hub.KerasLayer(module, trainable=True)
    assert [weight.name for weight in layer.trainable_weights] == ["w"]
    layer.trainable = False
    assert len(module.trainable_variables) == 1
    assert hub.KerasLayer.from_config(layer.get_config()).get_weights()[0].tolist() == constructions.BIAS.tolist()


def test_a_function() -> None:
    layer = hub.KerasLayer(lambda x, by=1.0: by * x, arguments={"by": 3.0})
    assert layer(keras.Input([2])).shape == (None, 2)
    np.testing.assert_allclose(layer(X), 3 * X)


def test_a_model_of_keras_is_no_handle() -> None:
    with pytest.raises(hub.errors.InvalidArgumentError, match="it is a layer or a model itself"):
        hub.KerasLayer(keras.Sequential([keras.Input([2]), keras.layers.Dense(2)]))
    with pytest.raises(hub.errors.InvalidArgumentError, match=r"trainable=True was asked for"):
        hub.KerasLayer(keras.layers.Dense(2), trainable=True)


def test_a_function_does_not_say_what_to_train() -> None:
    variable = tf.Variable([2.0, 3.0])
    function = tf.function(lambda x: x * variable)
    with pytest.raises(hub.errors.InvalidArgumentError, match="does not say what its variables are"):
        hub.KerasLayer(function, trainable=True)
    concrete = function.get_concrete_function(tf.TensorSpec([None, 2]))
    assert len(hub.KerasLayer(concrete, trainable=True).trainable_weights) == 1
