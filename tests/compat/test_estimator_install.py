"""install and attach make Estimator importable, or refuse and leave nothing behind."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from modhub import errors
from modhub.compat import estimator
from modhub.compat.estimator.absent import stand_ins
from modhub.compat.estimator.versions import check_versions
from tests.compat.estimators import batches, tf_estimator
from tests.refusals import refused

v1 = tf.compat.v1
x = np.random.default_rng(0).normal(size=[60, 3]).astype(np.float32)
y = (x.sum(axis=1) > 0).astype(np.int32)


@pytest.mark.parametrize("case", ["threads", "failures", "untouched", "names", "taken", "legacy"])
def test_in_a_process_of_its_own(case: str) -> None:
    script = str(Path(__file__).with_name("estimator_process.py"))
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1" if case == "legacy" else "0"}
    done = subprocess.run(
        [sys.executable, "-W", "error", script, case], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_second_install_does_nothing() -> None:
    before = list(sys.meta_path)
    assert estimator.install() is tf_estimator
    assert sys.meta_path == before


def test_files_that_are_imported_later_have_keras_2_too() -> None:
    late = importlib.import_module("tensorflow_estimator.python.estimator.canned.timeseries.ar_model")
    assert issubclass(late.LSTMPredictionModel, tf_keras.Model)
    again = importlib.reload(late)
    assert issubclass(again.LSTMPredictionModel, tf_keras.Model)


def test_the_versions_that_are_here_were_tried() -> None:
    check_versions()


@pytest.mark.parametrize("version", ["2.14.0", "2.15.1", "2.16.0rc0", "1.15.2"])
def test_another_estimator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    install_metadata(tmp_path, monkeypatch, "tensorflow-estimator", version)
    says = (f"has version {version}", "tensorflow-estimator 2.15.0", "pip install 'modhub[estimator]'")
    with refused(errors.MissingDependencyError, ImportError, says=says):
        check_versions()


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("2.22.0", "Install one of those"),
        ("2.22.0-dev20260101", "Install one of those"),
        ("3.0.0", "Install one of those"),
        ("2.15.1", "as tf.estimator"),
        ("1.15.0", "as tf.estimator"),
        ("unknown", "Install one of those"),
    ],
)
def test_another_tensorflow_is_refused(monkeypatch: pytest.MonkeyPatch, version: str, advice: str) -> None:
    monkeypatch.setattr(tf, "__version__", version)
    says = (f"This is TensorFlow {version}, and Estimator was tried on 2.16 to 2.21", advice)
    with refused(errors.MissingDependencyError, says=says):
        check_versions()


@pytest.mark.parametrize(("protobuf", "works"), [("7.35.0", False), ("6.33.1", True)])
def test_a_protobuf_that_fails_in_training_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protobuf: str, works: bool
) -> None:
    monkeypatch.setattr(tf, "__version__", "2.20.0")
    install_metadata(tmp_path, monkeypatch, "protobuf", protobuf)
    says = ("TensorFlow 2.20.0 fails with protobuf 7.35.0", "pip install 'protobuf<7'")
    with contextlib.nullcontext() if works else refused(errors.MissingDependencyError, says=says):
        check_versions()


def test_an_estimator_of_no_known_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with refused(errors.MissingDependencyError, says=("has version unknown (nothing says which", "no other")):
        check_versions()


def install_metadata(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str) -> None:
    """Make a package have a version, as pip would say it."""
    file = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    file.parent.mkdir()
    file.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize("package", ["tensorflow_estimator", "tf_keras"])
def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with refused(errors.MissingDependencyError, says=(package, "not installed", "pip install 'modhub[estimator]'")):
        check_versions()


def test_a_model_of_keras_2_becomes_an_estimator(tmp_path: Path) -> None:
    model = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=[3], name="dense")])
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.legacy.SGD(0.5), loss, metrics=["accuracy"])
    made = tf_keras.estimator.model_to_estimator(model, model_dir=str(tmp_path))
    made.train(batches({"dense_input": x}, y), steps=100)
    assert made.evaluate(batches({"dense_input": x}, y, times=1))["accuracy"] > 0.9
    rows = made.predict(batches({"dense_input": x}, y, times=1))
    kernel, bias = (
        made.get_variable_value(f"layer_with_weights-0/{name}/.ATTRIBUTES/VARIABLE_VALUE")
        for name in ("kernel", "bias")
    )
    np.testing.assert_allclose([row["dense"] for row in rows], x @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_what_is_made_with_keras_3_is_refused(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", minversion="3", reason="needs Keras 3")
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    says = ("Estimator works with Keras 2", "<Sequential name=", "is of Keras 3. Use a tf_keras.Model")
    for given in ((model,), ()):
        with refused(errors.InvalidArgumentError, says=says, folder=tmp_path):
            tf_keras.estimator.model_to_estimator(*given, **({} if given else {"keras_model": model}))
    api = sys.modules["tensorflow_estimator._api.v2.estimator"]
    for optimizer in (keras.optimizers.Adam(), keras.optimizers.Adam):
        column = tf.feature_column.numeric_column("x", [3])
        made = api.LinearClassifier([column], str(tmp_path), optimizer=optimizer)
        with refused(
            errors.InvalidArgumentError, says=("is of Keras 3. Use an optimizer of tf_keras.optimizers.legacy",)
        ):
            made.train(batches({"x": x}, y), steps=1)


@pytest.mark.parametrize("name", ["tpu_embedding.TPUEmbedding", "session_support.ResetComputation"])
def test_what_tpus_need_says_that_it_is_gone(name: str) -> None:
    file, _, attribute = name.partition(".")
    says = (f"tensorflow.python.tpu.{name}", tf.__version__, "use_tpu=False")
    with refused(errors.NotCoveredError, says=says):
        getattr(stand_ins("any")[f"tensorflow.python.tpu.{file}"], attribute)()


@pytest.mark.filterwarnings("ignore:.*preserve tf.data options:UserWarning")  # of TensorFlow's strategies in graphs
def test_a_strategy_of_one_process_trains(tmp_path: Path) -> None:
    mirrored = tf.distribute.MirroredStrategy(["/cpu:0"])
    config = tf_estimator.RunConfig(str(tmp_path), train_distribute=mirrored, eval_distribute=mirrored)
    column = tf.feature_column.numeric_column("x", [3])
    classifier = tf_estimator.LinearClassifier([column], config=config).train(batches({"x": x}, y), steps=50)
    assert classifier.evaluate(batches({"x": x}, y, times=1))["accuracy"] > 0.9


def test_strategies_of_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored = tf.distribute.MirroredStrategy(["/cpu:0"])
    cluster = {"chief": ["localhost:1"], "worker": ["localhost:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    with refused(errors.GraphError, RuntimeError, says=("in one process only (MirroredStrategy", "TF_CONFIG")):
        tf_estimator.RunConfig(train_distribute=mirrored)
    # Workers and parameter servers are Estimator's own business.
    assert tf_estimator.RunConfig().num_worker_replicas == 2
    monkeypatch.delenv("TF_CONFIG")
    for remote, error, says in (
        ({"remote_cluster": cluster}, errors.GraphError, "one process only"),
        ({"train_distribute": mirrored}, errors.InvalidArgumentError, "experimental_distribute.train_distribute"),
    ):
        with refused(error, says=(says,)):
            tf_estimator.RunConfig(train_distribute=mirrored, experimental_distribute=distribute(**remote))
    only = tf_estimator.RunConfig(experimental_distribute=distribute(train_distribute=mirrored))
    assert only.train_distribute is mirrored


def distribute(**given: Any) -> Any:
    """What was tf.contrib.distribute.DistributeConfig."""
    return type(
        "DistributeConfig", (), {"train_distribute": None, "eval_distribute": None, "remote_cluster": None, **given}
    )
