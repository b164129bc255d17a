"""The examples of the old library's own documents, as users copied them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import evaluated, variable

v1 = tf.compat.v1

LAYERS = """
    import sys
    import tensorflow as tf
    import modhub as hub

    def module_fn():
        inputs = tf.compat.v1.placeholder(dtype=tf.float32, shape=[None, 50])
        layer1 = tf.compat.v1.layers.dense(inputs, 200)
        layer2 = tf.compat.v1.layers.dense(layer1, 100)
        outputs = dict(default=layer2, hidden_activations=layer1)
        # Add default signature.
        hub.add_signature(inputs=inputs, outputs=outputs)

    spec = hub.create_module_spec(module_fn)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        m = hub.Module(spec, trainable=True)
        assert sorted(m.variable_map) == ["dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel"]
        outputs = m(tf.ones([2, 50]), as_dict=True)
        session.run(tf.compat.v1.global_variables_initializer())
        m.export(sys.argv[1], session)
        first = session.run(outputs)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        outputs = hub.Module(sys.argv[1])(tf.ones([2, 50]), as_dict=True)
        session.run(tf.compat.v1.global_variables_initializer())
        again = session.run(outputs)
    assert first["default"].shape == (2, 100) and first["hidden_activations"].shape == (2, 200)
    for name, value in first.items():
        assert abs(value - again[name]).max() < 1e-5, name
    print("same", sorted(first))
"""


def run_python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a new process that sees modhub."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_module_fn_of_layers(tmp_path: Path) -> None:
    if int(tf.__version__.split(".")[1]) >= 16:
        pytest.importorskip("tf_keras", reason="tf.compat.v1.layers needs tf_keras on this TensorFlow")
    done = run_python(LAYERS, str(tmp_path / "module"), TF_USE_LEGACY_KERAS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "same ['default', 'hidden_activations']\n"


def test_layers_without_legacy_keras_say_what_to_do() -> None:
    try:
        available = hasattr(v1.layers, "dense")
    except Exception:  # what it raises changed between versions
        available = False
    if available:
        pytest.skip("tf.compat.v1.layers.dense works here: legacy Keras is on")

    def module_fn() -> None:
        inputs = v1.placeholder(dtype=tf.float32, shape=[None, 50])
        hub.add_signature(inputs=inputs, outputs=v1.layers.dense(inputs, 200))

    with pytest.raises(errors.ModuleDefinitionError, match="tf_keras") as caught:
        hub.create_module_spec(module_fn)
    assert "TF_USE_LEGACY_KERAS=1" in str(caught.value)
    assert isinstance(caught.value.__cause__, AttributeError)


def test_hidden_activations(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        hidden = tf.nn.relu(x * variable("w", [1.0, 2.0]))
        hub.add_signature(inputs=x, outputs=dict(default=hidden + 1.0, hidden_activations=hidden))  # noqa: C408 - as the documents have it

    outputs = hub.Module(hub.create_module_spec(module_fn))([[1.0, -1.0]], as_dict=True)
    assert evaluated(outputs["default"]).tolist() == [[2.0, 1.0]]
    assert evaluated(outputs["hidden_activations"]).tolist() == [[1.0, 0.0]]


def test_fruit_to_pet(graph: tf.Graph) -> None:
    def module_fn() -> None:
        apples, oranges = v1.placeholder(tf.float32, [None]), v1.placeholder(tf.float32, [None])
        hub.add_signature(
            "fruit_to_pet", {"apples": apples, "oranges": oranges}, {"cats": apples, "dogs": 2.0 * oranges}
        )

    m = hub.Module(hub.create_module_spec(module_fn))
    x1, x2 = tf.constant([1.0]), tf.constant([2.0])
    outputs = m(dict(apples=x1, oranges=x2), signature="fruit_to_pet", as_dict=True)  # noqa: C408
    y1, y2 = outputs["cats"], outputs["dogs"]
    assert [value.tolist() for value in evaluated([y1, y2])] == [[1.0], [4.0]]


def test_a_module_used_in_a_classifier(graph: tf.Graph) -> None:
    def module_fn(training: bool) -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        w = variable("w", [[1.0], [2.0]])
        hub.add_signature(inputs=x, outputs=tf.matmul(tf.nn.dropout(x, 0.5) if training else x, w))

    spec = hub.create_module_spec(
        module_fn, tags_and_args=[(set(), {"training": False}), ({"train"}, {"training": True})]
    )
    m = hub.Module(spec, trainable=True, tags={"train"})
    features = m([[1.0, 2.0], [3.0, 4.0]])
    logits = tf.matmul(features, v1.get_variable("classifier", [1, 3]))
    loss = v1.losses.sparse_softmax_cross_entropy([0, 2], logits) + v1.losses.get_regularization_loss()
    train = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert [v.op.name for v in v1.trainable_variables()] == ["module/w", "classifier"]
    evaluated(train)
