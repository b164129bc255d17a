"""Modules and SavedModels that the tests of KerasLayer are made on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import modhub as hub
from tests import constructions

v1 = tf.compat.v1
X = np.arange(16, dtype=np.float32).reshape(8, 2) / 8
Y = np.ones([8, 2], np.float32)


def published(folder: Path, construction: Callable[[], Any] = constructions.affine) -> str:
    """Publish a module_fn, or `constructions.normalizing_spec`; return the path."""
    path = folder / construction.__name__
    made = construction() if construction is constructions.normalizing_spec else hub.create_module_spec(construction)
    made.export(str(path))
    return str(path)


def words(folder: Path) -> str:
    """Publish words [batch] -> line numbers in a vocabulary; return the path."""
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("a\nb\nc\n")
    hub.create_module_spec(constructions.lookup(vocabulary)).export(str(folder / "words"))
    vocabulary.unlink()
    return str(folder / "words")


def active() -> None:
    """x [batch, 2] -> x @ w, with a loss on w and one on the outputs."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w = constructions.variable("w", constructions.WEIGHTS)
    y = tf.matmul(x, w)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(w))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(y))
    hub.add_signature(inputs=x, outputs=y)


def scaled() -> None:
    """x [batch, 2], scale [] -> x * w * scale as "default", and x * w as "raw"."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    scale = v1.placeholder(tf.float32, [], name="scale")
    raw = x * constructions.variable("scope/w", [1.0, 2.0])
    hub.add_signature("by", inputs={"x": x, "scale": scale}, outputs={"default": raw * scale, "raw": raw})
    hub.add_signature(inputs=x, outputs={"default": raw, "twice": 2.0 * raw})


def sparse() -> None:
    """A sparse x [batch, 3] -> x @ w."""
    x = v1.sparse_placeholder(tf.float32, [None, 3])
    hub.add_signature(
        inputs=x, outputs=tf.sparse.sparse_dense_matmul(x, constructions.variable("w", [[1.0], [2.0], [3.0]]))
    )


def ragged() -> None:
    """Rows of numbers -> w * their sums."""
    x = v1.ragged.placeholder(tf.float32, 1, [])
    hub.add_signature(inputs=x, outputs=tf.reduce_sum(x, 1) * constructions.variable("w", 2.0))


class Reusable(tf.Module):
    """A TF2 model: x -> {"default": x @ w * scale}; counts its calls with training=True; one loss."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(constructions.WEIGHTS, name="w")
        self.calls = tf.Variable(0.0, trainable=False, name="calls")
        self.regularization_losses = [tf.function(lambda: tf.reduce_sum(self.w), input_signature=[])]

    @tf.function
    def __call__(self, x: tf.Tensor, training: bool = False, scale: Any = 1.0) -> dict[str, tf.Tensor]:
        if training:
            self.calls.assign_add(1.0)
        return {"default": tf.matmul(x, self.w) * scale}


def reusable(folder: Path) -> str:
    """Save `Reusable`, with one signature; return the path."""
    model = Reusable()
    x = tf.TensorSpec([None, 2], tf.float32, name="x")
    for training in (False, True):
        model.__call__.get_concrete_function(x, training=training, scale=tf.TensorSpec([], tf.float32))
    serve = tf.function(lambda x: {"y": tf.matmul(x, model.w)}).get_concrete_function(x)
    tf.saved_model.save(model, str(folder / "reusable"), signatures={"serving_default": serve})
    return str(folder / "reusable")
