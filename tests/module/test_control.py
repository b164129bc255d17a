"""How control dependencies, devices and colocation of the user's graph and of the module meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import affine, doubling, publish, started, variable

v1 = tf.compat.v1


@pytest.fixture(scope="module", params=["from a spec", "from disk"])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> hub.ModuleSpec | str:
    if request.param == "from a spec":
        return hub.create_module_spec(affine)
    return publish(affine, tmp_path_factory.mktemp("it") / "module")


def test_control_dependencies_around_the_constructor_do_not_reach_the_state(
    graph: tf.Graph, spec: hub.ModuleSpec | str
) -> None:
    blocked = v1.placeholder(tf.float32, [], name="never_fed")
    before = set(graph.get_operations())
    with tf.control_dependencies([blocked]):
        module = hub.Module(spec, trainable=True)
    assert all(blocked.op not in op.control_inputs for op in set(graph.get_operations()) - before)
    with started() as session:
        assert session.run(module.variable_map["b"]).tolist() == [0.5, -0.5]
        session.run(v1.losses.get_regularization_loss())


@pytest.mark.parametrize("x", [[[1.0, 2.0]], "a placeholder"], ids=["constant", "placeholder"])
def test_control_dependencies_around_a_call_run_first(
    graph: tf.Graph, spec: hub.ModuleSpec | str, x: list[list[float]] | str
) -> None:
    module = hub.Module(spec)
    calls = v1.get_variable("calls", [], initializer=v1.zeros_initializer())
    feed = {}
    if isinstance(x, str):
        x = v1.placeholder(tf.float32, [None, 2])
        feed = {x: [[1.0, 2.0]]}
    with tf.control_dependencies([v1.assign_add(calls, 1.0)]):
        y = module(x)
    with started() as session:
        np.testing.assert_allclose(session.run(y, feed), [[7.5, 9.5]])
        assert session.run(calls) == 1.0


def test_a_call_reads_what_a_control_dependency_wrote(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    module = hub.Module(spec)
    with tf.control_dependencies([module.variable_map["b"].assign([100.0, 200.0])]):
        y = module([[0.0, 0.0]])
    with started() as session:
        assert session.run(y).tolist() == [[100.0, 200.0]]


def test_control_dependencies_inside_the_module_are_kept(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        seen = variable("seen", 0.0, trainable=False)
        with tf.control_dependencies([v1.assign_add(seen, x)]):
            y = tf.identity(x)
        hub.add_signature(inputs=x, outputs=y)

    module = hub.Module(hub.create_module_spec(module_fn))
    first, second = module(2.0), module(3.0)
    with started() as session:
        session.run(first)
        session.run([second, first])
        assert session.run(module.variable_map["seen"]) == 7.0


def test_a_control_dependency_on_an_input_needs_no_placeholder(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        with tf.control_dependencies([x]):
            y = tf.constant(1.0)
        hub.add_signature(inputs=x, outputs=y)

    y = hub.Module(hub.create_module_spec(module_fn))(5.0)
    with started() as session:
        assert session.run(y) == 1.0


def test_devices_around_a_call_apply_to_the_call_alone(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    module = hub.Module(spec)
    state = {op.name: op.device for op in graph.get_operations()}
    with tf.device("/device:CPU:1"):
        x = tf.zeros([1, 2])
        y = module(x)
    assert y.op.device == "/device:CPU:1"
    added = [op for op in graph.get_operations() if op.name.startswith("module_apply_default/")]
    assert {op.device for op in added} == {"/device:CPU:1"}
    assert {name: graph.get_operation_by_name(name).device for name in state} == state


def test_devices_around_the_constructor_place_the_variables(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    with tf.device("/device:CPU:1"):
        module = hub.Module(spec)
    assert {v.op.device for v in module.variables} == {"/device:CPU:1"}
    assert module([[1.0, 2.0]]).op.device == ""


def test_a_replica_device_setter_spreads_the_variables(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    with v1.device(v1.train.replica_device_setter(ps_tasks=2, ps_ops=["VarHandleOp"])):
        module = hub.Module(spec)
    assert {v.op.device for v in module.variables} == {"/job:ps/task:0", "/job:ps/task:1"}


def test_devices_written_in_the_module_are_kept_on_calls(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        with tf.device("/device:CPU:0"):
            y = 2.0 * x
        hub.add_signature(inputs=x, outputs=y)

    module = hub.Module(hub.create_module_spec(module_fn))
    assert module([1.0]).op.device in ("", "/device:CPU:0")
    assert "CPU:1" not in module([1.0]).op.device


def colocating() -> None:
    """x, y -> `near_x` colocated with x, `near_w` with the variable w, `near_sum` with an op inside."""
    x, y = v1.placeholder(tf.float32, [], name="x"), v1.placeholder(tf.float32, [], name="y")
    w = variable("w", 1.0)
    total = tf.add(x, w, name="total")
    with v1.colocate_with(x):
        near_x = tf.add(y, 1.0, name="near_x")
    with v1.colocate_with(w.op):
        near_w = tf.add(y, 2.0, name="near_w")
    with v1.colocate_with(total):
        near_sum = tf.add(y, 3.0, name="near_sum")
    hub.add_signature(inputs={"x": x, "y": y}, outputs={"default": total, "x": near_x, "w": near_w, "total": near_sum})


def groups(tensor: tf.Tensor) -> list[bytes]:
    """Return the colocation groups of the operation behind a tensor."""
    return tensor.op.colocation_groups()


def test_colocation_follows_what_replaced_the_op(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(colocating))
    x = tf.constant(1.0, name="my_x")
    near = module({"x": x, "y": 2.0}, as_dict=True)
    assert groups(near["x"]) == [b"loc:@my_x"]
    assert groups(near["w"]) == [b"loc:@module/w"]
    assert groups(near["total"]) == [b"loc:@" + near["default"].op.name.encode()]
    with started() as session:
        assert session.run(near) == {"default": 2.0, "x": 3.0, "w": 4.0, "total": 5.0}


def test_colocation_follows_the_groups_of_what_replaced_the_op(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(colocating))
    anchor = tf.constant(1.0, name="anchor")
    with v1.colocate_with(anchor):
        x = tf.constant(1.0, name="my_x")
    assert groups(module({"x": x, "y": 2.0}, as_dict=True)["x"]) == [b"loc:@anchor"]


def test_colocation_around_a_call_runs(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(doubling))
    anchor = tf.constant([1.0], name="anchor")
    with v1.colocate_with(anchor):
        y = module(anchor)
    with started() as session:
        assert session.run(y).tolist() == [2.0]


def test_colocation_survives_publishing(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(publish(colocating, tmp_path / "module"), name="q")
    near = module({"x": 1.0, "y": 2.0}, as_dict=True)
    assert groups(near["w"]) == [b"loc:@q/w"]
    with started() as session:
        assert session.run(near) == {"default": 2.0, "x": 3.0, "w": 4.0, "total": 5.0}
