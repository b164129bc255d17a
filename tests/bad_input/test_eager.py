"""What is wrong in a call of a LoadedModule is said in our words, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import affine, normalizing_spec, publish, v1
from tests.refusals import refused

X = np.ones([2, 2], np.float32)


@pytest.fixture
def module(tmp_path: Path) -> hub.LoadedModule:
    return hub.load(publish(normalizing_spec(), tmp_path / "m"))


@pytest.fixture
def pair(tmp_path: Path) -> hub.LoadedModule:
    def module_fn() -> None:
        a, b = v1.placeholder(tf.float32, [None]), v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs={"a": a, "b": b}, outputs={"sum": a + b})

    return hub.load(publish(module_fn, tmp_path / "pair"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, ("missing ['default']",)),
        ({"x": X}, ("missing ['default']", "extra given ['x']")),
        ({"default": X, "x": X}, ("extra given ['x']",)),
        (np.ones([2, 3], np.float32), ("(2, 3)", "(None, 2)")),
        (tf.ones([2, 3]), ("(2, 3)", "(None, 2)")),
        (tf.ones([2, 2], tf.float64), ("float64", "float32", "tf.cast")),
        ("words", ("'words'", "float32")),
        (tf.sparse.from_dense(X), ("SparseTensor", "Expected Tensor")),
        ([[X]], ("float32",)),
    ],
)
def test_wrong_inputs(module: hub.LoadedModule, given: Any, says: tuple[str, ...]) -> None:
    with refused(hub.errors.InvalidInputError, TypeError, ValueError, says=says):
        module(given, training=True)
    assert module.variable_map["mean"].numpy().tolist() == [0.0, 0.0]


def test_a_single_value_for_two_inputs(pair: hub.LoadedModule) -> None:
    with refused(hub.errors.InvalidInputError, says=("multiple inputs", "['a', 'b']")):
        pair(X, as_dict=True)
    with refused(hub.errors.InvalidInputError, says=("missing ['b']",)):
        pair({"a": [1.0]}, as_dict=True)


def test_no_such_output_or_signature(module: hub.LoadedModule, pair: hub.LoadedModule) -> None:
    with refused(hub.errors.UnknownOutputError, TypeError, KeyError, says=("'default'", "as_dict=True", "'sum'")):
        pair({"a": [1.0], "b": [1.0]})
    with refused(
        hub.errors.UnknownSignatureError, ValueError, KeyError, says=("'defaults'", "Did you mean 'default'?")
    ):
        module(X, signature="defaults")
    with refused(hub.errors.UnknownSignatureError, says=("['default']",)):
        module(tf.constant(X), signature=["default"])
    with refused(hub.errors.UnknownSignatureError, KeyError, says=("'serving'",)):
        module.signatures["serving"]
    assert "serving" not in module.signatures


def test_training_that_is_not_known_yet(module: hub.LoadedModule) -> None:
    call = tf.function(lambda training: module(X, training=training), autograph=False)
    with refused(hub.errors.InvalidArgumentError, says=("training=", "tf.cond")):
        call(tf.constant(True))
    with refused(hub.errors.InvalidArgumentError, says=("training=",)):
        module(X, training=np.array([True]))
    assert module(X, training=tf.constant(True)).shape == (2, 2)


def test_eager_things_in_a_graph(tmp_path: Path, module: hub.LoadedModule) -> None:
    with tf.Graph().as_default() as graph:
        with refused(hub.errors.GraphError, RuntimeError, says=("modhub.Module(handle)",), graph=graph):
            module(X)
        with refused(hub.errors.GraphError, RuntimeError, says=("modhub.Module(handle)",), graph=graph):
            hub.load(tmp_path / "m")


def test_graph_things_under_eager_execution(tmp_path: Path) -> None:
    path = publish(affine, tmp_path / "n")
    with refused(hub.errors.GraphError, RuntimeError, says=("modhub.load(handle)",)):
        hub.Module(path)
    with tf.Graph().as_default():
        instance = hub.Module(path)
    with refused(hub.errors.GraphError, RuntimeError, says=("modhub.load(handle)",)):
        instance(X)


def test_loading_in_a_function(tmp_path: Path) -> None:
    path = publish(affine, tmp_path / "n")

    @tf.function(autograph=False)
    def call() -> tf.Tensor:
        return hub.load(path)(X)

    with refused(hub.errors.GraphError, says=("outside, once",)):
        call()


def test_a_tensor_of_a_graph(module: hub.LoadedModule) -> None:
    with tf.Graph().as_default():
        symbolic = v1.placeholder(tf.float32, [None, 2])
    with refused(hub.errors.InvalidInputError, says=("another graph",)):
        module(symbolic)


def test_errors_of_tensorflow_classes_can_be_made_anew_as_keras_does(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.NotFoundError) as caught:
        hub.load(tmp_path / "nothing")
    error = caught.value
    again = type(error)(error.node_def, error.op, f"seen by Keras: {error.message}", error.error_code)
    assert isinstance(again, hub.errors.HandleNotFoundError)
    assert str(again).startswith("seen by Keras: ")


def test_a_symbolic_tensor_of_keras(module: hub.LoadedModule) -> None:
    with refused(hub.errors.InvalidInputError, says=("modhub.KerasLayer",)):
        module(keras.Input([2]))


def test_a_loaded_module_publishes_itself(tmp_path: Path, module: hub.LoadedModule) -> None:
    with refused(hub.errors.InvalidArgumentError, says=("export(path)",), folder=tmp_path):
        hub.export_module(module, tmp_path / "again")
