"""Modules as TF1 wrote them: ref variables, graphs with leftovers, nothing where one expects something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import collected, doubling, evaluated, loops_of_v1, op_types, publish, started, variable

v1 = tf.compat.v1


@pytest.fixture(params=["from a spec", "from disk"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[], None]], hub.ModuleSpec | str]:
    """What to pass to hub.Module for a module_fn: its spec, or the path where it was published."""
    if request.param == "from a spec":
        return hub.create_module_spec
    return lambda module_fn: publish(module_fn, tmp_path / "module")


Made = Callable[[Callable[[], None]], "hub.ModuleSpec | str"]


def counter(value: float = 1.0) -> tf.Variable:
    """A ref variable that is not trained."""
    return variable("seen", value, use_resource=False, trainable=False)


def test_a_ref_variable_is_read(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        w = variable("w", 3.0, use_resource=False)
        hub.add_signature(inputs=x, outputs=x * w)

    module = hub.Module(made(module_fn), trainable=True)
    assert collected(v1.GraphKeys.TRAINABLE_VARIABLES) == ["module/w"]
    x = tf.constant([1.0, 2.0])
    y = module(x)
    gradients = tf.gradients(y, [module.variable_map["w"], x])
    with started() as session:
        assert session.run(y).tolist() == [3.0, 6.0]
        to_w, to_x = session.run(gradients)
    assert to_w == 3.0
    assert to_x.tolist() == [3.0, 3.0]


def test_ref_variables_share_a_graph_with_resource_variables(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        old, new = variable("old", 3.0, use_resource=False), variable("new", 5.0)
        hub.add_signature(outputs=old * new)

    module = hub.Module(made(module_fn))
    assert evaluated(module()) == 15.0
    assert sorted(module.variable_map) == ["new", "old"]


@pytest.mark.parametrize(
    ("operation", "after"),
    [("assign", 5.0), ("assign_add", 6.0), ("assign_sub", -4.0)],
)
def test_update_ops_of_ref_variables(graph: tf.Graph, made: Made, operation: str, after: float) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        seen = counter()
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, getattr(v1, operation)(seen, x))
        hub.add_signature(inputs=x, outputs=x + seen)

    module = hub.Module(made(module_fn), trainable=True)
    y = module(5.0)
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    assert len(updates) == 1
    with started() as session:
        assert session.run(y) == 6.0
        session.run(updates)
        assert session.run(module.variable_map["seen"]) == after


@pytest.mark.parametrize(("operation", "after"), [("assign", 5.0), ("assign_add", 6.0), ("assign_sub", -4.0)])
def test_the_result_of_an_assignment_is_the_value_after_it(
    graph: tf.Graph, made: Made, operation: str, after: float
) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=getattr(v1, operation)(counter(), x) * 1.0)

    module = hub.Module(made(module_fn))
    y = module(5.0)
    with started() as session:
        assert session.run(y) == after
        assert session.run(module.variable_map["seen"]) == after


def test_a_read_after_an_assignment_sees_it(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        seen = counter()
        with tf.control_dependencies([v1.assign(seen, x)]):
            y = seen.read_value() + 0.0
        hub.add_signature(inputs=x, outputs=y)

    y = hub.Module(made(module_fn))(5.0)
    for _ in range(5):
        assert evaluated(y) == 5.0


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ("scatter_update", [1.0, 10.0, 20.0]),
        ("scatter_add", [1.0, 12.0, 23.0]),
        ("scatter_sub", [1.0, -8.0, -17.0]),
        ("scatter_mul", [1.0, 20.0, 60.0]),
        ("scatter_div", [1.0, 0.2, 0.15]),
        ("scatter_min", [1.0, 2.0, 3.0]),
        ("scatter_max", [1.0, 10.0, 20.0]),
    ],
)
def test_scatters(graph: tf.Graph, made: Made, operation: str, after: list[float]) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [2])
        table = variable("table", [1.0, 2.0, 3.0], use_resource=False)
        hub.add_signature(inputs=x, outputs=tf.identity(getattr(v1, operation)(table, [1, 2], x)))

    module = hub.Module(made(module_fn))
    y = module([10.0, 20.0])
    with started() as session:
        assert session.run(y).tolist() == pytest.approx(after)
        assert session.run(module.variable_map["table"]).tolist() == pytest.approx(after)


@pytest.mark.parametrize("operation", ["scatter_nd_update", "scatter_nd_add", "scatter_nd_sub"])
def test_scatters_by_index_vectors(graph: tf.Graph, made: Made, operation: str) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [1])
        table = variable("table", [1.0, 2.0, 3.0], use_resource=False)
        hub.add_signature(inputs=x, outputs=tf.identity(getattr(v1, operation)(table, [[2]], x)))

    y = hub.Module(made(module_fn))([10.0])
    after = {"scatter_nd_update": 10.0, "scatter_nd_add": 13.0, "scatter_nd_sub": -7.0}[operation]
    assert evaluated(y).tolist() == [1.0, 2.0, after]


def test_rows_of_a_ref_variable(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        ids = v1.placeholder(tf.int64, [None])
        table = variable("table", [[1.0], [2.0], [3.0]], use_resource=False)
        hub.add_signature(inputs=ids, outputs=tf.nn.embedding_lookup(table, ids))

    module = hub.Module(made(module_fn))
    y = module([2, 0])
    (gradient,) = tf.gradients(y, [module.variable_map["table"]])
    with started() as session:
        assert session.run(y).tolist() == [[3.0], [1.0]]
        assert session.run(tf.convert_to_tensor(gradient)).tolist() == [[1.0], [0.0], [1.0]]


def test_the_initialized_value_of_a_ref_variable(graph: tf.Graph, control_flow_v1: None, made: Made) -> None:
    # With control flow v2 TensorFlow itself reads the variable before the conditional does.
    def module_fn() -> None:
        w = variable("w", [1.0, 2.0], use_resource=False)
        v1.get_variable("twice", initializer=2.0 * w.initialized_value(), use_resource=False)
        hub.add_signature(outputs=tf.identity(w))

    module = hub.Module(made(module_fn))
    with started() as session:
        assert session.run(module.variable_map["twice"]).tolist() == [2.0, 4.0]


def test_whether_a_ref_variable_is_initialized(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        hub.add_signature(outputs=v1.is_variable_initialized(variable("w", 1.0, use_resource=False)))

    y = hub.Module(made(module_fn))()
    with v1.Session() as session:
        assert not session.run(y)
        session.run(v1.global_variables_initializer())
        assert session.run(y)


def test_a_partitioned_ref_variable(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        table = v1.get_variable(
            "table",
            [4, 1],
            initializer=v1.ones_initializer(),
            partitioner=v1.fixed_size_partitioner(2),
            use_resource=False,
        )
        hub.add_signature(outputs=tf.convert_to_tensor(table))

    module = hub.Module(made(module_fn))
    assert len(module.variable_map["table"]) == 2
    assert evaluated(module()).tolist() == [[1.0]] * 4


@pytest.mark.parametrize("kind", ["loop", "conditional"])
def test_ref_variables_in_control_flow_of_v1(graph: tf.Graph, made: Made, kind: str) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        w = variable("w", 2.0, use_resource=False)
        if kind == "loop":
            y = v1.while_loop(lambda i, _: i < 3, lambda i, t: (i + 1, t * w), [0, x])[1]
        else:
            y = v1.cond(x > 0.0, lambda: x * w * w * w, lambda: x + w)
        hub.add_signature(inputs=x, outputs=y)

    with loops_of_v1():
        module = hub.Module(made(module_fn))
    x = tf.constant(5.0)
    y = module(x)
    gradients = tf.gradients(y, [x, module.variable_map["w"]])
    with started() as session:
        assert session.run(y) == 40.0
        assert session.run(gradients) == [8.0, 60.0]


def test_an_assignment_in_a_conditional_of_v1(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        seen = counter()
        now = v1.cond(x > 0.0, lambda: tf.identity(v1.assign_add(seen, x)), lambda: tf.identity(seen.read_value()))
        hub.add_signature(inputs=x, outputs=now)

    with loops_of_v1():
        module = hub.Module(made(module_fn))
    x = v1.placeholder(tf.float32, [])
    y = module(x)
    with started() as session:
        assert [session.run(y, {x: given}) for given in (-1.0, 2.0, -1.0, 3.0)] == [1.0, 3.0, 3.0, 6.0]


def test_ref_variables_in_functions_and_conditionals_of_v2(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x * variable("w", 3.0, use_resource=False))

    module = hub.Module(made(module_fn))
    one = tf.function(lambda x: module(x), autograph=False)(tf.constant(2.0))
    two = tf.cond(v1.placeholder_with_default(True, []), lambda: module(2.0), lambda: tf.constant(0.0))
    assert evaluated([one, two]) == [6.0, 6.0]


def test_stray_save_and_restore_nodes_are_left_behind(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        w = variable("w", 3.0, use_resource=False)
        v1.add_to_collection(v1.GraphKeys.SAVERS, v1.train.Saver())
        v1.global_variables_initializer()
        hub.add_signature(inputs=x, outputs=x * w)

    spec = hub.create_module_spec(module_fn, drop_collections=[v1.GraphKeys.SAVERS])
    path = publish(spec, tmp_path / "module")
    module = hub.Module(path)
    assert op_types(graph).count("RestoreV2") == 1
    assert "SaveV2" not in op_types(graph)
    assert evaluated(module(2.0)) == 6.0
    again = publish(path, tmp_path / "again", {"w": 5.0})
    assert evaluated(hub.Module(again)(2.0)) == 10.0


def test_a_module_without_variables(graph: tf.Graph, made: Made) -> None:
    module = hub.Module(made(doubling), trainable=True)
    assert module.variable_map == {}
    assert module.variables == []
    assert collected(v1.GraphKeys.GLOBAL_VARIABLES) == []
    assert evaluated(module([1.0, 2.0])).tolist() == [2.0, 4.0]


def test_a_module_with_nothing_but_constants(graph: tf.Graph, made: Made) -> None:
    assert evaluated(hub.Module(made(lambda: hub.add_signature(outputs=tf.constant(7))))()) == 7


def test_a_module_without_a_default_signature(graph: tf.Graph, made: Made) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        hub.add_signature("halves", x, {"half": x / 2.0})

    module = hub.Module(made(module_fn))
    assert module.get_signature_names() == ["halves"]
    assert evaluated(module(3.0, signature="halves", as_dict=True)) == {"half": 1.5}


def test_local_variables_and_losses_can_be_dropped(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        w = variable("w", 3.0)
        v1.losses.add_loss(w * 2.0)
        v1.train.get_or_create_global_step()
        v1.summary.scalar("w", w)
        hub.add_signature(inputs=x, outputs=x * w)

    dropped = [v1.GraphKeys.LOSSES, v1.GraphKeys.GLOBAL_STEP, v1.GraphKeys.SUMMARIES]
    path = publish(hub.create_module_spec(module_fn, drop_collections=dropped), tmp_path / "module")
    module = hub.Module(path)
    assert evaluated(module(2.0)) == 6.0
    assert not any(v1.get_collection(key) for key in dropped)
    assert sorted(module.variable_map) == ["global_step", "w"]
