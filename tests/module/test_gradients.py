"""Gradients through a call, to the module's variables and to its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import (
    WEIGHTS,
    affine,
    loops_of_v1,
    names,
    partitioned,
    publish,
    started,
    summing_loop,
    variable,
)

v1 = tf.compat.v1

STEPS, WIDTH = 4, 3
RECURRENT = np.linspace(-0.5, 0.6, WIDTH * WIDTH, dtype=np.float32).reshape(WIDTH, WIDTH)


@pytest.fixture(scope="module", params=["from a spec", "from disk"])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> hub.ModuleSpec | str:
    if request.param == "from a spec":
        return hub.create_module_spec(affine)
    return publish(affine, tmp_path_factory.mktemp("it") / "module")


@pytest.mark.parametrize("trainable", [False, True])
def test_to_variables_and_inputs(graph: tf.Graph, spec: hub.ModuleSpec | str, trainable: bool) -> None:
    module = hub.Module(spec, trainable=trainable)
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    y = module(x)
    to_w, to_b, to_x = tf.gradients(y, [module.variable_map["w"], module.variable_map["b"], x])
    with started() as session:
        w, b, inputs = session.run([to_w, to_b, to_x])
    np.testing.assert_allclose(w, [[4.0, 4.0], [6.0, 6.0]])
    np.testing.assert_allclose(b, [2.0, 2.0])
    np.testing.assert_allclose(inputs, [WEIGHTS.sum(1)] * 2)


def test_calls_add_up(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    module = hub.Module(spec)
    total = tf.reduce_sum(module([[1.0, 2.0]])) + tf.reduce_sum(module([[10.0, 20.0]]))
    (to_w,) = tf.gradients(total, [module.variable_map["w"]])
    with started() as session:
        np.testing.assert_allclose(session.run(to_w), [[11.0, 11.0], [22.0, 22.0]])


def test_an_optimizer_moves_the_trainable_variables(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    module = hub.Module(spec, trainable=True)
    loss = tf.reduce_sum(module([[1.0, 2.0]]))
    step = v1.train.GradientDescentOptimizer(0.5).minimize(loss)
    with started() as session:
        session.run(step)
        np.testing.assert_allclose(session.run(module.variable_map["b"]), [0.0, -1.0])
        np.testing.assert_allclose(session.run(module.variable_map["w"]), [[0.5, 1.5], [2.0, 3.0]])


@pytest.mark.parametrize("optimizer", ["MomentumOptimizer", "AdamOptimizer"])
def test_an_optimizer_can_have_slots(graph: tf.Graph, spec: hub.ModuleSpec | str, optimizer: str) -> None:
    module = hub.Module(spec, trainable=True)
    options = {"momentum": 0.9} if optimizer == "MomentumOptimizer" else {}
    step = getattr(v1.train, optimizer)(0.1, **options).minimize(tf.reduce_sum(module([[1.0, 2.0]]) ** 2))
    with started() as session:
        before = session.run(module.variable_map["w"])
        session.run([step, step])
        assert (session.run(module.variable_map["w"]) < before).all()


def test_a_frozen_module_leaves_nothing_to_train(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    loss = tf.reduce_sum(hub.Module(spec)([[1.0, 2.0]]))
    with pytest.raises(ValueError, match="No variables"):
        v1.train.GradientDescentOptimizer(0.5).minimize(loss)


def test_to_the_parts_of_a_variable(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(publish(partitioned, tmp_path / "module"))
    parts = module.variable_map["part/table"]
    gradients = tf.gradients(module([0, 9, 9]), parts)
    with started() as session:
        dense = [session.run(tf.convert_to_tensor(gradient)) for gradient in gradients]
    assert np.concatenate(dense)[:, 0].tolist() == [1.0] + [0.0] * 8 + [2.0]


def test_a_sparse_gradient_stays_sparse(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        ids = v1.placeholder(tf.int64, [None])
        table = variable("table", np.ones([5, 2]))
        hub.add_signature(inputs=ids, outputs=tf.nn.embedding_lookup(table, ids))

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    (gradient,) = tf.gradients(module([1, 1, 4]), [module.variable_map["table"]])
    assert isinstance(gradient, tf.IndexedSlices)
    with started() as session:
        assert session.run(tf.convert_to_tensor(gradient))[:, 0].tolist() == [0.0, 2.0, 0.0, 0.0, 1.0]


def test_second_derivatives(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x**3 * variable("w", 2.0))

    x = tf.constant(3.0)
    y = hub.Module(hub.create_module_spec(module_fn))(x)
    (first,) = tf.gradients(y, [x])
    (second,) = tf.gradients(first, [x])
    with started() as session:
        np.testing.assert_allclose(session.run([first, second]), [54.0, 36.0])


def test_a_custom_gradient_published_by_name_is_kept(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        with v1.get_default_graph().gradient_override_map({"Relu": "Identity"}):
            y = tf.nn.relu(x)
        hub.add_signature(inputs=x, outputs=y * variable("w", 3.0))

    x = tf.constant([-1.0, 2.0])
    module = hub.Module(publish(module_fn, tmp_path / "module"))
    (gradient,) = tf.gradients(module(x), [x])
    with started() as session:
        np.testing.assert_allclose(session.run(gradient), [3.0, 3.0])


def test_stop_gradient_is_kept(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=tf.stop_gradient(x) * variable("w", 3.0))

    x = tf.constant(2.0)
    module = hub.Module(hub.create_module_spec(module_fn))
    y = module(x)
    assert tf.gradients(y, [x]) == [None]
    assert tf.gradients(y, [module.variable_map["w"]]) != [None]


def recurrent_steps(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """The recurrence that `dynamic_rnn` computes with a loop, unrolled."""
    state = tf.zeros_like(x[:, 0])
    outputs = []
    for step in range(STEPS):
        state = tf.tanh(x[:, step] + tf.matmul(state, w))
        outputs.append(state)
    return tf.stack(outputs, 1)


def dynamic_rnn() -> None:
    """x [batch, 4, 3] -> all states of a recurrence, by a v1 loop that reads and writes TensorArrays."""
    x = v1.placeholder(tf.float32, [None, STEPS, WIDTH], name="x")
    w = variable("w", RECURRENT)
    steps = tf.shape(x)[1]
    read = tf.TensorArray(tf.float32, steps).unstack(tf.transpose(x, [1, 0, 2]))
    written = tf.TensorArray(tf.float32, steps)

    def body(step: tf.Tensor, state: tf.Tensor, written: tf.TensorArray) -> tuple[tf.Tensor, ...]:
        state = tf.tanh(read.read(step) + tf.matmul(state, w))
        return step + 1, state, written.write(step, state)

    _, last, written = v1.while_loop(
        lambda step, *_: step < steps, body, (0, tf.zeros_like(x[:, 0]), written), swap_memory=True
    )
    states = tf.transpose(written.stack(), [1, 0, 2])
    states.set_shape([None, STEPS, WIDTH])
    hub.add_signature(inputs=x, outputs={"default": states, "last": last})


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> str:
    with loops_of_v1():
        return publish(dynamic_rnn, tmp_path_factory.mktemp("recurrent") / "module")


SEQUENCE = np.linspace(-1.0, 1.0, 2 * STEPS * WIDTH, dtype=np.float32).reshape(2, STEPS, WIDTH)


def unrolled(output: str) -> list[np.ndarray]:
    """Return the value and the gradients to w and x of the unrolled recurrence."""
    with tf.Graph().as_default(), v1.Session() as session:
        x, w = tf.constant(SEQUENCE), tf.constant(RECURRENT)
        states = recurrent_steps(x, w)
        y = states if output == "default" else states[:, -1]
        return session.run([y, *tf.gradients(y * y, [w, x])])


def test_the_module_holds_a_loop_of_v1(graph: tf.Graph, recurrent: str) -> None:
    hub.Module(recurrent)(SEQUENCE)
    types = {op.type for op in graph.get_operations()}
    assert {"Enter", "Exit", "TensorArrayV3", "TensorArrayReadV3", "TensorArrayWriteV3"} <= types


@pytest.mark.parametrize("output", ["default", "last"])
@pytest.mark.parametrize("control_flow", ["v1", "v2"])
def test_through_a_loop_with_tensor_arrays(
    graph: tf.Graph, request: pytest.FixtureRequest, recurrent: str, control_flow: str, output: str
) -> None:
    if control_flow == "v1":
        request.getfixturevalue("control_flow_v1")
    module = hub.Module(recurrent, trainable=True)
    x = tf.constant(SEQUENCE)
    y = module(x, as_dict=True)[output]
    gradients = tf.gradients(y * y, [module.variable_map["w"], x])
    with started() as session:
        found = session.run([y, *gradients])
    for value, expected in zip(found, unrolled(output), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_through_the_loop_of_a_second_call(graph: tf.Graph, recurrent: str) -> None:
    module = hub.Module(recurrent)
    w = module.variable_map["w"]
    first, second = module(SEQUENCE), module(2.0 * SEQUENCE)
    alone = tf.gradients(first, [w])[0]
    other = tf.gradients(second, [w])[0]
    both = tf.gradients([first, second], [w])[0]
    with started() as session:
        a, b, c = session.run([alone, other, both])
    assert not np.allclose(a, b)
    np.testing.assert_allclose(a + b, c, rtol=1e-5)


def test_through_the_same_loop_twice(graph: tf.Graph, recurrent: str) -> None:
    module = hub.Module(recurrent)
    y = module(SEQUENCE)
    first = tf.gradients(y, [module.variable_map["w"]])[0]
    second = tf.gradients(3.0 * y, [module.variable_map["w"]])[0]
    with started() as session:
        a, b = session.run([first, second])
        np.testing.assert_allclose(3.0 * a, b, rtol=1e-5)
        again = session.run(second)
    np.testing.assert_array_equal(b, again)


def test_through_two_instances(graph: tf.Graph, recurrent: str) -> None:
    one, two = hub.Module(recurrent), hub.Module(recurrent)
    y = two(one(SEQUENCE))
    gradients = tf.gradients(y, [one.variable_map["w"], two.variable_map["w"]])
    with started() as session:
        found = session.run(gradients)
    with tf.Graph().as_default(), v1.Session() as session:
        w, v = tf.constant(RECURRENT), tf.constant(RECURRENT)
        expected = session.run(tf.gradients(recurrent_steps(recurrent_steps(tf.constant(SEQUENCE), w), v), [w, v]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_training_through_the_loop(graph: tf.Graph, recurrent: str) -> None:
    module = hub.Module(recurrent, trainable=True)
    loss = tf.reduce_sum(module(SEQUENCE) ** 2)
    step = v1.train.GradientDescentOptimizer(0.01).minimize(loss)
    with started() as session:
        losses = [session.run([loss, step])[0] for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_the_users_own_control_flow_is_left_as_it_was(graph: tf.Graph, recurrent: str) -> None:
    module = hub.Module(recurrent)
    tf.gradients(module(SEQUENCE), [module.variable_map["w"]])
    before = len(graph.get_operations())
    tf.cond(tf.constant(True), lambda: tf.constant(1.0), lambda: tf.constant(2.0))
    types = {op.type for op in graph.get_operations()[before:]}
    assert types & {"If", "StatelessIf"}
    assert "Switch" not in types


@pytest.mark.parametrize("built_with", ["v1", "v2"])
@pytest.mark.parametrize("used_with", ["v1", "v2"])
def test_through_a_loop_without_tensor_arrays(
    graph: tf.Graph, request: pytest.FixtureRequest, built_with: str, used_with: str
) -> None:
    if built_with == "v1":
        with loops_of_v1():
            spec = hub.create_module_spec(summing_loop)
    else:
        spec = hub.create_module_spec(summing_loop)
    if used_with == "v1":
        request.getfixturevalue("control_flow_v1")
    module = hub.Module(spec)
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    y = module(x)
    gradients = tf.gradients(y, [module.variable_map["w"], x])
    with started() as session:
        value, to_w, to_x = session.run([y, *gradients])
    assert value.tolist() == [[4.0, 32.0], [6.0, 34.0]]
    assert to_w.tolist() == [6.0, 6.0]
    assert to_x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("flag", [True, False])
def test_through_a_conditional_of_v1(graph: tf.Graph, flag: bool) -> None:
    def module_fn() -> None:
        x, choose = v1.placeholder(tf.float32, []), v1.placeholder(tf.bool, [])
        a, b = variable("a", 2.0), variable("b", 5.0)
        hub.add_signature(inputs={"x": x, "choose": choose}, outputs=v1.cond(choose, lambda: x * a, lambda: x * b))

    with loops_of_v1():
        spec = hub.create_module_spec(module_fn)
    module = hub.Module(spec)
    assert names(module.variables) == ["module/a", "module/b"]
    x = tf.constant(3.0)
    y = module({"x": x, "choose": flag})
    gradients = tf.gradients(y, [x, module.variable_map["a"], module.variable_map["b"]])
    with started() as session:
        assert session.run(y) == (6.0 if flag else 15.0)
        assert session.run(gradients) == ([2.0, 3.0, 0.0] if flag else [5.0, 0.0, 3.0])


def test_through_nested_loops_and_conditionals_of_v1(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        w = variable("w", 2.0)

        def inner(total: tf.Tensor, i: tf.Tensor) -> tf.Tensor:
            return v1.while_loop(lambda j, _: j < i, lambda j, t: (j + 1, t + w * x), [0, total])[1]

        def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, v1.cond(i > 1, lambda: inner(total, i), lambda: total + w)

        hub.add_signature(inputs=x, outputs=v1.while_loop(lambda i, _: i < 4, body, [0, 0.0])[1])

    with loops_of_v1():
        spec = hub.create_module_spec(module_fn)
    module = hub.Module(spec)
    x = tf.constant(3.0)
    y = module(x)
    gradients = tf.gradients(y, [x, module.variable_map["w"]])
    with started() as session:
        assert session.run(y) == 2 * 2.0 + 5 * 6.0
        assert session.run(gradients) == [10.0, 17.0]


def test_a_numbered_gradient_of_another_process_is_not_mistaken_for_one_of_this(
    graph: tf.Graph, tmp_path: Path
) -> None:
    @tf.custom_gradient
    def doubled(x: tf.Tensor) -> Any:
        return 2.0 * x, lambda upstream: 5.0 * upstream

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=doubled(x))

    x = tf.constant([1.0, 2.0])
    spec = hub.create_module_spec(module_fn)
    (gradient,) = tf.gradients(hub.Module(spec)(x), [x])
    with started() as session:
        np.testing.assert_allclose(session.run(gradient), [5.0, 5.0])
    y = hub.Module(publish(module_fn, tmp_path / "module"))(x)
    with started() as session:
        np.testing.assert_allclose(session.run(y), [2.0, 4.0])
    with pytest.raises(LookupError, match="No gradient defined"):
        tf.gradients(y, [x])
