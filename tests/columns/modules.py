"""Modules that the tests of feature columns are made on, and what they compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import modhub as hub
from tests import constructions

v1 = tf.compat.v1
TABLE = np.arange(15, dtype=np.float32).reshape(5, 3) / 4 - 1
PROJECTION = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
TEXTS = ["so easy", "", "wow", "so easy", "much"]


def lengths() -> None:
    """text [batch] -> rows of a [5, 3] table, by the length of the text; an L2 loss on the table."""
    text = v1.placeholder(tf.string, [None], name="text")
    table = constructions.variable("table", TABLE)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(table * table))
    # In two steps, since the gradient of tf.gather is sparse.
    chosen = tf.one_hot(tf.strings.length(text) % 5, 5)
    hub.add_signature(inputs=text, outputs=tf.matmul(chosen, table))


def rows(texts: list[str]) -> np.ndarray:
    """What `lengths` makes of texts."""
    return TABLE[[len(text) % 5 for text in texts]]


def pooled(size: int | None = 4, attached: int | None = None) -> Callable[[], None]:
    """Images [batch, size, size, 3] -> their mean over the pixels @ w."""

    def module_fn() -> None:
        images = v1.placeholder(tf.float32, [None, size, size, 3], name="images")
        if attached:
            info = hub.ImageModuleInfo()
            info.default_image_size.height = info.default_image_size.width = attached
            hub.attach_image_module_info(info)
        w = constructions.variable("w", PROJECTION)
        hub.add_signature(inputs={"images": images}, outputs=tf.matmul(tf.reduce_mean(images, [1, 2]), w))

    return module_fn


def published(folder: Path, module_fn: Callable[[], Any] = lengths) -> str:
    """Publish a module_fn; return the path."""
    path = folder / "module"
    hub.create_module_spec(module_fn).export(str(path))
    return str(path)


class Lengths(tf.Module):
    """A TF2 model like `lengths`, and as a dict with two entries."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(TABLE, name="table")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, text: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.one_hot(tf.strings.length(text) % 5, 5), self.table)


class Several(Lengths):
    """The same, with several outputs."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.matmul(tf.one_hot(tf.strings.length(text) % 5, 5), self.table)
        return {"vectors": found, "lengths": tf.strings.length(text)}
