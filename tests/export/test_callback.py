"""ModuleExportCallback publishes what fit has trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from modhub.export.callback import ModuleExportCallback
from tests import constructions
from tests.export.digits import computed, data, published, stamps
from tests.refusals import refused

X = np.arange(16, dtype=np.float32).reshape(8, 2) / 8
Y = np.ones([8, 2], np.float32)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return constructions.publish(constructions.affine, tmp_path / "affine")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "exports"


def model_of(*layers: keras.Layer, metrics: Any = ()) -> keras.Model:
    model = keras.Sequential(list(layers))
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=list(metrics))
    return model


def told(callback: ModuleExportCallback, layer: keras.Layer, logs: list[dict[str, Any]]) -> list[int]:
    """Tell the callback of epochs whose logs are these; return those after which it exported."""
    callback.set_model(model_of(layer))
    callback.on_train_begin()
    exported = []
    for epoch, each in enumerate(logs):
        before = callback.last_export
        callback.on_epoch_end(epoch, each)
        if callback.last_export != before:
            exported.append(epoch)
    return exported


def test_a_classifier_of_digits(tmp_path: Path, base: Path) -> None:
    x, y = data()
    path = published(tmp_path)
    keras.utils.set_random_seed(0)
    layer = hub.KerasLayer(path, trainable=True, name="features")
    model = keras.Sequential([layer, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    latest = ModuleExportCallback(base / "latest", exports_to_keep=2)
    best = ModuleExportCallback(base / "best", save_best_only=True, monitor="val_accuracy", exports_to_keep=None)
    history = model.fit(
        x[:200], y[:200], epochs=6, verbose=0, validation_data=(x[200:], y[200:]), callbacks=[latest, best]
    ).history
    assert history["accuracy"][-1] > 0.8
    assert len(stamps(base / "latest")) == 2
    bests = np.maximum.accumulate(history["val_accuracy"])
    assert len(stamps(base / "best")) == len(set(bests))
    assert best.best == bests[-1]
    for output in computed(f"{latest.last_export}/features", x):
        np.testing.assert_allclose(output, layer(x), rtol=1e-4, atol=1e-5)
    assert not np.allclose(computed(path, x)[0], layer(x), atol=0.1)


def test_each_epoch_is_exported(base: Path, path: str) -> None:
    layer = hub.KerasLayer(path, trainable=True, name="affine")
    values = []
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: values.append(layer(X).numpy()))
    callback = ModuleExportCallback(base, exports_to_keep=None)
    model_of(layer).fit(X, Y, epochs=3, verbose=0, callbacks=[callback, seen])
    assert callback.last_export == str(base / stamps(base)[-1])
    for name, expected in zip(stamps(base), values, strict=True):
        np.testing.assert_allclose(hub.load(str(base / name / "affine"))(X), expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(values[0], values[2])


def test_layers_of_models_in_models(base: Path, path: str) -> None:
    module = hub.load(path)
    inner = keras.Sequential([hub.KerasLayer(module, name="deep"), keras.layers.Dense(2)], name="inner")
    inputs = keras.Input([2])
    outputs = hub.KerasLayer(path, trainable=True, name="last")(inner(hub.KerasLayer(path, name="first")(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    callback = ModuleExportCallback(base)
    model.fit(X, Y, verbose=0, callbacks=[callback])
    assert stamps(Path(callback.last_export)) == ["deep", "first", "last"]


def test_modules_that_are_given(base: Path, path: str) -> None:
    class Wrapped(keras.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = hub.KerasLayer(path, trainable=True)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer, other = Wrapped(), hub.load(path)
    model = model_of(layer)
    with refused(
        errors.InvalidArgumentError, says=("none is a hub.KerasLayer", "['wrapped", "modules={'name': layer}")
    ):
        model.fit(X, Y, verbose=0, callbacks=[ModuleExportCallback(base)])
    callback = ModuleExportCallback(base, {"text/inner": layer.inner, "other": other})
    model.fit(X, Y, verbose=0, callbacks=[callback])
    for name, module in (("text/inner", layer.inner.resolved_object), ("other", other)):
        np.testing.assert_allclose(hub.load(f"{callback.last_export}/{name}")(X), module(X), rtol=1e-6)


def test_two_layers_of_one_name(base: Path, path: str) -> None:
    inner = keras.Sequential([hub.KerasLayer(path, name="same")])
    model = model_of(inner, hub.KerasLayer(path, trainable=True, name="same"))
    with refused(errors.InvalidArgumentError, says=("two layers called 'same'",)):
        model.fit(X, Y, verbose=0, callbacks=[ModuleExportCallback(base)])
    assert not base.exists()


@pytest.mark.parametrize(
    ("options", "values", "exported"),
    [
        ({}, [3.0, 4.0, 2.0, 2.0, 1.0], [0, 2, 4]),
        ({"mode": "max"}, [3.0, 4.0, 2.0, 4.0, 4.5], [0, 1, 4]),
        ({"mode": "min"}, [3.0, float("nan"), 2.0], [0, 2]),
        ({"mode": "min"}, [float("nan"), 3.0, 4.0], [1]),
        ({"initial_value_threshold": 2.5}, [3.0, 2.5, 2.0, 2.2], [2]),
        ({"mode": "max", "initial_value_threshold": 0}, [-1.0, 0.0, 1.0], [2]),
        ({}, [np.float32(3.0), tf.constant(2.0), np.array(2.5)], [0, 1]),
        ({}, [float("inf"), 1.0], [0, 1]),
        ({"save_best_only": False}, [3.0, 4.0], [0, 1]),
    ],
)
def test_the_best_epochs(base: Path, path: str, options, values, exported) -> None:
    callback = ModuleExportCallback(base, **{"save_best_only": True, **options})
    assert told(callback, hub.KerasLayer(path), [{"val_loss": value} for value in values]) == exported


@pytest.mark.parametrize("options", [{}, {"mode": "max"}, {"mode": "min", "initial_value_threshold": 2.5}])
def test_keras_finds_the_same_epochs_best(base: Path, path: str, tmp_path: Path, options) -> None:
    logs = [{"val_loss": value} for value in [3.0, 4.0, 2.0, 2.0, 5.0, 1.0, -1.0, 5.0]]
    layer = hub.KerasLayer(path, trainable=True)
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.weights.h5", save_weights_only=True, save_best_only=True, **options
    )
    model = model_of(layer)
    model(X)
    checkpoint.set_model(model)
    for epoch, each in enumerate(logs):
        checkpoint.on_epoch_end(epoch, each)
    saved = sorted(int(path.name.split(".")[0]) - 1 for path in tmp_path.glob("*.weights.h5"))
    assert told(ModuleExportCallback(base, save_best_only=True, **options), layer, logs) == saved
    assert len(saved) > 1


def test_the_best_of_an_earlier_fit_counts(base: Path, path: str) -> None:
    layer = hub.KerasLayer(path)
    callback = ModuleExportCallback(base, save_best_only=True)
    assert told(callback, layer, [{"val_loss": 1.0}]) == [0]
    assert told(callback, layer, [{"val_loss": 2.0}, {"val_loss": 0.5}]) == [1]
    assert callback.best == 0.5


def test_epochs_without_the_value(base: Path, path: str) -> None:
    callback = ModuleExportCallback(base, save_best_only=True)
    with pytest.warns(
        UserWarning, match="'val_loss' is not in the logs, so the epoch is exported. Known values: 'loss'"
    ):
        assert told(callback, hub.KerasLayer(path), [{"loss": 9.0}]) == [0]
    # From the first value on they say nothing, as with validation_freq=2, and are not the best.
    assert told(callback, hub.KerasLayer(path), [{"val_loss": 2.0}, {"loss": 1.0}, {"val_loss": 1.0}]) == [0, 2]


@pytest.mark.parametrize(
    ("metric", "monitor", "better"),
    [
        ("accuracy", "val_accuracy", "max"),
        (keras.metrics.AUC(name="area"), "val_area", "max"),
        ("mae", "mae", "min"),
        ("mae", "loss", "min"),
        ("mae", "head_loss", "min"),
    ],
)
def test_which_way_a_metric_is_better(base: Path, path: str, metric, monitor, better) -> None:
    model = model_of(hub.KerasLayer(path, trainable=True), metrics=[metric])
    callback = ModuleExportCallback(base, save_best_only=True, monitor=monitor, exports_to_keep=None)
    callback.set_model(model)
    callback.on_train_begin()
    model.evaluate(X, Y > 0, verbose=0)  # which builds the metrics
    for value in (2.0, 3.0, 1.0):
        callback.on_epoch_end(0, {monitor: value})
    assert callback.best == (3.0 if better == "max" else 1.0)
    assert len(stamps(base)) == 2


def test_a_metric_that_does_not_say(base: Path, path: str) -> None:
    def mine(y_true: Any, y_pred: Any) -> Any:
        return y_pred - y_true

    model = model_of(hub.KerasLayer(path, trainable=True), metrics=[mine])
    for options, says in (({"monitor": "mine"}, "pass mode='max' or mode='min'"), ({"monitor": "other"}, "'other'")):
        callback = ModuleExportCallback(base, save_best_only=True, **options)
        logger = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(other=1.0))
        with refused(errors.InvalidArgumentError, ValueError, says=(says,)):
            model.fit(X, Y, verbose=0, callbacks=[logger, callback])
    assert not base.exists()


@pytest.mark.parametrize("value", [np.zeros(2), "low", [1.0]])
def test_a_value_that_is_no_number(base: Path, path: str, value) -> None:
    callback = ModuleExportCallback(base, save_best_only=True)
    with refused(errors.InvalidArgumentError, says=("told by one number", "'val_loss'")):
        told(callback, hub.KerasLayer(path), [{"val_loss": value}])
    assert not base.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "maximum"}, "Did you mean 'max'"),
        ({"mode": None}, "There is no mode None"),
        ({"monitor": 3}, "3 is not"),
        ({"monitor": ""}, "'' is not"),
        ({"exports_to_keep": 0}, "must be a positive number"),
        ({"initial_value_threshold": "0"}, "has to be a number or None; '0'"),
        ({"initial_value_threshold": float("nan")}, "has to be a number or None; nan"),
        ({"save_best_only": "loss"}, "neither True nor False"),
        ({"base_dir": "s3://bucket"}, "'s3://bucket' was given"),
        ({"modules": {}}, "the dict of modules is empty"),
        ({"modules": {"a": keras.layers.Dense(1)}}, "hub.KerasLayer of one"),
    ],
)
def test_arguments_that_are_refused(base: Path, options, says) -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=(says,)):
        ModuleExportCallback(**{"base_dir": base, **options})
    assert not base.exists()


def test_a_module_of_a_graph_is_refused(base: Path, graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(constructions.affine))
    with refused(errors.InvalidArgumentError, says=("hub.ModuleExportHook", "'affine'")):
        ModuleExportCallback(base, {"affine": module})


def test_replicas_of_a_strategy(base: Path, path: str) -> None:
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        layer = hub.KerasLayer(path, trainable=True, name="affine")
        model = model_of(layer)
    callback = ModuleExportCallback(base)
    model.fit(X, Y, verbose=0, callbacks=[callback])
    np.testing.assert_allclose(hub.load(f"{callback.last_export}/affine")(X), layer(X), rtol=1e-5, atol=1e-6)


LEGACY = """
import json, sys, numpy as np, tensorflow as tf, modhub as hub
from modhub.export.callback import ModuleExportCallback
layer = hub.KerasLayer(sys.argv[1], trainable=True, name="affine")
model = tf.keras.Sequential([layer])
model.compile("sgd", "mse", metrics=["accuracy"])
x = np.ones([8, 2], np.float32)
found = []
for options in ({}, {"save_best_only": True, "monitor": "accuracy"}):
    callback = ModuleExportCallback(sys.argv[2], **options)
    model.fit(x, x, verbose=0, callbacks=[callback])
    found.append(np.allclose(hub.load(callback.last_export + "/affine")(x), layer(x)))
print(json.dumps([type(callback).__mro__[1].__module__.split(".")[0], *found]))
"""


def test_tf_keras(base: Path, path: str) -> None:
    pytest.importorskip("tf_keras", reason="needs Keras 2: pip install tf_keras")
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", LEGACY, path, str(base)], capture_output=True, text=True, timeout=300, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout) == ["tf_keras", True, True]
