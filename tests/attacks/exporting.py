"""Exports one module after the other from a session, until it is killed: exporting.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

import modhub as hub


def module_fn() -> None:
    # More than 16 MiB, so that two ops write and a third merges.
    weights = [
        tf.compat.v1.get_variable(f"w{number}", initializer=tf.fill([1100, 1000], float(number))) for number in range(4)
    ]
    hub.add_signature(outputs=tf.add_n(weights))


def main(folder: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        module = hub.Module(hub.create_module_spec(module_fn))
        session.run(tf.compat.v1.global_variables_initializer())
        for number in range(500):
            module.export(folder / f"module_{number}", session)
            print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
