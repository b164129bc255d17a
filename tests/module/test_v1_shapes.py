"""Where `tf.compat.v1.disable_v2_behavior()` makes a shape one of Dimensions, as in scripts of TF1, all works too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.columns.modules import TABLE, TEXTS, lengths
from tests.constructions import loops_of_v1, publish, started, summing_loop
from tests.refusals import refused

v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def v1_shapes() -> Iterator[None]:
    v1.disable_v2_tensorshape()
    try:
        assert isinstance(tf.TensorShape([2])[0], v1.Dimension)
        yield
    finally:
        v1.enable_v2_tensorshape()


@pytest.mark.parametrize("make", [hub.text_embedding_column, hub.text_embedding_column_v2])
def test_a_text_column(tmp_path: Path, make: type) -> None:
    path = publish(lengths, tmp_path / "lengths")
    with tf.Graph().as_default():
        layer = v1.feature_column.input_layer({"text": tf.constant(TEXTS)[:, None]}, [make("text", path)])
        with started() as session:
            np.testing.assert_array_equal(session.run(layer), TABLE[[len(text) % 5 for text in TEXTS]])


def test_a_text_column_of_unknown_width(tmp_path: Path) -> None:
    def module_fn() -> None:
        text = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=text, outputs=v1.placeholder_with_default([[0.0]], [None, None]))

    with refused(hub.errors.InvalidArgumentError, says=("float32 of shape (?,K) with K known",)):
        hub.text_embedding_column("text", hub.create_module_spec(module_fn))


def test_the_size_of_images() -> None:
    def module_fn() -> None:
        images = v1.placeholder(tf.float32, [None, 8, 6, 3])
        hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))

    spec = hub.create_module_spec(module_fn)
    assert hub.get_expected_image_size(spec) == [8, 6]
    assert hub.get_num_image_channels(spec) == 3


def test_a_v1_loop_in_a_function(tmp_path: Path) -> None:
    with loops_of_v1():
        module = hub.load(publish(summing_loop, tmp_path / "loop"))
    with tf.GradientTape() as tape:
        total = module([[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(total, [[3.0, 30.0], [4.0, 31.0]])
    np.testing.assert_array_equal(tape.gradient(total, module.variable_map["w"]), [6.0, 6.0])


def test_a_keras_layer(tmp_path: Path) -> None:
    layer = hub.KerasLayer(publish(lengths, tmp_path / "lengths"))
    np.testing.assert_array_equal(layer(tf.constant(TEXTS)), TABLE[[len(text) % 5 for text in TEXTS]])
    assert tuple(layer.compute_output_shape((None,))) == (None, 3)
