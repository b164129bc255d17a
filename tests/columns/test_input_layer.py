"""Columns in v1 graphs: input_layer, linear_model, DenseFeatures there, and parsing of examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import modhub as hub
from modhub.columns import (
    image_embedding_column,
    sparse_text_embedding_column,
    text_embedding_column,
    text_embedding_column_v2,
)
from tests.columns.modules import PROJECTION, TABLE, TEXTS, Lengths, lengths, pooled, published, rows
from tests.constructions import names, started

v1 = tf.compat.v1
input_layer = v1.feature_column.input_layer
FEATURES = {"comment": np.array(TEXTS)}
COLUMNS = [text_embedding_column, text_embedding_column_v2]
IMAGES = np.random.default_rng(0).random([2, 4, 4, 3], np.float32)


@pytest.mark.parametrize("make", COLUMNS)
@pytest.mark.parametrize("trainable", [False, True])
def test_values_variables_and_gradients(graph: tf.Graph, tmp_path: Path, make: Any, trainable: bool) -> None:
    found = input_layer(FEATURES, [make("comment", published(tmp_path), trainable=trainable)])
    (variable,) = v1.global_variables()
    assert variable.op.name == "input_layer/comment_hub_module_embedding/module/table"
    assert v1.trainable_variables() == [variable] * trainable
    assert len(v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)) == int(trainable)
    (gradient,) = v1.gradients(tf.reduce_sum(found), [variable])
    assert found.shape.as_list() == [5, 3]
    with started() as session:
        np.testing.assert_array_equal(session.run(found), rows(TEXTS))
        counts = np.bincount([len(text) % 5 for text in TEXTS], minlength=5)
        np.testing.assert_array_equal(session.run(gradient), np.repeat(counts[:, None], 3, axis=1))


def test_as_module_and_keras_layer(tmp_path: Path) -> None:
    path = published(tmp_path)
    with tf.Graph().as_default():
        by_column = input_layer(FEATURES, [text_embedding_column("comment", path)])
        by_module = hub.Module(path)(FEATURES["comment"])
        with started() as session:
            one, two = session.run([by_column, by_module])
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, hub.KerasLayer(path)(tf.constant(TEXTS)))


@pytest.mark.parametrize(("of_column", "of_layer"), [(True, False), (False, True), (False, False)])
def test_both_have_to_be_trainable(graph: tf.Graph, tmp_path: Path, of_column: bool, of_layer: bool) -> None:
    input_layer(FEATURES, [text_embedding_column("comment", published(tmp_path), of_column)], trainable=of_layer)
    assert len(v1.global_variables()) == 1
    assert v1.trainable_variables() == []


def test_each_call_has_a_module(graph: tf.Graph, tmp_path: Path) -> None:
    column = text_embedding_column("comment", published(tmp_path))
    found: dict[Any, Any] = {}
    input_layer(FEATURES, [column], cols_to_vars=found)
    assert found == {column: v1.global_variables()}
    input_layer(FEATURES, [column])
    assert len(names(v1.global_variables())) == 2


@pytest.mark.parametrize("make", COLUMNS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:tf_keras")
def test_a_layer_with_a_state_manager_has_one_module(graph: tf.Graph, tmp_path: Path, make: Any) -> None:
    layer = tf_keras.layers.DenseFeatures([make("comment", published(tmp_path), trainable=True)])
    one, two = layer(FEATURES), layer({"comment": tf.constant(["wow"])})
    (variable,) = v1.trainable_variables()
    assert all(gradient is not None for each in (one, two) for gradient in v1.gradients(each, [variable]))
    with started() as session:
        np.testing.assert_array_equal(session.run(one), rows(TEXTS))
        np.testing.assert_array_equal(session.run(two), rows(["wow"]))


def test_training(graph: tf.Graph, tmp_path: Path) -> None:
    found = input_layer(FEATURES, [text_embedding_column("comment", published(tmp_path), trainable=True)])
    step = v1.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(found))
    with started() as session:
        session.run(step)
        counts = np.bincount([len(text) % 5 for text in TEXTS], minlength=5)
        np.testing.assert_array_equal(session.run(v1.global_variables()[0]), TABLE - 0.5 * counts[:, None])


@pytest.mark.filterwarnings("ignore:`layer.add_variable` is deprecated:UserWarning")  # TensorFlow's own
def test_linear_model(graph: tf.Graph) -> None:
    column = text_embedding_column("comment", hub.create_module_spec(lengths))
    found = v1.feature_column.linear_model(FEATURES, [column])
    assert len(v1.global_variables()) == 3  # of the module, and weights and a bias
    with started() as session:
        assert session.run(found).tolist() == [[0.0]] * 5


def test_images(graph: tf.Graph, tmp_path: Path) -> None:
    path = published(tmp_path, pooled())
    found = input_layer({"photo": IMAGES}, [image_embedding_column("photo", path)])
    assert v1.trainable_variables() == []
    module = hub.Module(path)({"images": IMAGES})
    with started() as session:
        one, two = session.run([found, module])
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, IMAGES.mean((1, 2)) @ PROJECTION, rtol=1e-6)


def test_a_key_that_is_a_column(graph: tf.Graph, tmp_path: Path) -> None:
    pixels = tf.feature_column.numeric_column("pixels", [4, 4, 3])
    column = image_embedding_column(pixels, published(tmp_path, pooled()))
    assert column.name == "pixels_hub_module_embedding"
    assert column.parents == [pixels]
    assert list(tf.feature_column.make_parse_example_spec([column])) == ["pixels"]
    found = input_layer({"pixels": IMAGES}, [column])
    with started() as session:
        np.testing.assert_allclose(session.run(found), IMAGES.mean((1, 2)) @ PROJECTION, rtol=1e-6)


@pytest.mark.parametrize("api", [tf.feature_column, v1.feature_column])
def test_parsed_examples(graph: tf.Graph, tmp_path: Path, api: Any) -> None:
    text = published(tmp_path / "text")
    columns = [
        text_embedding_column("comment", text),
        text_embedding_column_v2("title", text),
        sparse_text_embedding_column("words", text, "sum", "so easy"),
        image_embedding_column("photo", published(tmp_path / "photo", pooled())),
    ]
    spec = api.make_parse_example_spec(columns)
    assert spec == {
        "comment": tf.io.FixedLenFeature([1], tf.string),
        "title": tf.io.FixedLenFeature([1], tf.string),
        "words": tf.io.VarLenFeature(tf.string),
        "photo": tf.io.FixedLenFeature([4, 4, 3], tf.float32),
    }
    found = input_layer(tf.io.parse_example([example("wow", []), example("", ["wow", "much"])], spec), columns)
    with started() as session:
        values = session.run(found)
    # Sorted by name: comment, photo, title, words.
    expected = [
        rows(["wow", ""]),
        np.repeat([PROJECTION.sum(0)], 2, axis=0) / 2,
        rows(["a title"] * 2),
        np.concatenate([rows(["so easy"]), rows(["wow"]) + rows(["much"])]),
    ]
    np.testing.assert_allclose(values, np.concatenate(expected, axis=1), rtol=1e-6)


def example(comment: str, words: list[str]) -> bytes:
    features = {
        "comment": tf.train.Feature(bytes_list=tf.train.BytesList(value=[comment.encode()])),
        "title": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a title"])),
        "words": tf.train.Feature(bytes_list=tf.train.BytesList(value=[word.encode() for word in words])),
        "photo": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * 48)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_where_there_is_no_graph(tmp_path: Path) -> None:
    column = text_embedding_column("comment", published(tmp_path))
    with pytest.raises(hub.errors.GraphError, match="needs a graph"):
        input_layer(FEATURES, [column])
    wrapped = v1.wrap_function(
        lambda text: input_layer({"comment": text}, [column]), [tf.TensorSpec([None], tf.string)]
    )
    for variable in wrapped.graph.variables:
        variable.assign(TABLE)
    np.testing.assert_array_equal(wrapped(tf.constant(TEXTS)), rows(TEXTS))


@pytest.mark.parametrize("make", COLUMNS)
@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("layer_trainable", [False, True])
def test_dense_features_trains_the_module(tmp_path: Path, make: Any, trainable: bool, layer_trainable: bool) -> None:
    with tf.Graph().as_default():
        column = make("comment", published(tmp_path), trainable=trainable)
        layer = tf_keras.layers.DenseFeatures([column], trainable=layer_trainable)
        layer(FEATURES)
        layer(FEATURES)
        names = [variable.op.name.rpartition("/")[2] for variable in layer.trainable_weights]
    assert names == (["table"] if trainable and layer_trainable else [])


def test_what_v2_takes_in_a_graph(tmp_path: Path) -> None:
    path = published(tmp_path)
    images = published(tmp_path / "images", four_dimensional)
    tf.saved_model.save(Lengths(), str(tmp_path / "saved"))
    with tf.Graph().as_default():
        with pytest.raises(hub.errors.UnknownOutputError, match=r"no output 'vectors'.*'default'"):
            input_layer(FEATURES, [text_embedding_column_v2("comment", path, output_key="vectors")])
        with pytest.raises(hub.errors.ModuleFormatError, match=r"tf\.saved_model\.load"):
            input_layer(FEATURES, [text_embedding_column_v2("comment", str(tmp_path / "saved"))])
        with pytest.raises(ValueError, match="Module is not a text-embedding"):
            input_layer(FEATURES, [text_embedding_column_v2("comment", images)])


def four_dimensional() -> None:
    text = v1.placeholder(tf.string, [None])
    hub.add_signature(inputs=text, outputs=tf.zeros([tf.size(text), 1, 1, 1]))
