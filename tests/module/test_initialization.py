"""Where the values of a module's variables come from: disk, the module_fn, or a checkpoint of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import BIAS, affine, op_types, partitioned, publish, started, variable

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`affine`, published with other values than its initializers give."""
    return publish(affine, tmp_path_factory.mktemp("tuned") / "module", {"b": [10.0, 20.0]})


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> str:
    return publish(partitioned, tmp_path_factory.mktemp("parts") / "module")


def test_ordinary_initializers_read_the_disk(graph: tf.Graph, tuned: str) -> None:
    module = hub.Module(tuned)
    with started() as session:
        assert session.run(module.variable_map["b"]).tolist() == [10.0, 20.0]
        assert session.run(module([[1.0, 1.0]])).tolist() == [[14.0, 26.0]]


def test_a_spec_uses_the_initializers_of_its_module_fn(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with started() as session:
        assert session.run(module.variable_map["b"]).tolist() == BIAS.tolist()


def test_a_spec_loaded_from_disk_uses_the_disk(graph: tf.Graph, tuned: str) -> None:
    module = hub.Module(hub.load_module_spec(tuned))
    with started() as session:
        assert session.run(module.variable_map["b"]).tolist() == [10.0, 20.0]


def test_one_variable_can_be_initialized_alone(graph: tf.Graph, tuned: str) -> None:
    module = hub.Module(tuned)
    with v1.Session() as session:
        session.run(module.variable_map["b"].initializer)
        assert session.run(module.variable_map["b"]).tolist() == [10.0, 20.0]
        assert session.run(v1.report_uninitialized_variables()).tolist() == [b"module/w"]


def test_initializing_again_restores_the_published_values(graph: tf.Graph, tuned: str) -> None:
    module = hub.Module(tuned)
    with started() as session:
        session.run(module.variable_map["b"].assign([0.0, 0.0]))
        session.run(v1.global_variables_initializer())
        assert session.run(module.variable_map["b"]).tolist() == [10.0, 20.0]


@pytest.mark.parametrize("published", ["tuned", "in_parts"])
def test_one_read_loads_all_variables(graph: tf.Graph, request: pytest.FixtureRequest, published: str) -> None:
    hub.Module(request.getfixturevalue(published))
    assert op_types(graph).count("RestoreV2") == 1
    assert op_types(graph).count("SaveV2") == 0


def test_calls_add_no_read(graph: tf.Graph, tuned: str) -> None:
    module = hub.Module(tuned)
    module([[1.0, 1.0]])
    module([[2.0, 2.0]])
    assert op_types(graph).count("RestoreV2") == 1
    assert op_types(graph).count("VarHandleOp") == 2


def test_saver_saves_and_restores(tmp_path: Path, tuned: str) -> None:
    prefix = str(tmp_path / "saved")
    with tf.Graph().as_default():
        module = hub.Module(tuned)
        with started() as session:
            session.run(module.variable_map["b"].assign([5.0, 6.0]))
            v1.train.Saver().save(session, prefix, write_meta_graph=False)
    assert {name for name, _ in tf.train.list_variables(prefix)} == {"module/b", "module/w"}
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(tuned)
        v1.train.Saver().restore(session, prefix)
        assert session.run(module.variable_map["b"]).tolist() == [5.0, 6.0]
        assert session.run(module([[0.0, 0.0]])).tolist() == [[5.0, 6.0]]


def test_saver_joins_the_parts_of_a_variable(tmp_path: Path, in_parts: str) -> None:
    prefix = str(tmp_path / "saved")
    with tf.Graph().as_default():
        module = hub.Module(in_parts)
        with started() as session:
            session.run([part.assign(-part) for part in module.variable_map["part/table"]])
            v1.train.Saver().save(session, prefix, write_meta_graph=False)
    assert tf.train.list_variables(prefix) == [("module/part/table", [10, 2])]
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(in_parts)
        v1.train.Saver().restore(session, prefix)
        assert session.run(module([9])).tolist() == [[-18.0, -19.0]]


def test_a_meta_graph_of_the_users_graph_can_be_imported(tmp_path: Path, tuned: str) -> None:
    prefix = str(tmp_path / "saved")
    with tf.Graph().as_default():
        y = hub.Module(tuned)([[1.0, 1.0]])
        with started() as session:
            v1.train.Saver().save(session, prefix)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
        assert session.run(y.name).tolist() == [[14.0, 26.0]]


def test_monitored_training_session_starts_and_resumes(tmp_path: Path, tuned: str) -> None:
    seen = []
    for _ in range(2):
        with tf.Graph().as_default():
            module = hub.Module(tuned, trainable=True)
            step = v1.train.get_or_create_global_step()
            loss = tf.reduce_sum(module([[1.0, 0.0]]))
            train = v1.train.GradientDescentOptimizer(1.0).minimize(loss, global_step=step)
            with v1.train.MonitoredTrainingSession(
                checkpoint_dir=str(tmp_path),
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
            ) as session:
                seen.append(session.run(module.variable_map["b"]).tolist())
                session.run(train)
    assert seen == [[10.0, 20.0], [9.0, 19.0]]


def checkpoint(path: Path, values: dict[str, np.ndarray]) -> str:
    """Write a checkpoint as a user would have one from elsewhere; return its prefix."""
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.get_variable(name, initializer=tf.constant(value))
        session.run(v1.global_variables_initializer())
        return v1.train.Saver().save(session, str(path / "theirs"), write_meta_graph=False)


def test_init_from_checkpoint_takes_the_variable_map(graph: tf.Graph, tuned: str, tmp_path: Path) -> None:
    prefix = checkpoint(tmp_path, {"w": np.full([2, 2], 7.0, np.float32), "b": np.full([2], 8.0, np.float32)})
    module = hub.Module(tuned)
    v1.train.init_from_checkpoint(prefix, module.variable_map)
    with started() as session:
        assert session.run(module([[1.0, 1.0]])).tolist() == [[22.0, 22.0]]


def test_init_from_checkpoint_takes_some_of_the_variables(graph: tf.Graph, tuned: str, tmp_path: Path) -> None:
    prefix = checkpoint(tmp_path, {"theirs/bias": np.full([2], 8.0, np.float32)})
    module = hub.Module(tuned)
    v1.train.init_from_checkpoint(prefix, {"theirs/bias": module.variable_map["b"]})
    with started() as session:
        assert session.run(module([[1.0, 1.0]])).tolist() == [[12.0, 14.0]]


def test_init_from_checkpoint_takes_parts(graph: tf.Graph, in_parts: str, tmp_path: Path) -> None:
    prefix = checkpoint(tmp_path, {"part/table": 100.0 + np.arange(20, dtype=np.float32).reshape(10, 2)})
    module = hub.Module(in_parts)
    v1.train.init_from_checkpoint(prefix, module.variable_map)
    with started() as session:
        assert session.run(module([0, 9])).tolist() == [[100.0, 101.0], [118.0, 119.0]]


def test_the_published_checkpoint_suits_init_from_checkpoint(graph: tf.Graph, in_parts: str, tmp_path: Path) -> None:
    table = v1.get_variable("mine", [10, 2], partitioner=v1.fixed_size_partitioner(2))
    v1.train.init_from_checkpoint(f"{in_parts}/variables/variables", {"part/table": list(table)})
    with started() as session:
        assert session.run(tf.concat(list(table), 0)).tolist() == np.arange(20.0).reshape(10, 2).tolist()


def test_parts_keep_their_order_and_slices(graph: tf.Graph, in_parts: str) -> None:
    parts = hub.Module(in_parts).variable_map["part/table"]
    assert [part.op.name for part in parts] == [f"module/part/table/part_{i}" for i in range(3)]
    assert [part.shape.as_list() for part in parts] == [[4, 2], [3, 2], [3, 2]]
    with started() as session:
        values = session.run(parts)
    assert np.concatenate(values).tolist() == np.arange(20.0).reshape(10, 2).tolist()


def test_variables_lists_parts_one_by_one(graph: tf.Graph, in_parts: str) -> None:
    module = hub.Module(in_parts)
    assert module.variables == module.variable_map["part/table"]


def initial_value_of_another() -> None:
    """w, and twice = 2 w, by the initial value."""
    w = variable("w", [1.0, 2.0])
    v1.get_variable("twice", initializer=lambda: 2.0 * w.initial_value)
    hub.add_signature(inputs=v1.placeholder(tf.float32, []), outputs=tf.identity(w))


def initialized_value_of_another() -> None:
    """w, and twice = 2 w, by a conditional on whether w is initialized."""
    w = variable("w", [1.0, 2.0])
    now = v1.cond(v1.is_variable_initialized(w), w.read_value, lambda: tf.identity(w.initial_value))
    v1.get_variable("twice", initializer=2.0 * now)
    hub.add_signature(inputs=v1.placeholder(tf.float32, []), outputs=tf.identity(w))


@pytest.mark.parametrize("module_fn", [initial_value_of_another, initialized_value_of_another])
@pytest.mark.parametrize("control_flow", ["v1", "v2"])
def test_an_initializer_may_depend_on_another_variable(
    graph: tf.Graph, request: pytest.FixtureRequest, module_fn: Callable[[], None], control_flow: str
) -> None:
    if control_flow == "v1":
        request.getfixturevalue("control_flow_v1")
    with v1.variable_scope("vs"):
        module = hub.Module(hub.create_module_spec(module_fn))
    with started() as session:
        assert session.run(module.variable_map["twice"]).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("control_flow", ["v1", "v2"])
def test_a_published_module_needs_no_initializer_of_its_module_fn(
    graph: tf.Graph, request: pytest.FixtureRequest, control_flow: str, tmp_path: Path
) -> None:
    if control_flow == "v1":
        request.getfixturevalue("control_flow_v1")
    path = publish(initialized_value_of_another, tmp_path / "module", {"twice": [7.0, 8.0]})
    module = hub.Module(path)
    with started() as session:
        assert session.run(module.variable_map["twice"]).tolist() == [7.0, 8.0]


def test_a_random_initializer_runs_once_a_start(graph: tf.Graph) -> None:
    def module_fn() -> None:
        w = v1.get_variable("w", [3], initializer=v1.random_normal_initializer())
        hub.add_signature(inputs=v1.placeholder(tf.float32, []), outputs=tf.identity(w))

    spec = hub.create_module_spec(module_fn)
    one, two = hub.Module(spec), hub.Module(spec)
    with started() as session:
        first, again, other = session.run([one(0.0), one(1.0), two(0.0)])
        assert session.run(one(2.0)).tolist() == first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


VALUES = {
    tf.float16: [1.5, -2.0],
    tf.bfloat16: [1.5, -2.0],
    tf.float64: [1.0 + 2.0**-40, -2.0],
    tf.int8: [-128, 127],
    tf.uint8: [0, 255],
    tf.int32: [-(2**31), 7],
    tf.int64: [2**53 + 1, 7],
    tf.bool: [True, False],
    tf.complex64: [1 + 2j, -3j],
    tf.string: [b"\x00\xff", b""],
}


@pytest.mark.parametrize("dtype", VALUES, ids=lambda dtype: dtype.name)
def test_every_dtype_is_published_and_read(graph: tf.Graph, dtype: tf.DType, tmp_path: Path) -> None:
    def module_fn() -> None:
        value = v1.get_variable("value", initializer=tf.constant(VALUES[dtype], dtype), trainable=False)
        hub.add_signature(outputs=tf.identity(value))

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    y = module()
    assert y.dtype == module.variable_map["value"].dtype.base_dtype == dtype
    with started() as session:
        assert session.run(y).tolist() == VALUES[dtype]


@pytest.mark.parametrize("shape", [[], [0], [2, 0, 3], [1, 1, 1, 1, 1]], ids=str)
def test_every_shape_is_published_and_read(graph: tf.Graph, shape: list[int], tmp_path: Path) -> None:
    def module_fn() -> None:
        value = v1.get_variable("value", shape, initializer=v1.ones_initializer())
        hub.add_signature(outputs=tf.identity(value))

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    y = module()
    assert y.shape == shape
    with started() as session:
        np.testing.assert_array_equal(session.run(y), np.ones(shape, np.float32))


def test_two_modules_of_one_path_are_read_each(graph: tf.Graph, tuned: str) -> None:
    one, two = hub.Module(tuned), hub.Module(tuned)
    with started() as session:
        session.run(one.variable_map["b"].assign([0.0, 0.0]))
        assert session.run(two.variable_map["b"]).tolist() == [10.0, 20.0]
