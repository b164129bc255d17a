"""LoadedModules in functions: tf.function, Dataset.map, v2 conditionals and loops, XLA."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import BIAS, WEIGHTS, affine, lookup, loops_of_v1, publish, summing_loop, v1
from tests.refusals import refused

X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
EXPECTED = X @ WEIGHTS + BIAS


@pytest.fixture
def module(tmp_path: Path) -> hub.LoadedModule:
    return hub.load(publish(affine, tmp_path / "m"))


@pytest.fixture
def words(tmp_path: Path) -> hub.LoadedModule:
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    return hub.load(publish(lookup(tmp_path / "words.txt"), tmp_path / "words"))


def test_tf_function_sees_new_weights(module: hub.LoadedModule) -> None:
    call = tf.function(lambda x: module(x))
    np.testing.assert_allclose(call(X).numpy(), EXPECTED, rtol=1e-6)
    module.variable_map["b"].assign([0.0, 0.0])
    np.testing.assert_allclose(call(X).numpy(), EXPECTED - BIAS, rtol=1e-6)
    assert call.get_concrete_function(tf.TensorSpec([None, 2])).output_shapes.as_list() == [None, 2]


def test_gradients_inside_and_outside_of_a_function(module: hub.LoadedModule) -> None:
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(module(X) ** 2)
        return tape.gradient(loss, module.trainable_variables)

    for plain, compiled in zip(gradients(), tf.function(gradients)(), strict=True):
        np.testing.assert_allclose(plain.numpy(), compiled.numpy(), rtol=1e-6)


def test_second_derivatives(module: hub.LoadedModule) -> None:
    x = tf.constant(X)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(module(x) ** 2)
        gradient = inner.gradient(loss, x)
    np.testing.assert_allclose(gradient.numpy(), 2 * EXPECTED @ WEIGHTS.T, rtol=1e-6)
    second = outer.gradient(gradient, x).numpy()
    np.testing.assert_allclose(second, np.tile(2 * (WEIGHTS @ WEIGHTS.T).sum(0), (2, 1)), rtol=1e-6)


def test_dataset_map(module: hub.LoadedModule, words: hub.LoadedModule) -> None:
    dataset = tf.data.Dataset.from_tensor_slices(X).batch(1).map(lambda x: module(x))
    np.testing.assert_allclose(np.concatenate([y.numpy() for y in dataset]), EXPECTED, rtol=1e-6)
    ids = tf.data.Dataset.from_tensor_slices(["dog", "cow"]).batch(2).map(lambda s: words(s), num_parallel_calls=2)
    assert [value.numpy().tolist() for value in ids] == [[1, -1]]


def test_a_dataset_keeps_the_table_of_a_module_that_nothing_else_holds(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    path = publish(lookup(tmp_path / "words.txt"), tmp_path / "m")

    def dataset() -> tf.data.Dataset:
        words = hub.load(path)
        return tf.data.Dataset.from_tensor_slices(["dog"]).map(lambda s: words([s])[0])

    found = dataset()
    gc.collect()
    assert [value.numpy() for value in found] == [1]


def test_conditional(module: hub.LoadedModule) -> None:
    call = tf.function(lambda yes: tf.cond(yes, lambda: module(X), lambda: -module(X)))
    np.testing.assert_allclose(call(tf.constant(True)).numpy(), EXPECTED, rtol=1e-6)
    np.testing.assert_allclose(call(tf.constant(False)).numpy(), -EXPECTED, rtol=1e-6)


def test_loop(module: hub.LoadedModule) -> None:
    @tf.function
    def call(x: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(3):
            x = module(x)
        return x

    expected = X
    for _ in range(3):
        expected = expected @ WEIGHTS + BIAS
    with tf.GradientTape() as tape:
        y = call(tf.constant(X))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5)
    assert all(np.isfinite(gradient.numpy()).all() for gradient in tape.gradient(y, module.trainable_variables))


def test_map_fn(module: hub.LoadedModule) -> None:
    call = tf.function(lambda xs: tf.map_fn(lambda x: module(x[None])[0], xs))
    np.testing.assert_allclose(call(tf.constant(X)).numpy(), EXPECTED, rtol=1e-6)


def test_compiled_by_xla(module: hub.LoadedModule) -> None:
    @tf.function(jit_compile=True)
    def step(x: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            y = module(x)
        return y, tape.gradient(y, module.trainable_variables)

    y, (to_b, to_w) = step(tf.constant(X))
    np.testing.assert_allclose(y.numpy(), EXPECTED, rtol=1e-5)
    assert to_b.numpy().tolist() == [2.0, 2.0]
    np.testing.assert_allclose(to_w.numpy(), np.tile(X.sum(0)[:, None], 2), rtol=1e-6)


def test_what_xla_cannot_compile(words: hub.LoadedModule) -> None:
    compiled = tf.function(lambda s: words(s), jit_compile=True, autograph=False)
    with refused(hub.errors.GraphError, says=("jit_compile=True", "LookupTableFindV2", "outside")):
        compiled(tf.constant(["dog"]))


@pytest.mark.parametrize("wrap", [lambda function: function, tf.function], ids=["plain", "tf.function"])
def test_a_v1_loop_in_a_function(tmp_path: Path, wrap: Callable[..., Callable[..., tf.Tensor]]) -> None:
    with loops_of_v1():
        module = hub.load(publish(summing_loop, tmp_path / "loop"))

    @wrap
    def gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            y = module(X)
        return tape.gradient(y, module.variable_map["w"])

    np.testing.assert_array_equal(gradient().numpy(), [6.0, 6.0])


def growing_array() -> None:
    """x [batch] -> its squares, by a loop that writes to an array of no fixed size."""
    x = v1.placeholder(tf.float32, [None])
    array = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[])
    _, array = v1.while_loop(lambda i, _: i < tf.size(x), lambda i, a: (i + 1, a.write(i, x[i] * x[i])), [0, array])
    hub.add_signature(inputs=x, outputs=array.stack())


def test_loops_and_xla(tmp_path: Path) -> None:
    with loops_of_v1():
        loop = hub.load(publish(summing_loop, tmp_path / "loop"))
        growing = hub.load(publish(growing_array, tmp_path / "growing"))
    compiled = tf.function(lambda x: loop(x), jit_compile=True, autograph=False)
    np.testing.assert_array_equal(compiled(X).numpy(), X + np.array([3, 30]))
    with tf.GradientTape(), refused(hub.errors.GraphError, says=("v1 loop", "jit_compile")):
        compiled(X)  # TensorFlow makes the gradient of a function with its first call under a tape
    assert growing([2.0, 3.0]).numpy().tolist() == [4.0, 9.0]
    wrong = tf.function(lambda x: growing(x), jit_compile=True, autograph=False)
    with refused(hub.errors.GraphError, says=("TensorArrayV3 of no fixed size", "outside")):
        wrong(tf.constant([2.0]))
