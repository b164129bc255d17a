"""Gradients through TF2 loops, conditionals and tf.functions that a module brings along, compared with TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import publish, started, variable

v1 = tf.compat.v1

X = np.array([1.0, 2.0], np.float32)
W = 2.0
Network = Callable[[tf.Tensor, Any], tf.Tensor]


def loop(x: tf.Tensor, w: Any) -> tf.Tensor:
    return tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * w), (0, x))[1]


def branch(x: tf.Tensor, w: Any) -> tf.Tensor:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: x * w * w, lambda: x)


def mapped(x: tf.Tensor, w: Any) -> tf.Tensor:
    return tf.map_fn(lambda each: each * w * w, x)


def branch_in_loop(x: tf.Tensor, w: Any) -> tf.Tensor:
    def body(i: tf.Tensor, a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, tf.cond(tf.reduce_sum(a) > 0, lambda: a * w, lambda: a)

    return tf.while_loop(lambda i, a: i < 3, body, (0, x))[1]


def loop_in_branch(x: tf.Tensor, w: Any) -> tf.Tensor:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: loop(x, w), lambda: x)


def loop_in_loop(x: tf.Tensor, w: Any) -> tf.Tensor:
    return tf.while_loop(lambda i, a: i < 2, lambda i, a: (i + 1, loop(a, w)), (0, x))[1]


def branch_in_loop_in_branch(x: tf.Tensor, w: Any) -> tf.Tensor:
    return tf.cond(tf.reduce_sum(x) > 0, lambda: branch_in_loop(x, w), lambda: x)


def choice_in_loop(x: tf.Tensor, w: Any) -> tf.Tensor:
    def body(i: tf.Tensor, a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, tf.switch_case(i, [lambda: a, lambda: a * w, lambda: a * w * w])

    return tf.while_loop(lambda i, a: i < 3, body, (0, x))[1]


def loop_after_loop(x: tf.Tensor, w: Any) -> tf.Tensor:
    return branch_in_loop(branch_in_loop(x, w), w)


def tf_function_of(network: Network) -> Network:
    return lambda x, w: tf.function(lambda x: network(x, w), autograph=False)(x)


def exported(network: Network, path: Path) -> str:
    owner = tf.Module()
    owner.w = tf.Variable(W, name="w")
    owner.f = tf.function(
        lambda x: network(x, owner.w), input_signature=[tf.TensorSpec([None], name="x")], autograph=False
    )
    hub.export_module(owner.f, str(path))
    return str(path)


def defined(network: Network, path: Path) -> str:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None], name="x")
        hub.add_signature(inputs=x, outputs=network(x, variable("w", W)))

    return publish(module_fn, path)


def calling(network: Network, path: Path) -> str:
    return defined(tf_function_of(network), path)


CASES = [
    *((exported, network) for network in (loop, mapped, loop_in_branch, branch_in_loop_in_branch, loop_after_loop)),
    *((defined, network) for network in (loop, branch_in_loop, loop_in_loop, choice_in_loop)),
    *((calling, network) for network in (branch, branch_in_loop)),
]


def first(f: Callable[[tf.Tensor], tf.Tensor], w: tf.Variable, *, persistent: bool = False) -> list[tf.Tensor]:
    x = tf.constant(X)
    with tf.GradientTape(persistent=persistent) as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, [x, w])


def second(f: Callable[[tf.Tensor], tf.Tensor], w: tf.Variable) -> list[tf.Tensor]:
    x = tf.constant(X)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = f(x)
        gradient = inner.gradient(y, x)
        penalty = tf.reduce_sum(gradient * gradient)
    return outer.gradient(penalty, [w])


def check(found: list[Any], wanted: list[Any]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(("make", "network"), CASES)
def test_eager_gradients_are_those_of_tensorflow(make: Any, network: Network, tmp_path: Path) -> None:
    w = tf.Variable(W)
    native = tf.function(lambda x: network(x, w), autograph=False)
    module = hub.load(make(network, tmp_path / "module"))
    (v,) = module.variables
    check(first(module, v), first(native, w))
    check(first(module, v, persistent=True), first(native, w, persistent=True))
    check(second(module, v), second(native, w))
    check(tf.function(lambda: first(module, v))(), first(native, w))


@pytest.mark.parametrize(("make", "network"), CASES)
def test_graph_gradients_are_those_of_tensorflow(make: Any, network: Network, tmp_path: Path) -> None:
    w = tf.Variable(W)
    native = tf.function(lambda x: network(x, w), autograph=False)
    wanted = [*first(native, w), *second(native, w)]
    path = make(network, tmp_path / "module")
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True)
        x = tf.constant(X)
        y = module(x)
        to_x, to_w = tf.gradients(y, [x, *module.variables])
        again = tf.gradients(tf.reduce_sum(to_x * to_x), module.variables)
        with started() as session:
            check(session.run([to_x, to_w, *again]), wanted)


def test_two_applications_keep_their_gradients_apart(tmp_path: Path, graph: tf.Graph) -> None:
    module = hub.Module(defined(branch_in_loop, tmp_path / "module"), trainable=True)
    inputs = [tf.constant(X), tf.constant(3 * X)]
    (one,), (other,) = (tf.gradients(module(x), module.variables) for x in inputs)
    both = tf.gradients([module(x) for x in inputs], module.variables)
    with started() as session:
        values = session.run([one, other, *both])
    np.testing.assert_allclose(values[1], 3 * values[0])
    np.testing.assert_allclose(values[2], values[0] + values[1])


def test_a_keras_recurrent_network_has_second_derivatives(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input([None, 4]), keras.layers.LSTM(3)])
    hub.export_module(model, str(tmp_path / "module"))
    module = hub.load(str(tmp_path / "module"))
    x = tf.constant(np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4))

    def penalties(f: Any, variables: list[Any]) -> list[tf.Tensor]:
        with tf.GradientTape(persistent=True) as outer:
            with tf.GradientTape(persistent=True) as inner:
                inner.watch(x)
                y = f(x)
            gradient = inner.gradient(y, x)
            penalty = tf.reduce_sum(gradient * gradient)
        return [*outer.gradient(penalty, variables), *inner.gradient(y, variables)]

    wanted = penalties(model, [each.value for each in model.trainable_variables])
    found = penalties(module, list(module.trainable_variables))
    check(sorted(map(_total, found)), sorted(map(_total, wanted)))


def _total(gradient: tf.Tensor) -> float:
    return float(tf.reduce_sum(tf.abs(gradient)))


def test_variables_of_several_shapes_go_through_one_loop(tmp_path: Path) -> None:
    values = {"w": np.float32(2.0), "v": np.array([1.0, 3.0], np.float32), "k": np.eye(2, dtype=np.float32) * 2}

    def network(x: tf.Tensor, of: dict[str, Any]) -> tf.Tensor:
        def body(i: tf.Tensor, a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, tf.cond(
                tf.equal(i, 1), lambda: tf.matmul(a[tf.newaxis], of["k"])[0], lambda: a * of["v"] * of["w"]
            )

        return tf.while_loop(lambda i, a: i < 3, body, (0, x))[1]

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [2], name="x")
        hub.add_signature(inputs=x, outputs=network(x, {name: variable(name, value) for name, value in values.items()}))

    module = hub.load(publish(module_fn, tmp_path / "module"))
    own = {name: tf.Variable(value) for name, value in values.items()}
    native = tf.function(lambda x: network(x, own), autograph=False)
    for persistent in (False, True):
        for name in values:
            (v,) = (each for each in module.variables if each.name == f"{name}:0")
            check(first(module, v, persistent=persistent), first(native, own[name], persistent=persistent))
            check(second(module, v), second(native, own[name]))
