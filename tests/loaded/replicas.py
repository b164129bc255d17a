"""One training step of a module in two replicas, in a process of its own: TensorFlow divides a processor only once.

`python replicas.py MODULE FOLDER` writes what it found to FOLDER/found.npz; the images are made here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

import modhub as hub

IMAGES = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype(np.float32)
RATE = 0.1


def loss_of(module: hub.LoadedModule, images: tf.Tensor) -> tf.Tensor:
    """Return the mean of the squared features, for one image after another."""
    return tf.reduce_mean(tf.square(module(images, training=True)))


def step_in_replica(module: hub.LoadedModule) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a step of SGD on the mean of the losses of two replicas."""

    def step(images: tf.Tensor) -> tf.Tensor:
        variables = module.trainable_variables
        with tf.GradientTape() as tape:
            loss = (loss_of(module, images) + tf.add_n([loss() for loss in module.regularization_losses])) / 2
        found = [(each, gradient) for each, gradient in zip(variables, tape.gradient(loss, variables), strict=True)]
        used = [(each, gradient) for each, gradient in found if gradient is not None]
        summed = tf.distribute.get_replica_context().all_reduce("SUM", [gradient for _, gradient in used])
        for (variable, _), gradient in zip(used, summed, strict=True):
            variable.assign_sub(RATE * gradient)
        return loss

    return step


def main() -> None:
    """Train, look at the module from inside and outside the strategy, and save it in both formats."""
    path, folder = sys.argv[1], Path(sys.argv[2])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        module = hub.load(path)
    # Both replicas see the same two images, so that their batch statistics are those of one device.
    images = tf.data.Dataset.from_tensor_slices(np.concatenate([IMAGES, IMAGES])).batch(4)
    (batch,) = strategy.experimental_distribute_dataset(images)
    step = step_in_replica(module)
    run = tf.function(lambda given: strategy.reduce("SUM", strategy.run(step, (given,)), axis=None))
    found = {"loss": run(batch).numpy()}
    for key, variable in module.variable_map.items():
        replicas = [replica.numpy() for replica in strategy.experimental_local_results(variable)]
        assert len(replicas) == 2, key
        found[f"variable/{key}/0"], found[f"variable/{key}/1"] = replicas
    found["outside"] = module(IMAGES).numpy()
    with strategy.scope():
        found["in the scope"] = module(IMAGES).numpy()
    inside = strategy.run(lambda given: module(given), (batch,))
    found["in a replica"] = strategy.experimental_local_results(inside)[1].numpy()
    try:
        module(IMAGES, training=True)
    except hub.errors.GraphError as error:
        found["refused"] = np.array(str(error))
    module.export(folder / "module")
    tf.saved_model.save(module, str(folder / "saved_model"))
    np.savez(folder / "found.npz", **found)


if __name__ == "__main__":
    main()
