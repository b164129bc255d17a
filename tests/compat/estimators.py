"""A model_fn of digits that is made of a module, and the input_fns that go with it.

Whoever imports this makes Estimator importable.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import modhub as hub
from modhub.compat import estimator
from modhub.compat.latest_module_exporter import LatestModuleExporter
from tests import constructions
from tests.export.digits import features

v1 = tf.compat.v1
tf_estimator = estimator.install()
Mode = tf_estimator.ModeKeys

HEAD = np.random.default_rng(1).normal(scale=0.3, size=[16, 10])


def digits_model_fn(features_module: Any = None, name: str | None = "image/features", **options: Any) -> Any:
    """Return a model_fn that classifies what a module makes of images [batch, 64].

    Args:
      features_module: a spec or path; `tests.export.digits.features` if left out.
      name: what the module is registered as; None for not at all.
      options: more of the EstimatorSpec's.
    """

    def model_fn(features: dict[str, tf.Tensor], labels: tf.Tensor, mode: str) -> Any:
        module = hub.Module(features_module or features_spec(), trainable=mode == Mode.TRAIN)
        if name is not None:
            hub.register_module_for_export(module, name)
        found = module(features["images"])
        logits = found @ constructions.variable("head", HEAD)
        if mode == Mode.PREDICT:
            return tf_estimator.EstimatorSpec(mode, predictions={"features": found, "logits": logits}, **options)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
        if mode == Mode.EVAL:
            accuracy = v1.metrics.accuracy(labels, tf.argmax(logits, axis=1))
            return tf_estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops={"accuracy": accuracy}, **options)
        train_op = v1.train.AdamOptimizer(0.02).minimize(loss, v1.train.get_global_step())
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, **options)

    return model_fn


def features_spec() -> hub.ModuleSpec:
    return hub.create_module_spec(features)


def batches(
    features: dict[str, np.ndarray], labels: np.ndarray, times: int | None = None, size: int = 50
) -> Callable[[], tf.data.Dataset]:
    """Return an input_fn: the data in its order, `times` over or for ever."""
    return lambda: tf.data.Dataset.from_tensor_slices((features, labels)).repeat(times).batch(size)


def serving_input_fn() -> Any:
    images = v1.placeholder(tf.float32, [None, 64])
    return tf_estimator.export.ServingInputReceiver({"images": images}, {"images": images})


def exporter(name: str = "modules", exports_to_keep: int | None = 5) -> LatestModuleExporter:
    return LatestModuleExporter(name, serving_input_fn, exports_to_keep)


def trained(model_fn: Any, folder: Path, x: np.ndarray, y: np.ndarray, steps: int = 10) -> Any:
    """Return an Estimator of digits after some steps, with checkpoints of every 5th."""
    config = tf_estimator.RunConfig(model_dir=str(folder), save_checkpoints_steps=5, tf_random_seed=0)
    return tf_estimator.Estimator(model_fn, config=config).train(batches({"images": x}, y), max_steps=steps)


def predicted(of: Any, x: np.ndarray, key: str = "features", checkpoint: str | None = None) -> np.ndarray:
    """Return what an Estimator predicts for images, from its latest or another checkpoint."""
    rows = of.predict(batches({"images": x}, np.zeros(len(x)), times=1), checkpoint_path=checkpoint)
    return np.stack([row[key] for row in rows])
