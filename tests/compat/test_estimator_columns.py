"""Canned estimators learn from the feature columns of modules, and their exports serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import modhub as hub
from tests import constructions
from tests.compat.estimators import batches, tf_estimator
from tests.export.digits import data

import tensorflow_estimator._api.v2.estimator  # isort: skip # estimators.py has made it importable

v1 = tf.compat.v1
# The API of tf.compat.v1 and that of TF2: other classes, with other heads, layers and optimizers.
APIS = {
    "v1": (tf_estimator, lambda: v1.train.AdamOptimizer(0.05)),
    "v2": (tensorflow_estimator._api.v2.estimator, lambda: tf_keras.optimizers.legacy.Adam(0.05)),
}
apis = pytest.mark.parametrize(("api", "optimizer"), APIS.values(), ids=APIS)
WORDS = [f"{name}{step}" for name in ("alcohol", "ash", "hue", "phenols", "proline") for step in range(5)]


def wines() -> tuple[np.ndarray, np.ndarray]:
    """Sentences of five words, such as "alcohol3 ash0 ..." [178], on wines of three growers [178]."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn: pip install modhub[demo]")
    bunch = datasets.load_wine()
    columns = [bunch.feature_names.index(name) for name in ("alcohol", "ash", "hue", "total_phenols", "proline")]
    values = bunch.data[:, columns]
    steps = (values[:, :, None] > np.quantile(values, [0.2, 0.4, 0.6, 0.8], axis=0).T[None]).sum(axis=2)
    words = np.array(WORDS).reshape(5, 5)
    sentences = [" ".join(words[column, step] for column, step in enumerate(row)) for row in steps]
    return np.array(sentences, object), bunch.target.astype(np.int32)


def text_module(folder: Path) -> str:
    matrix = np.random.default_rng(0).normal(size=[len(WORDS), 8]).astype(np.float32)
    hub.export_text_embeddings((WORDS, matrix), folder / "words")
    return str(folder / "words")


def published_with_statistics(folder: Path) -> str:
    """Texts -> 3 features of their lengths, by a kernel that can be trained and a mean that can not."""

    def module_fn() -> None:
        text = v1.placeholder(tf.string, [None])
        kernel = constructions.variable("kernel", np.ones([1, 3]))
        mean = v1.get_variable("mean", initializer=30.0, trainable=False)
        hub.add_signature(inputs=text, outputs=(tf.cast(tf.strings.length(text), tf.float32)[:, None] - mean) @ kernel)

    return constructions.publish(module_fn, folder / "lengths")


def image_module(folder: Path) -> str:
    """Images [batch, 8, 8, 3] -> 32 features."""

    def module_fn() -> None:
        images = v1.placeholder(tf.float32, [None, 8, 8, 3])
        kernel = constructions.variable("kernel", np.random.default_rng(0).normal(scale=0.2, size=[192, 32]))
        hub.add_signature(
            "image_feature_vector", {"images": images}, tf.nn.relu(tf.reshape(images, [-1, 192]) @ kernel)
        )
        hub.add_signature(inputs={"images": images}, outputs=tf.nn.relu(tf.reshape(images, [-1, 192]) @ kernel))

    return constructions.publish(module_fn, folder / "images")


@apis
@pytest.mark.parametrize("trainable", [False, True])
def test_a_network_over_text(tmp_path: Path, api: Any, optimizer: Any, trainable: bool) -> None:
    sentences, growers = wines()
    path = text_module(tmp_path)
    column = hub.text_embedding_column("text", path, trainable=trainable)
    classifier = api.DNNClassifier(
        [16], [column], str(tmp_path / "model"), n_classes=3, optimizer=optimizer, config=seeded(tmp_path / "model")
    )
    classifier.train(batches({"text": sentences}, growers), steps=150)
    assert classifier.evaluate(batches({"text": sentences}, growers, times=1))["accuracy"] > 0.85
    (table,) = (name for name in classifier.get_variable_names() if name.endswith("/embeddings"))
    moved = np.abs(classifier.get_variable_value(table)[: len(WORDS)] - read(path, "embeddings")[: len(WORDS)]).max()
    assert moved > 1e-3 if trainable else moved == 0


