"""Models with a KerasLayer train as a hand-written step does."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.keras.modules import X, Y, active, published, words

RATE = 0.1


def fitted(layer: keras.Layer, *, jit_compile: bool | str = "auto") -> keras.Model:
    """A Sequential model of the layer after one step of SGD."""
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=jit_compile)
    model.fit(X, Y, batch_size=8, verbose=0)
    return model


def stepped(path: str) -> hub.LoadedModule:
    """The module after the same step, written by hand."""
    module = hub.load(path)
    with tf.GradientTape() as tape:
        outputs, losses = module.call_with_losses(X, training=True)
        losses = [*losses, *(loss() for loss in module.regularization_losses)]
        loss = tf.add_n([tf.reduce_mean(tf.square(outputs - Y)), *losses])
    for variable, gradient in zip(
        module.trainable_variables, tape.gradient(loss, module.trainable_variables), strict=True
    ):
        variable.assign_sub(RATE * gradient)
    return module


CONSTRUCTIONS = [constructions.affine, constructions.normalizing_spec, active]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize("jit_compile", ["auto", True])
def test_a_step_of_fit_is_a_step_by_hand(tmp_path: Path, construction, jit_compile) -> None:
    path = published(tmp_path, construction)
    layer = hub.KerasLayer(path, trainable=True)
    fitted(layer, jit_compile=jit_compile)
    expected = stepped(path)
    for weight, variable in zip(layer.resolved_object.variables, expected.variables, strict=True):
        np.testing.assert_allclose(weight.numpy(), variable.numpy(), rtol=1e-6)
    assert {weight.path for weight in layer.weights} == {f"{layer.name}/{key}" for key in expected.variable_map}


def test_a_genuine_module_takes_its_train_variant(shared_modules: Path) -> None:
    path = shared_modules / "genuine" / "resnet_like" / "module"
    images = np.random.default_rng(0).random([2, 32, 32, 3], np.float32)
    layer, module = hub.KerasLayer(path, trainable=True), hub.load(path)
    np.testing.assert_array_equal(layer(images, training=True), module(images, training=True))
    np.testing.assert_array_equal(layer(images), module(images))
    for ours, theirs in zip(layer.resolved_object.variables, module.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [loss.numpy() for loss in layer.losses] == [loss().numpy() for loss in module.regularization_losses]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_a_frozen_layer_stays_as_it_is(tmp_path: Path, construction) -> None:
    layer = hub.KerasLayer(published(tmp_path, construction))
    before = layer.get_weights()
    model = keras.Sequential([layer, keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert all(np.array_equal(one, two) for one, two in zip(before, layer.get_weights(), strict=True))
    assert model.losses == []
    assert len(model.trainable_weights) == 2
    np.testing.assert_array_equal(layer(X, training=True), layer(X))


def test_trainable_can_be_set_later(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path, constructions.normalizing_spec))
    model = fitted(keras.Sequential([layer, keras.layers.Dense(2)]))
    assert [weight.name for weight in layer.non_trainable_weights] == ["gamma", "mean"]
    layer.trainable = True
    assert [weight.name for weight in layer.trainable_weights] == ["gamma"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["mean"]
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(X, Y, verbose=0)
    gamma, mean = layer.get_weights()
    assert not np.array_equal(gamma, [1.0, 2.0])
    assert not np.array_equal(mean, [0.0, 0.0])
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.losses == []
    assert layer.count_params() == 4


def test_tapes_do_not_watch_a_frozen_layer(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path))
    for trainable in (False, True, False):
        layer.trainable = trainable
        with tf.GradientTape() as tape:
            layer(X)
        assert len(tape.watched_variables()) == (2 if trainable else 0)


def test_each_regularization_loss_is_there_once(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path, active), trainable=True)
    x = keras.Input([2])
    model = keras.Model(x, layer(layer(x)))
    assert [loss.numpy() for loss in model.losses] == [10.0]
    outputs = layer(X)
    model(X, training=True)
    assert sorted(float(loss) for loss in model.losses) == pytest.approx(
        sorted([10.0, float(tf.reduce_sum(outputs)), float(tf.reduce_sum(layer(outputs)))])
    )
    model(X)
    assert len(model.losses) == 1


def test_a_subclassed_model(tmp_path: Path) -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = hub.KerasLayer(published(tmp_path, constructions.normalizing_spec), trainable=True)

        def call(self, x, training=None):
            return self.inner(x, training=training)

    model = Model()
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(X, Y, verbose=0)
    expected = stepped(str(tmp_path / "normalizing_spec"))
    np.testing.assert_allclose(model.inner.get_weights(), [each.numpy() for each in expected.variables], rtol=1e-6)


def test_what_xla_may_compile(tmp_path: Path) -> None:
    assert hub.KerasLayer(published(tmp_path)).supports_jit
    assert not hub.KerasLayer(words(tmp_path)).supports_jit
    assert not hub.KerasLayer(published(tmp_path, constructions.summing_loop)).supports_jit


def test_nothing_to_train(tmp_path: Path) -> None:
    with pytest.raises(hub.errors.InvalidArgumentError, match="has no trainable variables"):
        hub.KerasLayer(published(tmp_path, constructions.doubling), trainable=True)


def test_layers_that_share_a_module(tmp_path: Path) -> None:
    path = published(tmp_path, constructions.normalizing_spec)
    module = hub.load(path)
    one, two = hub.KerasLayer(module, trainable=True), hub.KerasLayer(module, trainable=True)
    apart = hub.KerasLayer(module)
    assert all(ours is theirs for ours, theirs in zip(one.weights, two.weights, strict=True))
    x = keras.Input([2])
    model = keras.Model(x, keras.layers.Average()([one(x), two(x)]))
    assert [weight.name for weight in model.weights] == ["gamma", "mean"]
    assert [weight.name for weight in model.trainable_weights] == ["gamma"]
    assert len(model.losses) == len(module.regularization_losses)
    for layer in (one, two):
        assert len(keras.Sequential([layer]).losses) == len(module.regularization_losses)
    assert keras.Sequential([apart]).losses == []
    assert keras.Sequential([apart, keras.layers.Dense(1)]).trainable_weights == []
    gamma = module.variable_map["gamma"].numpy()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(np.abs(module.variable_map["gamma"].numpy() - gamma), 0.01, rtol=1e-3)


def test_regularization_losses_are_dealt_out(tmp_path: Path) -> None:
    def many() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2])
        weights = [constructions.variable(name, [1.0, 2.0]) for name in ("a", "b")]
        for number in range(5):
            tf.compat.v1.losses.add_loss(
                (number + 1.0) * tf.reduce_sum(weights[number % 2]), tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES
            )
        hub.add_signature(inputs=x, outputs=x * weights[0] + weights[1])

    layer = hub.KerasLayer(published(tmp_path, many), trainable=True)
    assert len(layer.losses) == 2
    assert sum(float(loss) for loss in layer.losses) == 45.0
    layer.resolved_object.freeze("a")
    assert [float(loss) for loss in layer.losses] == [45.0]


@pytest.mark.parametrize("first", [False, True])
def test_what_is_frozen_is_not_trained(tmp_path: Path, first: bool) -> None:
    layer = hub.KerasLayer(published(tmp_path), trainable=first)
    module = layer.resolved_object
    module.freeze("w")
    for trainable in (True, False, True, True):
        layer.trainable = trainable
        assert [weight.name for weight in layer.trainable_weights] == ["b"] * trainable
        assert [weight.name for weight in layer.weights] == ["b", "w"]
        with tf.GradientTape() as tape:
            layer(X)
        assert [variable.name for variable in tape.watched_variables()] == ["b:0"] * trainable
    before = [value.copy() for value in layer.get_weights()]
    fitted(layer)
    assert [np.array_equal(*pair) for pair in zip(before, layer.get_weights(), strict=True)] == [False, True]
    layer.trainable = False
    module.unfreeze("w")
    layer.trainable = True
    assert len(layer.trainable_weights) == 2
    layer.weights[0].trainable = False
    assert [variable.name for variable in module.trainable_variables] == ["w:0"]


def test_all_is_frozen(tmp_path: Path) -> None:
    layer = hub.KerasLayer(published(tmp_path), trainable=True)
    layer.resolved_object.freeze()
    assert layer.losses == []
    with pytest.raises(hub.errors.InvalidArgumentError, match=r"all variables of .* are frozen"):
        fitted(layer)
    with pytest.raises(hub.errors.InvalidArgumentError, match=r"all variables of .* are frozen"):
        hub.KerasLayer(layer.resolved_object, trainable=True)
    layer.trainable = False
    layer(X, training=True)
