"""Modules as TensorFlow builds them: honest ones have no findings, and mistakes in training are seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

tf = pytest.importorskip("tensorflow")

import modhub as hub  # noqa: E402  # after the skip
from modhub.inspection.findings import Severity  # noqa: E402
from modhub.inspection.lint import lint  # noqa: E402
from tests import constructions  # noqa: E402
from tests.constructions import publish, v1  # noqa: E402

# What a module may well be: without weight decay, or with a rate that its publisher has chosen.
TASTE = {"regularization-losses-missing": "there was none", "fixed-hyperparameter": "it is good"}
VARIANTS = [(set(), {"training": False}), ({"train"}, {"training": True})]


def rules(module: Any, path: Path) -> list[str]:
    return [finding.rule for finding in lint(publish(module, path / "module"), ignore=TASTE).findings]


def two(module_fn: Callable[..., None]) -> hub.ModuleSpec:
    return hub.create_module_spec(module_fn, VARIANTS)


def rows() -> Any:
    return v1.placeholder(tf.float32, [None, 4])


def dropping(rate: Callable[[], Any], training: bool = True) -> None:
    x = rows()
    hub.add_signature(inputs=x, outputs=v1.nn.dropout(x, rate=rate()) if training else x * 1.0)


def normalizing(momentum: float, training: bool = False, updates: bool = True) -> None:
    images = v1.placeholder(tf.float32, [None, 8, 8, 3])
    with v1.variable_scope("bn"):
        gamma, beta = (constructions.variable(name, [value] * 3) for name, value in (("gamma", 1.0), ("beta", 0.0)))
        means = constructions.variable("moving_mean", [0.0] * 3, trainable=False)
        variances = constructions.variable("moving_variance", [1.0] * 3, trainable=False)
    statistics = {} if training else {"mean": means, "variance": variances}
    outputs, mean, variance = v1.nn.fused_batch_norm(images, gamma, beta, is_training=training, **statistics)
    if training and updates:
        # As the layers of TF1 write it.
        for moving, batch in ((means, mean), (variances, variance)):
            update = v1.assign_sub(moving, (moving.read_value() - batch) * (1.0 - tf.constant(momentum)))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    features = tf.reduce_mean(outputs, [1, 2])
    for name in (None, "image_feature_vector"):
        hub.add_signature(name, inputs={"images": images}, outputs={"default": features})


@pytest.mark.parametrize(
    "name", ["affine", "doubling", "normalizing", "normalizing_spec", "partitioned", "summing_loop", "lookup"]
)
@pytest.mark.parametrize("is_v1", [True, False])
def test_honest_modules_have_no_findings(name: str, is_v1: bool, tmp_path: Path) -> None:
    module: Any = getattr(constructions, name)
    if name == "lookup":
        vocabulary = tmp_path / "words.txt"
        vocabulary.write_text("a\nb\n")
        module = constructions.lookup(vocabulary)
    with constructions.loops_of_v1() if is_v1 else contextlib.nullcontext():
        found = rules(module() if name.endswith("spec") else module, tmp_path)
    assert found == []


def test_dropout_belongs_into_the_train_variant(tmp_path: Path) -> None:
    assert rules(lambda: dropping(lambda: 0.5), tmp_path / "one") == ["dropout-at-inference"]
    assert rules(two(lambda training: dropping(lambda: 0.5, training)), tmp_path / "two") == []


@pytest.mark.parametrize("op", ["tf.nn.dropout", "stateless", "in a function", "keep_prob by hand"])
def test_dropout_is_seen_in_all_its_forms(op: str, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = rows()
        if op == "tf.nn.dropout":
            y = tf.nn.dropout(x, 0.5)
        elif op == "stateless":
            y = tf.nn.experimental.stateless_dropout(x, 0.5, seed=[1, 2])
        elif op == "in a function":
            y = tf.function(lambda given: tf.nn.dropout(given, 0.5))(x)
        else:
            y = x / 0.5 * tf.floor(0.5 + v1.random_uniform(tf.shape(x)))
        hub.add_signature(inputs=x, outputs=y)

    assert rules(module_fn, tmp_path) == ["dropout-at-inference"]


def test_a_rate_that_callers_give_is_not_fixed(tmp_path: Path) -> None:
    for name, rate, expected in (
        ("fixed", lambda: 0.25, ["Dropout has fixed rates (of dropping or keeping): 0.25."]),
        ("open", lambda: v1.placeholder_with_default(0.25, []), []),
    ):
        spec = two(lambda training, rate=rate: dropping(rate, training))
        findings = lint(publish(spec, tmp_path / name)).findings
        assert [finding.message for finding in findings] == expected


def test_samplers_are_noted_and_random_initializers_are_not(tmp_path: Path) -> None:
    def sampling() -> None:
        x = rows()
        hub.add_signature(inputs=x, outputs=x + v1.random_normal(tf.shape(x)))

    def initialized() -> None:
        x = rows()
        w = v1.get_variable("w", [4, 2], initializer=v1.glorot_uniform_initializer(seed=1))
        hub.add_signature(inputs=x, outputs=tf.matmul(x, w))

    assert rules(sampling, tmp_path / "a") == ["random-output"]
    assert rules(initialized, tmp_path / "b") == []


def test_batch_norm_fits_its_variants(tmp_path: Path) -> None:
    assert rules(two(lambda training: normalizing(0.99, training)), tmp_path / "good") == []
    assert rules(lambda: normalizing(0.99), tmp_path / "one") == ["train-variant-missing"]
    assert rules(two(lambda training: normalizing(0.9997, training)), tmp_path / "slow") == ["batch-norm-momentum"]
    assert rules(two(lambda training: normalizing(0.99, training, updates=False)), tmp_path / "stuck") == [
        "update-ops-missing"
    ]
    assert rules(two(lambda training: normalizing(0.99)), tmp_path / "same") == ["train-variant-needless"]
    assert rules(lambda: normalizing(0.99, training=True), tmp_path / "batch") == [
        "batch-statistics-at-inference",
        "train-variant-missing",
        "update-ops-at-inference",
    ]


def test_moving_averages_that_only_inference_reads_have_to_move(tmp_path: Path) -> None:
    def centering(training: bool, reads: bool = False) -> None:
        x = rows()
        scaled = x * v1.get_variable("gamma", initializer=1.0)
        moving = v1.get_variable("moving_mean", [4], initializer=v1.zeros_initializer(), trainable=False)
        mean = tf.reduce_mean(x, 0) if training else moving.read_value()
        hub.add_signature(inputs=x, outputs=scaled - (mean + moving.read_value() if training and reads else mean))

    assert rules(two(centering), tmp_path / "stuck") == ["update-ops-missing"]
    assert rules(two(lambda training: centering(training, reads=True)), tmp_path / "read") == []


def test_random_numbers_in_a_v1_loop_are_noted(tmp_path: Path) -> None:
    def looping() -> None:
        x = rows()
        total = v1.while_loop(
            lambda i, _: i < 3, lambda i, s: (i + 1, s + v1.random_normal(tf.shape(s))), [0, x],
            shape_invariants=[tf.TensorShape([]), x.shape],
        )[1]  # fmt: skip
        hub.add_signature(inputs=x, outputs=total)

    with constructions.loops_of_v1():
        assert rules(looping, tmp_path / "v1") == ["random-in-loop", "random-output"]
    assert rules(looping, tmp_path / "v2") == ["random-output"]


def test_python_functions_are_found(tmp_path: Path) -> None:
    def module_fn() -> None:
        x = rows()
        y = v1.py_func(lambda given: given, [x], tf.float32)
        y.set_shape(x.shape)
        hub.add_signature(inputs=x, outputs=y)

    assert rules(module_fn, tmp_path) == ["python-op"]


def test_a_file_that_is_no_asset_is_found(tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.string, [])
        hub.add_signature(inputs=x, outputs=tf.strings.join([x, tf.constant("/home/ada/vocab.txt")]))

    assert rules(module_fn, tmp_path) == ["absolute-path"]


def test_saved_models_of_tf2_are_told_apart(tmp_path: Path) -> None:
    class Reusable(tf.Module):  # type: ignore[misc, name-defined]  # TensorFlow is Any here
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x: Any) -> Any:
            return x * self.w

    tf.saved_model.save(Reusable(), str(tmp_path / "model"))
    found = [finding.rule for finding in lint(tmp_path / "model").findings]
    assert found == ["reusable-variables", "tf2-saved-model"]

    listed = tf.train.Checkpoint(v=tf.Variable(1.0))
    listed.__call__ = tf.function(lambda x: x * listed.v, input_signature=[tf.TensorSpec([None], tf.float32)])
    listed.variables = listed.trainable_variables = [listed.v]
    listed.regularization_losses = []
    tf.saved_model.save(listed, str(tmp_path / "reusable"))
    assert [finding.rule for finding in lint(tmp_path / "reusable").findings] == ["tf2-saved-model"]


# What each of the modules that others have published is known for; everything else is a false alarm.
SHARED = {
    "genuine/control_flow/module": [],
    "genuine/nnlm_ref/module": ["path-leak"],
    "genuine/partitioned/module": [],
    "genuine/resnet_like/module": [],
    "published/dm21": ["default-output-missing", "unknown-file"],
    "published/galmodel_likelihood": ["default-output-missing", "train-variant-missing", "random-output"],
    "published/half_plus_two_v1": [],
    "published/reconstruction_decoder": ["default-signature-missing"] * 2 + ["train-variant-needless"],
    "published/saved_model_half_plus_two_cpu/00000123": ["module-marker-missing", "path-leak"],
}


@pytest.mark.parametrize("name", SHARED)
def test_there_are_no_false_alarms(name: str, shared_modules: Path) -> None:
    report = lint(shared_modules / name, ignore=TASTE)
    assert [finding.rule for finding in report.findings] == SHARED[name]
    assert all(finding.severity is not Severity.ERROR for finding in report.findings)
