"""Trains models with a KerasLayer on two virtual CPUs, in a process of its own; prints what came out as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.keras.modules import X, Y, published, reusable


def trained(path: str, **options: object) -> tuple[keras.Model, list[list[float]]]:
    """A model after two epochs, and the values of the layer's weights."""
    layer = hub.KerasLayer(path, trainable=True, **options)
    model = keras.Sequential([keras.Input([2]), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return model, [value.tolist() for value in layer.get_weights()]


def main(construction: str, folder: Path) -> dict[str, object]:
    """Train with and without a strategy."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    if construction == "reusable":
        path, options = reusable(folder), {"output_key": "default"}
    else:
        path, options = published(folder, getattr(constructions, construction)), {}
    with strategy.scope():
        model, mirrored = trained(path, **options)
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    saved = all(np.allclose(one, two) for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True))
    return {"mirrored": mirrored, "alone": trained(path, **options)[1], "saved": saved}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
