"""Kills Estimators with SIGKILL while they export, one child process for each call, and says what each left behind.

    python -m tests.attacks.killed_estimator FOLDER > outcomes.jsonl

Each child trains and evaluates, exports after its 1st step, and is killed while it writes its export after the 2nd, at
one of the calls that Python makes to the file system for that; the last is not killed. The parent runs no session.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

import modhub as hub
from modhub.compat import latest_module_exporter
from modhub.compat.latest_module_exporter import LatestModuleExporter
from tests import constructions
from tests.compat.estimators import batches, tf_estimator
from tests.killing import ended, forked, was_killed

v1 = tf.compat.v1


def model_fn(features: Any, labels: Any, mode: str) -> Any:
    """A module that adds 8 variables [64, 64] to a number; each step takes 1 from all of them."""

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        weights = [constructions.variable(f"w{number}", np.full([64, 64], number)) for number in range(8)]
        hub.add_signature(inputs=x, outputs=x + tf.reduce_sum(tf.add_n(weights)))

    module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
    hub.register_module_for_export(module, "sum")
    loss = tf.reduce_mean(module(features["x"]))
    train_op = v1.train.GradientDescentOptimizer(1.0).minimize(loss, v1.train.get_or_create_global_step())
    return tf_estimator.EstimatorSpec(mode, predictions=loss, loss=loss, train_op=train_op)


def serving_input_fn() -> Any:
    x = v1.placeholder(tf.float32, [None])
    return tf_estimator.export.ServingInputReceiver({"x": x}, x)


class Watched(LatestModuleExporter):
    """An exporter whose second export writes under the eyes of `watch`."""

    def __init__(self, watch: Callable[[Callable[[], Any]], Any]) -> None:
        super().__init__("modules", serving_input_fn)
        self._watch, self._exports = watch, 0

    def export(self, *args: Any, **kwargs: Any) -> bytes | None:
        self._exports += 1
        if self._exports != 2:
            return super().export(*args, **kwargs)
        # Not while the model is built again, which takes most of the calls and writes nothing.
        watched = functools.partial(self._watched, latest_module_exporter.export_latest)
        with mock.patch.object(latest_module_exporter, "export_latest", watched):
            return super().export(*args, **kwargs)

    def _watched(self, export: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._watch(lambda: export(*args, **kwargs))


def train_and_evaluate(
    folder: Path, watch: Callable[[Callable[[], Any]], Any] = lambda export: export(), max_steps: int = 2
) -> None:
    config = tf_estimator.RunConfig(model_dir=str(folder), save_checkpoints_steps=1, save_summary_steps=None)
    input_fn = batches({"x": np.zeros(1, np.float32)}, np.zeros(1))
    evaluation = tf_estimator.EvalSpec(input_fn, steps=1, exporters=Watched(watch), start_delay_secs=0, throttle_secs=0)
    tf_estimator.train_and_evaluate(
        tf_estimator.Estimator(model_fn, config=config),
        tf_estimator.TrainSpec(input_fn, max_steps=max_steps),
        evaluation,
    )


def calling(act: Callable[[int], None]) -> Callable[[Callable[[], Any]], Any]:
    """Return a `watch` that has something done at each call of the file system, which it numbers."""

    def watch(export: Callable[[], Any]) -> Any:
        calls, active = 0, True

        def hook(event: str, _: Any) -> None:
            nonlocal calls
            if active and event.startswith(("open", "os.")):
                calls += 1
                act(calls)

        sys.addaudithook(hook)  # which nothing takes away again
        try:
            return export()
        finally:
            active = False

    return watch


def die(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


def count_calls(folder: Path) -> int:
    """Return how many calls an export makes; `folder` gets the model of a training that nobody kills."""
    calls: list[int] = []

    def counted() -> None:
        train_and_evaluate(folder, calling(calls.append))
        (folder / "calls").write_text(str(len(calls)))

    assert ended(forked(counted)) == 0
    return int((folder / "calls").read_text())


def outcome(folder: Path, status: int) -> dict[str, Any]:
    """What is in the directory of exports: the sums of the weights of each that is whole, and how much else."""
    base = folder / "export/modules"
    exports = sorted(path for path in base.iterdir() if not path.name.startswith("."))
    return {
        "killed": was_killed(status),
        "sums": [total(path / "sum") for path in exports],
        "signatures": [[each.name for each in hub.inspect(path / "sum").variants[0].signatures] for path in exports],
        "partial": sum(path.name.endswith(".partial") for path in base.iterdir()),
        "files": sum(path.is_file() for path in base.rglob("*")),
    }


def total(module: Path) -> int:
    values = tf.train.load_checkpoint(str(module / "variables/variables"))
    return round(sum(values.get_tensor(f"w{number}").sum(dtype=np.float64) for number in range(8)))


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # forking beside TensorFlow's idle threads
    v1.logging.set_verbosity(v1.logging.ERROR)
    for call in range(1, count_calls(folder / "counted") + 2):
        model = folder / f"at_{call}"
        status = ended(forked(lambda at=call, path=model: train_and_evaluate(path, calling(lambda n: die(n == at)))))
        print(json.dumps({"folder": str(model), **outcome(model, status)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
