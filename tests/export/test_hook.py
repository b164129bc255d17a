"""ModuleExportHook publishes what a MonitoredTrainingSession has trained."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from modhub.export.hook import ModuleExportHook
from modhub.export.registered import register_module_for_export
from tests import constructions
from tests.export.digits import computed, data, published, stamps
from tests.refusals import refused

v1 = tf.compat.v1


def training(rate: float = 0.5) -> tuple[hub.Module, tf.Operation]:
    """A module w * x, and an op that counts a step and takes `rate` from w, which is 8 at first."""

    def scale() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=x * constructions.variable("w", 8.0))

    module = hub.Module(hub.create_module_spec(scale), trainable=True)
    step = v1.train.get_or_create_global_step()
    optimizer = v1.train.GradientDescentOptimizer(rate)
    return module, optimizer.minimize(tf.reduce_sum(module([1.0])), global_step=step)


def weight(export: str | Path) -> float:
    checkpoint = Path(export) / "scale" / "variables" / "variables"
    return float(tf.train.load_checkpoint(str(checkpoint)).get_tensor("w"))


def run(hooks: list[ModuleExportHook], train: tf.Operation, steps: int) -> None:
    with v1.train.MonitoredTrainingSession(hooks=hooks) as session:
        for _ in range(steps):
            session.run(train)


def test_a_classifier_of_digits(tmp_path: Path) -> None:
    x, y = data()
    path = published(tmp_path)
    hook = ModuleExportHook(tmp_path / "exports", every_steps=10, exports_to_keep=2)
    seen = []
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True)
        features = module(x)
        head = constructions.variable("head", np.random.default_rng(1).normal(scale=0.3, size=[16, 10]))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=features @ head))
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer(0.02).minimize(loss, global_step=step)
        register_module_for_export(module, "image/features")
        with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
            first = session.run(loss)
            for _ in range(35):
                session.run(train)
                seen.append(hook.last_export)
            last, trained = session.run([loss, features])
    assert last < first / 3
    # After steps 10, 20 and 30; and at the end, of which the two newest stay.
    assert [number for number in range(1, 35) if seen[number] != seen[number - 1]] == [9, 19, 29]
    assert stamps(tmp_path / "exports") == [Path(seen[-1]).name, Path(hook.last_export).name]
    for output in computed(Path(hook.last_export) / "image" / "features", x):
        np.testing.assert_allclose(output, trained, rtol=1e-5, atol=1e-6)
    assert not np.allclose(computed(path, x)[0], trained, atol=0.1)


def test_a_step_is_exported_once(tmp_path: Path, graph: tf.Graph) -> None:
    module, train = training()
    run([ModuleExportHook(tmp_path, {"scale": module}, every_steps=2, exports_to_keep=None)], train, 4)
    assert [weight(tmp_path / name) for name in stamps(tmp_path)] == [7.0, 6.0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [6.5]),
        ({"every_steps": 2, "at_end": False}, [7.0]),
        ({"every_steps": 100}, [6.5]),
        ({"every_steps": 1}, [7.5, 7.0, 6.5]),
        ({"every_secs": 1e-6}, [7.5, 7.0, 6.5]),
        ({"every_secs": 1e6}, [6.5]),
        ({"every_secs": 1e6, "at_end": False}, []),
    ],
)
def test_when_it_exports(tmp_path: Path, graph: tf.Graph, options, expected) -> None:
    module, train = training()
    run([ModuleExportHook(tmp_path, {"scale": module}, **options)], train, 3)
    assert [weight(tmp_path / name) for name in stamps(tmp_path)] == expected


def test_runs_that_are_no_steps_do_not_count(tmp_path: Path, graph: tf.Graph) -> None:
    module, train = training()
    hook = ModuleExportHook(tmp_path, {"scale": module}, every_steps=2, at_end=False)
    with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        for _ in range(10):
            session.run(module.variables)
        session.run(train)
        for _ in range(10):
            session.run(module.variables)
        assert hook.last_export is None
        session.run(train)
    assert weight(hook.last_export) == 7.0


def test_steps_are_counted_from_a_checkpoint(tmp_path: Path, graph: tf.Graph) -> None:
    module, train = training()
    checkpoints, exports = str(tmp_path / "checkpoints"), tmp_path / "exports"
    for _ in range(2):
        hook = ModuleExportHook(exports, {"scale": module}, every_steps=2, at_end=False)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=checkpoints, hooks=[hook], save_summaries_steps=None, save_summaries_secs=None
        ) as session:
            for _ in range(3):
                session.run(train)
    assert [weight(exports / name) for name in stamps(exports)] == [7.0, 5.5]


def test_a_failed_training_is_not_exported_at_its_end(tmp_path: Path, graph: tf.Graph) -> None:
    module, train = training()
    hook = ModuleExportHook(tmp_path, {"scale": module})
    wrong = tf.debugging.Assert(False, ["a nan, say"])
    with (
        pytest.raises(tf.errors.InvalidArgumentError),
        v1.train.MonitoredTrainingSession(hooks=[hook]) as session,
    ):
        session.run([train, wrong])
    assert stamps(tmp_path) == []


def test_the_end_of_the_data_is_an_end(tmp_path: Path, graph: tf.Graph) -> None:
    module, train = training()
    data = v1.data.make_one_shot_iterator(tf.data.Dataset.range(3)).get_next()
    with tf.control_dependencies([data]):
        step = tf.group(train, tf.identity(data))
    with v1.train.MonitoredTrainingSession(hooks=[ModuleExportHook(tmp_path, {"scale": module})]) as session:
        while not session.should_stop():
            session.run(step)
    assert len(stamps(tmp_path)) == 1


def test_a_lost_session_goes_on_from_its_checkpoint(tmp_path: Path, graph: tf.Graph) -> None:
    class Loses(v1.train.SessionRunHook):
        def __init__(self) -> None:
            self.runs = 0

        def after_run(self, run_context, run_values) -> None:
            self.runs += 1
            if self.runs == 3:
                raise tf.errors.AbortedError(None, None, "a lost worker")

    module, train = training()
    exports, loses = tmp_path / "exports", Loses()
    hook = ModuleExportHook(exports, {"scale": module}, every_steps=2, at_end=False)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path / "checkpoints"),
        hooks=[hook, loses],
        save_checkpoint_steps=100,
        save_summaries_steps=None,
        save_summaries_secs=None,
    ) as session:
        for _ in range(4):
            session.run(train)
    # Two steps, and one that is lost; then the first two again, from the checkpoint of step 0.
    assert loses.runs == 5
    assert [weight(exports / name) for name in stamps(exports)] == [7.0, 7.0]


def test_a_failed_export_ends_the_training(tmp_path: Path, graph: tf.Graph) -> None:
    module, train = training()
    (tmp_path / "file").write_text("")
    with refused(errors.ExportError, RuntimeError, says=("Cannot export to", "file"), folder=tmp_path):
        run([ModuleExportHook(tmp_path / "file", {"scale": module})], train, 1)


def test_no_module_is_registered(tmp_path: Path, graph: tf.Graph) -> None:
    _, train = training()
    with refused(errors.GraphError, says=("register_module_for_export(module, name)",), folder=tmp_path):
        run([ModuleExportHook(tmp_path)], train, 1)


def test_there_is_no_global_step(tmp_path: Path, graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(constructions.affine))
    with refused(errors.GraphError, says=("get_or_create_global_step()",), folder=tmp_path):
        run([ModuleExportHook(tmp_path, {"affine": module})], tf.no_op(), 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"every_steps": 0}, "every_steps has to be a positive whole number; 0"),
        ({"every_steps": 1.5}, "1.5"),
        ({"every_steps": True}, "True"),
        ({"every_secs": -1}, "every_secs has to be a positive number of seconds; -1"),
        ({"every_secs": float("nan")}, "nan"),
        ({"every_secs": "1"}, "'1'"),
        ({"every_steps": 1, "every_secs": 1}, "pass one of them"),
        ({"at_end": False}, "would never export"),
        ({"at_end": "never"}, "at_end='never' is neither True nor False"),
        ({"exports_to_keep": 0}, "must be a positive number"),
        ({"base_dir": None}, "base_dir has to be a path; None"),
        ({"modules": {}}, "empty"),
        ({"modules": {"a": "path"}}, "hub.Module, a hub.LoadedModule"),
        ({"modules": ["a"]}, "Pass {'name': module}"),
    ],
)
def test_arguments_that_are_refused(tmp_path: Path, options, says) -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=(says,), folder=tmp_path):
        ModuleExportHook(**{"base_dir": tmp_path, **options})


def test_a_module_of_eager_execution_is_refused(tmp_path: Path) -> None:
    module = hub.load(constructions.publish(constructions.affine, tmp_path / "affine"))
    with refused(errors.InvalidArgumentError, says=("hub.ModuleExportCallback", "'scale'"), folder=tmp_path):
        ModuleExportHook(tmp_path, {"scale": module})


def test_training_waits_for_no_clock(tmp_path: Path, graph: tf.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    module, train = training()
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    hook = ModuleExportHook(tmp_path, {"scale": module}, every_secs=10, at_end=False)
    with v1.train.MonitoredTrainingSession(hooks=[hook]) as session:
        for second in (105.0, 109.9, 110.0, 119.0, 121.0):
            now[0] = second
            session.run(train)
    assert [weight(tmp_path / name) for name in stamps(tmp_path)] == [6.5, 5.5]
