"""The TF2 half of the demo: the module that `digits.py` published, in a Keras 3 model, frozen and fine-tuned."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import modhub as hub


def learn(
    module: str,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    signature: str,
    epochs: int,
    batch: int,
    learning_rate: float,
    fine_tune: bool,
) -> keras.Model:
    """Fit a linear head on a module's features, and with `fine_tune` the module as well.

    Args:
      module: the path of a published image module.
      images: `float32 [count, height, width, 3]` in [0, 1].
      labels: class indices, `int64 [count]`.
      signature: the module's signature for feature vectors.
      epochs: how often all images are seen.
      batch: images in a step.
      learning_rate: of Adam.
      fine_tune: train the module too, by its variant for training, with its losses and update ops.
    """
    keras.utils.set_random_seed(0)
    features = hub.KerasLayer(module, trainable=fine_tune, signature=signature, output_key="default")
    head = keras.layers.Dense(int(labels.max()) + 1, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input(images.shape[1:]), features, head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"])
    model.fit(images, labels, batch_size=batch, epochs=epochs, verbose=0)
    return model


def accuracy(model: keras.Model, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of the images that a model tells right."""
    return float(np.mean(np.argmax(model.predict(images, verbose=0), axis=1) == labels))


def check_saved(model: keras.Model, images: NDArray[np.float32], folder: Path) -> None:
    """Save a model and load it, publish its module and load that, and compare what they compute."""
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    _check("the .keras file", model.predict(images, verbose=0), again.predict(images, verbose=0))
    module = model.layers[0].resolved_object
    module.export(folder / "tuned-by-keras")
    _check("the module in it, published", module(images), hub.load(folder / "tuned-by-keras")(images))
    tf.saved_model.save(module, str(folder / "saved_model"))
    _check("its SavedModel", module(images), tf.saved_model.load(str(folder / "saved_model"))(images))


def _check(what: str, expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    difference = np.max(np.abs(np.asarray(expected) - np.asarray(found)))
    if difference > 1e-5:
        raise SystemExit(f"{what} differs by {difference:.3g}.")
    print(f"   {what}: outputs equal (largest difference {difference:.2g})")
