"""Checks KerasLayer in tf_keras, in a process where TF_USE_LEGACY_KERAS=1; prints what held as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests import constructions
from tests.keras.modules import X, Y, active, published, reusable, scaled, sparse, words
from tests.keras.test_training import RATE, stepped

keras = tf.keras


def fitted(layer: keras.layers.Layer) -> keras.Model:
    """A model of the layer after one step."""
    x = keras.Input([2])
    model = keras.Model(x, layer(x))
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(X, Y, batch_size=8, verbose=0)
    return model


def equal(one: list[np.ndarray], two: list[np.ndarray]) -> bool:
    """Whether all arrays are equal, bit by bit."""
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(one, two, strict=True))


def training(folder: Path) -> dict[str, bool]:
    """Fit is the step by hand; a frozen layer stays."""
    found = {}
    for construction in (constructions.affine, constructions.normalizing_spec, active):
        name = construction.__name__
        path = published(folder, construction)
        layer = hub.KerasLayer(path, trainable=True)
        model = fitted(layer)
        found[f"{name}: step"] = all(
            np.allclose(ours, theirs, rtol=1e-6)
            for ours, theirs in zip(layer.resolved_object.variables, stepped(path).variables, strict=True)
        )
        layer(X, training=True)
        depending = int(construction is active)
        found[f"{name}: losses"] = len(layer.losses) == len(layer.resolved_object.regularization_losses) + depending
        model.save(folder / "model.keras")
        loaded = keras.models.load_model(folder / "model.keras")
        found[f"{name}: .keras"] = equal(model.get_weights(), loaded.get_weights()) and equal(
            [model(X).numpy()], [loaded(X).numpy()]
        )
        model.trainable = False
        model.compile("sgd", "mse")
        before = model.get_weights()
        model.fit(X, Y, verbose=0)
        found[f"{name}: frozen"] = equal(before, model.get_weights()) and not model.losses
        with tf.GradientTape() as tape:
            layer(X)
        found[f"{name}: not watched"] = not tape.watched_variables()
    layer = hub.KerasLayer(folder / "normalizing_spec", trainable=True)
    found["lists"] = len(layer.trainable_weights) == len(layer.non_trainable_weights) == 1
    layer.trainable = False
    found["lists, frozen"] = not layer.trainable_weights and len(layer.weights) == 2
    return found


def calls(folder: Path) -> dict[str, bool]:
    """Strings, sparse tensors, arguments, shapes."""
    found = {"class": issubclass(hub.KerasLayer, keras.layers.Layer)}
    layer = hub.KerasLayer(words(folder), input_shape=[], dtype=tf.string)
    model = keras.Sequential([layer])
    found["strings"] = model.predict(tf.constant(["c", "?"]), verbose=0).tolist() == [2, -1]
    found["a list"] = layer(["a"]).numpy().tolist() == [0]
    x = keras.Input([3], sparse=True)
    model = keras.Model(x, hub.KerasLayer(published(folder, sparse))(x))
    found["sparse"] = model(tf.sparse.from_dense(np.eye(3, dtype=np.float32))).numpy().tolist() == [[1.0], [2.0], [3.0]]
    path = published(folder, scaled)
    layer = hub.KerasLayer(path, signature="by", arguments={"scale": 3.0}, output_shape=[2])
    found["arguments"] = np.allclose(layer(X), 3 * X * [1.0, 2.0])
    found["shape"] = layer.compute_output_shape((4, 2)) == [4, 2] and layer(keras.Input([2])).shape == [None, 2]
    again = hub.KerasLayer.from_config(layer.get_config())
    found["config"] = again.get_config() == layer.get_config() and again.get_config()["arguments"] == {"scale": 3.0}
    found["repr"] = "tf_keras" in repr(layer)
    try:
        hub.KerasLayer(path, output_key="no")
    except errors.UnknownOutputError:
        found["output_key"] = True
    return found


def saved_models(folder: Path) -> dict[str, bool]:
    """A TF2 SavedModel trains and is saved."""
    layer = hub.KerasLayer(reusable(folder), trainable=True, output_key="default")
    model = fitted(layer)
    found = {"calls": layer.resolved_object.calls.numpy() == 1, "loss": len(model.losses) == 1}
    found["trained"] = not np.array_equal(layer.resolved_object.w, constructions.WEIGHTS)
    model.save(folder / "model.keras")
    found["saved"] = equal([model(X).numpy()], [keras.models.load_model(folder / "model.keras")(X).numpy()])
    tf.saved_model.save(model, str(folder / "exported"))
    served = tf.saved_model.load(str(folder / "exported"))
    found["exported"] = np.allclose(served(X), model(X))
    return {f"TF2: {name}": bool(passed) for name, passed in found.items()}


def frozen(folder: Path) -> dict[str, bool]:
    """What is frozen stays so, also in a file; losses are there once. After `training`, which published the modules."""
    found = {}
    path = str(folder / "affine")
    for first in (False, True):
        layer = hub.KerasLayer(path, trainable=first)
        layer.resolved_object.freeze("w")
        for trainable in (True, False, True):
            layer.trainable = trainable
            with tf.GradientTape() as tape:
                layer(X)
            names = [["b:0"] * trainable]
            found[f"{first}, {trainable}"] = (
                [[weight.name for weight in layer.trainable_weights]] == names
                and [[weight.name for weight in tape.watched_variables()]] == names
                and len(layer.weights) == 2
            )
    model = fitted(layer)
    found["trained"] = np.array_equal(layer.resolved_object.variable_map["w"], constructions.WEIGHTS)
    found["trained, b"] = not np.array_equal(layer.resolved_object.variable_map["b"], constructions.BIAS)
    model.save(folder / "model.keras")
    for name, copy in (
        ("file", keras.models.load_model(folder / "model.keras")),
        ("clone", keras.models.clone_model(model)),
    ):
        found[name] = [weight.name for weight in copy.trainable_weights] == ["b:0"] and len(copy.weights) == 2
    try:
        model.save(str(folder / "directory"))
    except errors.ExportError as error:
        found["directory"] = "model.save('model.keras')" in str(error)
    layer.resolved_object.freeze()
    try:
        fitted(layer)
    except errors.InvalidArgumentError as error:
        found["all"] = "are frozen" in str(error)
    module = hub.load(folder / "active")
    layers = [hub.KerasLayer(module, trainable=True) for _ in range(2)]
    x = keras.Input([2])
    model = keras.Model(x, keras.layers.Average()([layer(x) for layer in layers]))
    found["shared: weights"] = len(model.trainable_weights) == 1
    found["shared: losses"] = len(model.losses) == 1 and len(keras.Sequential([layers[1]]).losses) == 1
    model.save(folder / "shared.keras")
    again = keras.models.load_model(folder / "shared.keras")
    found["shared: file"] = equal([model(X).numpy()], [again(X).numpy()])
    model.trainable = False
    found["shared: no losses"] = not model.losses
    return {f"frozen: {name}": bool(passed) for name, passed in found.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(json.dumps({**training(folder), **calls(folder), **saved_models(folder), **frozen(folder)}))
