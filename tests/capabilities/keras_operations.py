"""The operations that need Keras: a model of the library's KerasLayer and a small head."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.capabilities.kinds import Kind
from tests.capabilities.libraries import Library
from tests.capabilities.training import check_changed, check_equal, values_of

__all__ = ["keras_fit", "keras_round_trip"]


def keras_fit(library: Library, kind: Kind, _folder: Path) -> None:
    """In a model of Keras 3, `fit` leaves the weights of a frozen layer, and changes those of a trainable one."""
    keras = importlib.import_module("keras")
    for trainable in (False, True):
        model, layer = _model(keras, library, kind, trainable=trainable)
        _check_model(model, kind)
        before = values_of(layer.weights)
        _fit(model, kind)
        what = f"the weights of a {'trainable' if trainable else 'frozen'} layer"
        check_changed(before, values_of(layer.weights), changed=trainable, what=what)


def keras_round_trip(library: Library, kind: Kind, folder: Path) -> None:
    """A model that was trained one step, saved as `.keras` and loaded, predicts what it did.

    With tensorflow_hub it is a model of tf_keras, and the layer is frozen where it is of a TF1 module or a signature.
    """
    keras = importlib.import_module(library.keras)
    model, layer = _model(keras, library, kind, trainable=library.can_train(kind))
    _fit(model, kind)
    expected = _predict(model, kind)
    path = str(folder / "model.keras")
    model.save(path)
    again = keras.models.load_model(path, custom_objects={type(layer).__name__: type(layer)})
    check_equal(_predict(again, kind), expected, "the loaded model predicts something else")


def _model(keras: Any, library: Library, kind: Kind, *, trainable: bool) -> tuple[Any, Any]:
    scalars = {name: np.asarray(value).item() for name, value in kind.inputs.items() if np.ndim(value) == 0}
    inputs = {
        name: keras.Input(np.shape(value)[1:], dtype=_dtype(value), name=_legal(name))
        for name, value in _batched(kind).items()
    }
    layer = library.layer(kind, scalars, trainable=trainable)
    net = layer(next(iter(inputs.values())) if len(kind.inputs) == 1 else inputs)
    if kind.expected.ndim == 1:
        net = keras.layers.Reshape([1])(net)
    return keras.Model(list(inputs.values()), keras.layers.Dense(2, kernel_initializer="ones")(net)), layer


def _check_model(model: Any, kind: Kind) -> None:
    """Check that the layer computes in the model what it should: the head adds up, before it is trained."""
    expected = kind.expected if kind.expected.ndim > 1 else kind.expected[:, None]
    summed = np.repeat(expected.sum(-1, keepdims=True), 2, axis=-1)
    check_equal(_predict(model, kind), summed, "the model gives other outputs", rtol=1e-3, atol=1e-4)


def _fit(model: Any, kind: Kind) -> None:
    predicted = _predict(model, kind)
    dataset = tf.data.Dataset.from_tensors((_tensors(kind), tf.ones(predicted.shape)))
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = kind.rate
    model.fit(dataset, epochs=1, verbose=0, shuffle=False)


def _predict(model: Any, kind: Kind) -> np.ndarray:
    return np.asarray(model(list(_tensors(kind))))


def _batched(kind: Kind) -> dict[str, Any]:
    return {name: value for name, value in kind.inputs.items() if np.ndim(value)}


def _tensors(kind: Kind) -> tuple[tf.Tensor, ...]:
    return tuple(tf.constant(value) for value in _batched(kind).values())


def _dtype(value: Any) -> str:
    dtype = np.asarray(value).dtype
    return "string" if dtype.kind in "SO" else dtype.name


def _legal(name: str) -> str:
    return name.replace("$", "_")