@apis
@pytest.mark.parametrize("trainable", [False, True])
def test_a_linear_model_trains_a_module_if_it_is_told_to(
    tmp_path: Path, api: Any, optimizer: Any, trainable: bool
) -> None:
    sentences, growers = wines()
    path = published_with_statistics(tmp_path)
    column = hub.text_embedding_column("text", path, trainable=trainable)
    classifier = api.LinearClassifier([column], str(tmp_path / "model"), n_classes=3, optimizer=optimizer)
    classifier.train(batches({"text": sentences}, growers), steps=5)
    kernel, mean = (
        np.abs(classifier.get_variable_value(name) - read(path, name.rpartition("/")[2])).max()
        for name in sorted(classifier.get_variable_names())
        if name.endswith(("/kernel", "/mean"))
    )
    assert (kernel > 0) == trainable
    assert mean == 0


@apis
def test_training_goes_on_where_it_was(tmp_path: Path, api: Any, optimizer: Any) -> None:
    sentences, growers = wines()
    column = hub.text_embedding_column("text", text_module(tmp_path), trainable=True)

    def values(folder: str, *steps: int) -> dict[str, np.ndarray]:
        for until in steps:
            options = {"n_classes": 3, "optimizer": optimizer, "config": seeded(tmp_path / folder)}
            classifier = api.DNNClassifier([4], [column], **options)
            classifier.train(batches({"text": sentences[:50]}, growers[:50]), max_steps=until)
        return {name: classifier.get_variable_value(name) for name in classifier.get_variable_names()}

    at_once, in_two = values("at-once", 6), values("in-two", 3, 6)
    assert any("/embeddings/" in name for name in at_once)  # the optimizer's own, of the module
    assert at_once.keys() == in_two.keys()
    for name, value in at_once.items():
        np.testing.assert_allclose(in_two[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@apis
def test_a_linear_model_over_images(tmp_path: Path, api: Any, optimizer: Any) -> None:
    x, y = data()
    images = np.repeat(x.reshape(-1, 8, 8, 1), 3, axis=3)
    column = hub.image_embedding_column("pixels", image_module(tmp_path), image_size=(8, 8))
    classifier = api.LinearClassifier(
        [column], str(tmp_path / "model"), n_classes=10, optimizer=optimizer, config=seeded(tmp_path / "model")
    )
    classifier.train(batches({"pixels": images[:250]}, y[:250]), steps=150)
    assert classifier.evaluate(batches({"pixels": images[250:]}, y[250:], times=1))["accuracy"] > 0.75


@apis
def test_what_a_canned_estimator_exports_serves(tmp_path: Path, api: Any, optimizer: Any) -> None:
    sentences, growers = wines()
    column = hub.text_embedding_column("text", text_module(tmp_path))
    classifier = api.DNNLinearCombinedClassifier(
        str(tmp_path / "model"),
        linear_feature_columns=[column],
        dnn_feature_columns=[column],
        dnn_hidden_units=[8],
        dnn_optimizer=optimizer,
        n_classes=3,
    )
    classifier.train(batches({"text": sentences}, growers), steps=5)
    serving = api.export.build_parsing_serving_input_receiver_fn(v1.feature_column.make_parse_example_spec([column]))
    path = classifier.export_saved_model(str(tmp_path / "serving"), serving)
    predict = tf.saved_model.load(path.decode()).signatures["predict"]
    examples = [example(sentence).SerializeToString() for sentence in sentences]
    expected = [row["logits"] for row in classifier.predict(batches({"text": sentences}, growers, times=1))]
    np.testing.assert_allclose(predict(tf.constant(examples))["logits"], expected, rtol=1e-5, atol=1e-6)


def seeded(folder: Path) -> Any:
    return tf_estimator.RunConfig(model_dir=str(folder), tf_random_seed=1)


def read(path: str, name: str) -> np.ndarray:
    return tf.train.load_checkpoint(f"{path}/variables/variables").get_tensor(name)


def example(sentence: str) -> tf.train.Example:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[sentence.encode()]))
    return tf.train.Example(features=tf.train.Features(feature={"text": feature}))
