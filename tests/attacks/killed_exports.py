"""Kills exports with SIGKILL, one child process for each point, and says what each left behind.

    python -m tests.attacks.killed_exports FOLDER POINTS > outcomes.jsonl

The points are spread evenly over the calls that an export makes, so that they fall on every file and on the writes in
the middle of one. The children are forked after the slow imports, and run no session.
"""

from __future__ import annotations

import filecmp
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

import modhub as hub
from tests.killing import count_calls, killed_at, spread, was_killed

warnings.filterwarnings("ignore", category=DeprecationWarning)  # forking beside TensorFlow's idle threads


def define(asset: str) -> None:
    x = tf.compat.v1.placeholder(tf.int64, [None])
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(asset, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string,
                                      tf.lookup.TextFileIndex.WHOLE_LINE), "?"
    )  # fmt: skip
    weights = [tf.compat.v1.get_variable(f"w{number}", [64, 64]) for number in range(8)]
    hub.add_signature(inputs=x, outputs={"word": table.lookup(x), "sum": tf.add_n(weights)})


def is_whole(directory: Path, reference: Path) -> bool:
    files = [str(path.relative_to(reference)) for path in reference.rglob("*") if path.is_file()]
    return filecmp.cmpfiles(directory, reference, files, shallow=False)[0] == files


def main(folder: Path, points: int) -> None:
    (folder / "words.txt").write_text("one\ntwo\n")
    spec = hub.create_module_spec(lambda: define(str(folder / "words.txt")))
    arrays = {f"w{number}": np.full([64, 64], number, np.float32) for number in range(8)}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.get_variable(name, initializer=array) for name, array in arrays.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        checkpoint = tf.compat.v1.train.Saver(variables).save(session, str(folder / "values"))
    reference = folder / "reference"
    spec.export(reference, checkpoint_path=checkpoint)
    total = count_calls(lambda: spec.export(folder / "counted", checkpoint_path=checkpoint))
    for number, point in enumerate(spread(points, total)):
        target = folder / f"at_{number}" / "module"
        status = killed_at(point, lambda path=target: spec.export(path, checkpoint_path=checkpoint))
        modules = [path.parent for path in target.parent.rglob("tfhub_module.pb")]
        outcome = {
            "point": point,
            "killed": was_killed(status),
            "published": target.exists(),
            "modules": len(modules),
            "whole": all(is_whole(path, reference) for path in [*modules, *([target] if target.exists() else [])]),
            "files": sum(path.is_file() for path in target.parent.rglob("*")),
        }
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
