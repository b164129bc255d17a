"""Tensors that no signature names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import loops_of_v1, normalizing_spec, publish, summing_loop, v1, variable
from tests.refusals import refused


def two_layers() -> None:
    """x -> (x * a) * b, where the product in the middle is called "hidden"; another signature uses another input."""
    x = v1.placeholder(tf.float32, [None], name="x")
    z = v1.placeholder(tf.float32, [None], name="z")
    hidden = tf.multiply(x, variable("a", 2.0), name="layer/hidden")
    hub.add_signature(inputs=x, outputs=hidden * variable("b", 3.0))
    hub.add_signature("other", inputs=z, outputs=tf.negative(z, name="negative"))


def test_an_intermediate_tensor(tmp_path: Path) -> None:
    module = hub.load(publish(two_layers, tmp_path / "m"))
    features = module.outputs_of(["layer/hidden:0", "x:0", "a:0"])
    x = tf.constant([1.0, 5.0])
    with tf.GradientTape() as tape:
        outputs = features(x)
        loss = tf.reduce_sum(outputs["layer/hidden:0"])
    assert {name: value.numpy().tolist() for name, value in outputs.items()} == {
        "layer/hidden:0": [2.0, 10.0],
        "x:0": [1.0, 5.0],
        "a:0": 2.0,
    }
    to_a, to_b = tape.gradient(loss, [module.variable_map["a"], module.variable_map["b"]])
    assert (to_a.numpy(), to_b) == (6.0, None)


def test_a_single_name_without_its_output_number_in_a_function(tmp_path: Path) -> None:
    module = hub.load(publish(two_layers, tmp_path / "m"))
    features = tf.function(module.outputs_of("layer/hidden"))
    assert features([1.0])["layer/hidden"].numpy().tolist() == [2.0]


def test_another_signature(tmp_path: Path) -> None:
    module = hub.load(publish(two_layers, tmp_path / "m"))
    assert module.outputs_of(["negative:0"], signature="other")([4.0])["negative:0"].numpy().tolist() == [-4.0]


def test_training_updates(tmp_path: Path) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"))
    x = np.array([[2.0, 4.0]], np.float32)
    module.outputs_of(["gamma:0"])(x, training=True)
    assert module.variable_map["mean"].numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("layer/hidde:0", ("'layer/hidde:0'", "Did you mean 'layer/hidden:0'?")),
        ("layer/hidden:1", ("'layer/hidden:1'",)),
        ("negative:0", ("'negative:0'", "another signature")),
    ],
)
def test_tensors_that_cannot_be(tmp_path: Path, name: str, says: tuple[str, ...]) -> None:
    module = hub.load(publish(two_layers, tmp_path / "m"))
    with refused(hub.errors.UnknownOutputError, KeyError, says=says):
        module.outputs_of([name])


def test_inside_of_a_loop(tmp_path: Path) -> None:
    with loops_of_v1():
        module = hub.load(publish(summing_loop, tmp_path / "m"))
    with refused(hub.errors.UnknownOutputError, says=("'while/add:0'", "inside a loop")):
        module.outputs_of(["while/add:0"])


def test_no_name(tmp_path: Path) -> None:
    module = hub.load(publish(two_layers, tmp_path / "m"))
    with refused(hub.errors.InvalidArgumentError, says=("''",)):
        module.outputs_of([""])
