"""What a library's feature columns make of two modules: values, and names of variables.

    python tests/columns/observed.py TEXT_MODULE IMAGE_MODULE RESULT.npz

observes tensorflow_hub 0.15.0 on TensorFlow 2.15, in an environment of its own. The module of texts takes them to
rows of three numbers, that of images is of 4 by 4 pixels.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
TEXTS = ["so easy", "", "wow", "much"]
WORDS = v1.SparseTensorValue([[0, 0], [1, 0], [1, 1], [3, 0]], ["wow", "", "so easy", "much"], [4, 2])


def observe(hub: Any, dense_features: Any, text: str, images: str) -> dict[str, np.ndarray]:
    """Apply the columns in v1 graphs; one after the other, since a graph numbers its modules."""
    pixels = np.random.default_rng(0).random([4, 4, 4, 3], np.float32)
    columns = {
        "text": (lambda: hub.text_embedding_column("x", text, True), TEXTS),
        "frozen": (lambda: hub.text_embedding_column("x", text), TEXTS),
        "image": (lambda: hub.image_embedding_column("x", images), pixels),
        **{
            f"{combiner}, {default!r}": (
                lambda combiner=combiner, default=default: hub.sparse_text_embedding_column(
                    "x", text, combiner, default, trainable=True
                ),
                WORDS,
            )
            for combiner in ("mean", "sqrtn", "sum")
            for default in (None, "none")
        },
    }
    found: dict[str, np.ndarray] = {}
    for name, (make, value) in columns.items():
        for layer in ("input_layer", "DenseFeatures"):
            with tf.Graph().as_default(), v1.Session() as session:
                column = make()
                given = tf.SparseTensor(*value) if value is WORDS else tf.constant(value)
                if layer == "input_layer":
                    output = v1.feature_column.input_layer({"x": given}, [column])
                else:
                    output = dense_features([column])({"x": given})
                session.run([v1.global_variables_initializer(), v1.tables_initializer()])
                where = f"{name} in {layer}"
                found[where] = session.run(output)
                found[f"{where}: gradients"] = np.concatenate(
                    [np.ravel(each) for each in session.run(v1.gradients(output, v1.trainable_variables()))] or [[]]
                )
                found[f"{where}: variables"] = np.array([variable.op.name for variable in v1.global_variables()])
                if value is not WORDS:  # theirs has none
                    found[f"{where}: config"] = np.array(sorted(column.get_config()))
    return found


if __name__ == "__main__":
    import tensorflow_hub

    v1.logging.set_verbosity(v1.logging.ERROR)
    np.savez(sys.argv[3], **observe(tensorflow_hub, tf.keras.layers.DenseFeatures, *sys.argv[1:3]))
