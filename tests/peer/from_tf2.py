"""What tensorflow_hub 0.15.0 computes with modules that modhub's export_module wrote.

    python tests/peer/from_tf2.py FOLDER

loads each `FOLDER/<name>/module`, applies both variants to `inputs.npz`, and writes what it saw to `seen.npz`: outputs,
and after one step of training with the update ops, every variable.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

v1 = tf.compat.v1


def observe(folder: Path) -> dict[str, np.ndarray]:
    """Return the outputs of the variant for inference, and what a step of training leaves."""
    inputs = dict(np.load(folder / "inputs.npz"))
    seen: dict[str, np.ndarray] = {}
    tags = hub.load_module_spec(str(folder / "module")).get_tags()
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(str(folder / "module"))
        outputs = module(inputs, as_dict=True)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        seen.update({f"output {name}": value for name, value in session.run(outputs).items()})
    if {"train"} not in tags:
        return seen
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(str(folder / "module"), tags={"train"}, trainable=True)
        loss = tf.reduce_sum(module(inputs) ** 2) + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        session.run(step)
        seen.update({f"variable {name}": value for name, value in session.run(module.variable_map).items()})
    return seen


if __name__ == "__main__":
    v1.logging.set_verbosity(v1.logging.ERROR)
    for path in sorted(Path(sys.argv[1]).iterdir()):
        np.savez(path / "seen.npz", **observe(path))
