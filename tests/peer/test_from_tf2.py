"""Modules that export_module wrote serve users of tensorflow_hub 0.15.0 on TensorFlow 2.15 as they serve ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.peer.peer import needs_peer, run_peer

pytestmark = needs_peer

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def perceptron(_folder: Path) -> tuple[Any, dict[str, Any]]:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation="swish", kernel_regularizer="l2", name="first"),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
            keras.layers.Dense(2, name="last"),
        ]
    )
    return model, {"default": X}


def recurrent(_folder: Path) -> tuple[Any, dict[str, Any]]:
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(4), keras.layers.Dropout(0.5)])
    return model, {"default": X.reshape(3, 3, 2)}


def text(folder: Path) -> tuple[Any, dict[str, Any]]:
    (folder / "words.txt").write_text("red\ngreen\n")
    left, right = (keras.Input((2,), dtype="string", name=name) for name in ("left", "right"))
    lookup = keras.layers.StringLookup(vocabulary=str(folder / "words.txt"))
    embedding = keras.layers.Embedding(3, 2)
    model = keras.Model([left, right], {"default": embedding(lookup(left)), "numbers": lookup(right)})
    return model, {"left": np.array([["red", "mauve"]]), "right": np.array([["green", "red"]])}


MODELS = {"perceptron": perceptron, "recurrent": recurrent, "text": text}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of modules that the peer has looked at; the models are beside it."""
    folder = tmp_path_factory.mktemp("from_tf2")
    for name, make in MODELS.items():
        (folder / name).mkdir()
        model, inputs = make(folder / name)
        hub.export_module(model, folder / name / "module")
        np.savez(folder / name / "inputs.npz", **inputs)
    run_peer("from_tf2.py", str(folder))
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_equal(folder: Path, name: str) -> None:
    inputs = dict(np.load(folder / name / "inputs.npz"))
    with hub.eval_function_for_module(folder / name / "module") as f:
        expected = f(inputs, as_dict=True)
    with np.load(folder / name / "seen.npz") as seen:
        for key, value in expected.items():
            np.testing.assert_allclose(seen[f"output {key}"], value, rtol=1e-5, atol=1e-6)


def test_a_step_of_training_is_equal(folder: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(folder / "perceptron" / "module", tags={"train"}, trainable=True)
        loss = tf.reduce_sum(module(X) ** 2) + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        session.run(step)
        expected = session.run(module.variable_map)
    assert len(expected) == 8
    with np.load(folder / "perceptron" / "seen.npz") as seen:
        for key, value in expected.items():
            np.testing.assert_allclose(seen[f"variable {key}"], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_dropout_trains_there_too(folder: Path) -> None:
    with np.load(folder / "recurrent" / "seen.npz") as seen:
        changed = [key for key in seen.files if key.startswith("variable")]
    assert len(changed) == 3
