"""LatestModuleExporter publishes what Estimator trains, and keeps the newest."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from modhub.compat.latest_module_exporter import LatestModuleExporter
from tests import constructions
from tests.compat import estimators
from tests.compat.estimators import batches, digits_model_fn, exporter, predicted, serving_input_fn, tf_estimator
from tests.export.digits import computed, data, stamps
from tests.refusals import refused

v1 = tf.compat.v1


def test_training_and_evaluating_exports_at_each_checkpoint(tmp_path: Path) -> None:
    x, y = data()
    config = tf_estimator.RunConfig(model_dir=str(tmp_path), save_checkpoints_steps=20, tf_random_seed=0)
    classifier = tf_estimator.Estimator(digits_model_fn(), config=config)
    made = exporter("modules", exports_to_keep=2)
    exported = noted(made)
    evaluation, exports = tf_estimator.train_and_evaluate(
        classifier,
        tf_estimator.TrainSpec(batches({"images": x[:250]}, y[:250]), max_steps=80),
        tf_estimator.EvalSpec(
            batches({"images": x[250:]}, y[250:], times=1), exporters=[made], start_delay_secs=0, throttle_secs=0
        ),
    )
    assert evaluation["accuracy"] > 0.8
    assert len(exported) >= 4
    assert exports == exported[-1:]
    assert stamps(tmp_path / "export/modules") == [os.path.basename(os.fsdecode(path)) for path in exported[-2:]]
    expected = predicted(classifier, x)
    assert np.abs(expected).max() > 0.1
    for found in computed(os.fsdecode(exports[0]) + "/image/features", x):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def noted(made: LatestModuleExporter) -> list[bytes]:
    """Return a list that gets what each export returns."""
    exported: list[bytes] = []
    export = made.export

    def noting(*args: Any, **kwargs: Any) -> bytes:
        path = export(*args, **kwargs)
        assert path is not None
        exported.append(path)
        return path

    made.export = noting  # type: ignore[method-assign]
    return exported


def test_a_checkpoint_is_exported_by_its_path(tmp_path: Path) -> None:
    x, y = data()
    classifier = estimators.trained(digits_model_fn(name="features"), tmp_path / "model", x, y)
    early, late = f"{tmp_path}/model/model.ckpt-5", classifier.latest_checkpoint()
    for checkpoint, given in ((early, {"checkpoint_path": early}), (late, {})):
        path = exporter().export(classifier, str(tmp_path / "exports"), **given)
        found = computed(f"{os.fsdecode(path)}/features", x)
        expected = predicted(classifier, x, checkpoint=checkpoint)
        np.testing.assert_allclose(found, [expected, expected], rtol=1e-5, atol=1e-5)
    assert np.abs(predicted(classifier, x, checkpoint=early) - predicted(classifier, x)).max() > 0.01


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_a_path_is_returned_as_bytes_whatever_was_given(tmp_path: Path, kind: Any) -> None:
    x, y = data()
    classifier = estimators.trained(digits_model_fn(), tmp_path / "model", x, y, steps=1)
    path = exporter().export(classifier, kind(str(tmp_path / "exports")), None, {"loss": 1.0}, True)
    assert isinstance(path, bytes)
    assert os.fsdecode(path) == str(tmp_path / "exports" / stamps(tmp_path / "exports")[-1])


def test_the_saver_of_a_scaffold_says_which_values(tmp_path: Path) -> None:
    x, y = data()
    decay = tf.train.ExponentialMovingAverage(0.5)

    def averaging(features: Any, labels: Any, mode: str) -> Any:
        spec = digits_model_fn(name="features")(features, labels, mode)
        variables = [each for each in v1.global_variables() if each.op.name in ("module/w", "module/b", "head")]
        if mode == "train":
            with tf.control_dependencies([spec.train_op]):
                return spec._replace(train_op=decay.apply(variables))
        averages = {decay.average_name(variable): variable for variable in variables}
        return spec._replace(scaffold=v1.train.Scaffold(saver=v1.train.Saver(averages)))

    classifier = estimators.trained(averaging, tmp_path / "model", x, y)
    path = exporter().export(classifier, tmp_path / "exports")
    found = tf.train.load_checkpoint(f"{os.fsdecode(path)}/features/variables/variables").get_tensor("w")
    average, last = (classifier.get_variable_value(f"module/w{end}") for end in ("/ExponentialMovingAverage", ""))
    np.testing.assert_array_equal(found, average)
    assert np.abs(average - last).max() > 1e-3


def test_modules_come_with_all_their_variants(tmp_path: Path) -> None:
    spec = constructions.normalizing_spec()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        training = mode == "train"
        module = hub.Module(spec, tags={"train"} if training else None, trainable=training)
        hub.register_module_for_export(module, "normalizing")
        found = module(features["images"])
        if mode == "infer":
            return tf_estimator.EstimatorSpec(mode, predictions=found)
        loss = tf.reduce_mean(tf.square(found - 1.0)) + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, v1.train.get_global_step())
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def serving() -> Any:
        images = v1.placeholder(tf.float32, [None, 2])
        return tf_estimator.export.ServingInputReceiver({"images": images}, images)

    x = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    trained = estimators.trained(model_fn, tmp_path / "model", x, np.zeros(2), steps=3)
    path = os.fsdecode(LatestModuleExporter("all", serving).export(trained, tmp_path / "exports"))
    loaded = hub.load(f"{path}/normalizing")
    assert {tuple(variant.tags) for variant in hub.inspect(f"{path}/normalizing").variants} == {(), ("train",)}
    values = {name: trained.get_variable_value(f"module/{name}") for name in ("gamma", "mean")}
    np.testing.assert_allclose(values["mean"], [1.75, 3.5])  # half way to [2, 4], three times
    np.testing.assert_allclose(loaded(x), (x - values["mean"]) * values["gamma"], rtol=1e-6)


def test_nothing_registered_is_a_warning_and_no_export(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x, y = data()
    classifier = estimators.trained(digits_model_fn(name=None), tmp_path / "model", x, y, steps=1)
    with caplog.at_level(logging.WARNING, "modhub"):
        assert exporter("none").export(classifier, tmp_path / "exports") is None
    assert "'none' found no module to export: call hub.register_module_for_export" in caplog.text
    assert not (tmp_path / "exports").exists()


def test_a_tpu_estimator_exports_on_a_cpu(tmp_path: Path) -> None:
    x, y = data()
    tpu = tf_estimator.tpu

    def model_fn(features: Any, labels: Any, mode: str, params: dict[str, Any]) -> Any:
        built = digits_model_fn(name="features")(features, labels, mode)
        if mode == "infer":
            return tpu.TPUEstimatorSpec(mode, predictions=built.predictions)
        optimizer = tpu_optimizer = v1.train.GradientDescentOptimizer(0.1)
        if params["use_tpu"]:
            tpu_optimizer = v1.tpu.CrossShardOptimizer(optimizer)
        return tpu.TPUEstimatorSpec(
            mode, loss=built.loss, train_op=tpu_optimizer.minimize(built.loss, v1.train.get_global_step())
        )

    config = tpu.RunConfig(model_dir=str(tmp_path / "model"), tpu_config=tpu.TPUConfig(iterations_per_loop=5))
    classifier = tpu.TPUEstimator(model_fn, config=config, use_tpu=False, train_batch_size=50, predict_batch_size=50)
    classifier.train(lambda params: batches({"images": x}, y, size=params["batch_size"])(), max_steps=5)
    path = os.fsdecode(exporter().export(classifier, tmp_path / "exports"))
    found = tf.train.load_checkpoint(f"{path}/features/variables/variables").get_tensor("w")
    np.testing.assert_array_equal(found, classifier.get_variable_value("module/w"))


def test_it_is_an_exporter_of_estimator() -> None:
    made = exporter("modules")
    assert isinstance(made, tf_estimator.Exporter)
    assert made.name == "modules"
    assert tf_estimator.EvalSpec(serving_input_fn, exporters=made).exporters == (made,)
    with pytest.raises(AttributeError):
        made.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "5"])
def test_a_count_that_is_none_is_refused(count: Any) -> None:
    with refused(
        errors.InvalidArgumentError,
        says=(
            "`exports_to_keep`, if provided, must be a positive number",
            repr(count),
        ),
    ):
        LatestModuleExporter("modules", serving_input_fn, count)


@pytest.mark.parametrize("name", ["", None, "..", "a/../b"])
def test_a_name_that_is_no_directory_is_refused(name: Any) -> None:
    with refused(errors.InvalidArgumentError, says=(repr(name),)):
        LatestModuleExporter(name, serving_input_fn)


def test_a_serving_input_fn_has_to_be_a_function() -> None:
    with refused(
        errors.InvalidArgumentError,
        says=(
            "serving_input_fn has to be a function",
            "{'x': 1}",
        ),
    ):
        LatestModuleExporter("modules", {"x": 1})  # type: ignore[arg-type]


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    x, y = data()
    model_fn = digits_model_fn()
    base = tmp_path / "exports"
    fresh = tf_estimator.Estimator(model_fn, str(tmp_path / "fresh"))
    with refused(
        errors.CheckpointError,
        says=(
            "There is no checkpoint in",
            str(tmp_path / "fresh"),
            "train first",
        ),
    ):
        exporter().export(fresh, base)
    with refused(
        errors.CheckpointError,
        says=(
            "There is no checkpoint",
            "nowhere",
        ),
    ):
        exporter().export(fresh, base, str(tmp_path / "nowhere"))
    with refused(errors.InvalidArgumentError, says=("path of a checkpoint; 3 was given",)):
        exporter().export(fresh, base, 3)  # type: ignore[arg-type]
    with refused(errors.InvalidArgumentError, says=("has to be an Estimator; 'model' was given",)):
        exporter().export("model", base)
    trained = estimators.trained(model_fn, tmp_path / "model", x, y, steps=1)
    with refused(errors.InvalidArgumentError, says=("export_path", "on this machine", "gs://bucket/exports")):
        exporter().export(trained, "gs://bucket/exports")
    with refused(errors.InvalidArgumentError, says=("has to return a ServingInputReceiver; it returned {'images': ",)):
        LatestModuleExporter("modules", lambda: {"images": x}).export(trained, base)
    assert not base.exists()


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    x, y = data()
    trained = estimators.trained(digits_model_fn(), tmp_path / "model", x, y, steps=1)

    def wider() -> None:
        images = v1.placeholder(tf.float32, [None, 64])
        hub.add_signature(inputs=images, outputs=images @ constructions.variable("w", np.zeros([64, 16])))
        constructions.variable("more", 1.0)

    other = tf_estimator.Estimator(digits_model_fn(hub.create_module_spec(wider)), str(tmp_path / "other"))
    with refused(
        errors.CheckpointError,
        says=(
            "module/more",
            "model.ckpt-1",
            "name another by checkpoint_path",
        ),
    ):
        exporter().export(other, tmp_path / "exports", trained.latest_checkpoint())
    assert not (tmp_path / "exports").exists()
