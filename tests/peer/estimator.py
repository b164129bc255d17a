"""A program of Estimator and a module, run with tensorflow_hub 0.15.0 on TensorFlow 2.15 and with modhub.

    python tests/peer/estimator.py WORK

is the peer's side: it trains in `WORK/tensorflow_hub`, and notes what it saw in `WORK/seen.npz`. The data are in
`WORK/digits.npz`, because there is no scikit-learn beside it. It reads the exports in `WORK/modhub`, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STEPS, EVERY, KEPT = 40, 10, 2


def train(hub: Any, tf: Any, tf_estimator: Any, exporter_class: Any, folder: Path, data: Path) -> dict[str, Any]:
    """Train and evaluate a classifier of digits; return what can be compared, by name."""
    v1 = tf.compat.v1
    with np.load(data) as arrays:
        x, y = arrays["x"], arrays["y"]

    def input_fn(times: int | None) -> Callable[[], Any]:
        return lambda: tf.data.Dataset.from_tensor_slices(({"images": x}, y)).repeat(times).batch(50)

    def serving_input_fn() -> Any:
        images = v1.placeholder(tf.float32, [None, 64])
        return tf_estimator.export.ServingInputReceiver({"images": images}, {"images": images})

    losses = Losses(v1)
    classifier = tf_estimator.Estimator(
        model_fn(hub, tf, tf_estimator, losses),
        config=tf_estimator.RunConfig(model_dir=str(folder), save_checkpoints_steps=EVERY, tf_random_seed=0),
    )
    exporter = exporter_class("modules", serving_input_fn, exports_to_keep=KEPT)
    evaluation, exported = tf_estimator.train_and_evaluate(
        classifier,
        tf_estimator.TrainSpec(input_fn(None), max_steps=STEPS),
        tf_estimator.EvalSpec(input_fn(1), exporters=[exporter], start_delay_secs=0, throttle_secs=0),
    )
    rows = list(classifier.predict(input_fn(1)))
    return {
        "name": exporter.name,
        "losses": losses.seen,
        "accuracy": evaluation["accuracy"],
        "features": [row["features"] for row in rows],
        "variables": sorted(classifier.get_variable_names()),
        "weights": classifier.get_variable_value("module/w"),
        "returned": type(exported[0]).__name__,
        "last": os.path.relpath(os.fsdecode(exported[0]), folder) == f"export/modules/{stamps(folder)[-1]}",
        "stamps": [len(stamp) for stamp in stamps(folder)],
        "files": layout(folder / "export/modules" / stamps(folder)[-1]),
        "nothing": nothing_registered(tf, tf_estimator, exporter_class, folder),
    }


def model_fn(hub: Any, tf: Any, tf_estimator: Any, losses: Any) -> Callable[..., Any]:
    v1 = tf.compat.v1
    random = np.random.default_rng(0)
    first = {"w": random.normal(scale=0.2, size=[64, 16]), "head": random.normal(scale=0.3, size=[16, 10])}

    def variable(name: str) -> Any:
        return v1.get_variable(name, first[name].shape, initializer=v1.constant_initializer(first[name]))

    def module_fn() -> None:
        images = v1.placeholder(tf.float32, [None, 64])
        hub.add_signature(inputs=images, outputs=tf.nn.relu(tf.matmul(images, variable("w"))))

    def build(features: Any, labels: Any, mode: str) -> Any:
        module = hub.Module(hub.create_module_spec(module_fn), trainable=mode == "train")
        hub.register_module_for_export(module, "features")
        found = module(features["images"])
        logits = tf.matmul(found, variable("head"))
        if mode == "infer":
            return tf_estimator.EstimatorSpec(mode, predictions={"features": found})
        loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
        if mode == "eval":
            accuracy = v1.metrics.accuracy(labels, tf.argmax(logits, axis=1))
            return tf_estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy})
        train_op = v1.train.GradientDescentOptimizer(0.5).minimize(loss, v1.train.get_global_step())
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, training_hooks=[losses.hook(loss)])

    return build


class Losses:
    """Notes the loss of each step."""

    def __init__(self, v1: Any) -> None:
        self.seen: list[float] = []
        self._v1 = v1

    def hook(self, loss: Any) -> Any:
        train, seen = self._v1.train, self.seen

        class Hook(train.SessionRunHook):
            def before_run(self, run_context: Any) -> Any:
                return train.SessionRunArgs(loss)

            def after_run(self, run_context: Any, run_values: Any) -> None:
                seen.append(float(run_values.results))

        return Hook()


def nothing_registered(tf: Any, tf_estimator: Any, exporter_class: Any, folder: Path) -> str:
    """What an exporter returns for a model without a registered module."""
    v1 = tf.compat.v1

    def build(features: Any, labels: Any, mode: str) -> Any:
        total = tf.reduce_sum(v1.get_variable("v", initializer=1.0) * features)
        train_op = v1.train.GradientDescentOptimizer(0.5).minimize(total, v1.train.get_or_create_global_step())
        return tf_estimator.EstimatorSpec(mode, predictions=total, loss=total, train_op=train_op)

    empty = tf_estimator.Estimator(build, str(folder / "empty"))
    empty.train(lambda: tf.data.Dataset.from_tensors((1.0, 1.0)), steps=1)
    serving = tf_estimator.export.TensorServingInputReceiver
    exporter = exporter_class("none", lambda: serving(tf.constant(1.0), tf.constant(1.0)))
    returned = exporter.export(empty, str(folder / "none"), empty.latest_checkpoint(), None, False)
    return f"{returned} {(folder / 'none').exists()}"


def computed(hub: Any, tf: Any, path: Path, x: np.ndarray) -> dict[str, Any]:
    """What an exported module makes of images, in a graph and under eager execution."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        found = hub.Module(str(path))(tf.constant(x))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        in_graph = session.run(found)
    return {"graph": in_graph, "eager": hub.load(str(path)).signatures["default"](tf.constant(x))["default"].numpy()}


def stamps(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "export/modules").iterdir())


def layout(folder: Path) -> list[str]:
    """The files of an export. The peer makes a directory for assets even where there are none."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def latest(folder: Path) -> Path:
    return folder / "export/modules" / stamps(folder)[-1] / "features"


if __name__ == "__main__":
    import tensorflow as tf
    import tensorflow_hub

    v1 = tf.compat.v1
    v1.logging.set_verbosity(v1.logging.ERROR)
    work = Path(sys.argv[1])
    peers, ours = work / "tensorflow_hub", work / "modhub"
    exporter = tensorflow_hub.LatestModuleExporter
    seen = train(tensorflow_hub, tf, v1.estimator, exporter, peers, work / "digits.npz")
    with np.load(work / "digits.npz") as digits:
        for way, value in computed(tensorflow_hub, tf, latest(ours), digits["x"]).items():
            seen[f"ours {way}"] = value
    np.savez(work / "seen.npz", **{name: np.asarray(value) for name, value in seen.items()})
