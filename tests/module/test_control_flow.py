"""Loops and conditionals of v1, applied in functions, where they are rebuilt as those of control flow v2."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from modhub.core.control_flow import import_functional
from modhub.core.plan import plan_signature
from tests.constructions import loops_of_v1, publish, started, variable

v1 = tf.compat.v1

BATCH, STEPS, WIDTH = 3, 4, 2
X = np.linspace(-1.0, 1.2, BATCH * STEPS * WIDTH, dtype=np.float32).reshape(BATCH, STEPS, WIDTH)
WEIGHTS = np.array([[0.5, -0.3], [0.2, 0.8]], np.float32)
LENGTHS = [4, 1, 2]
SHAPES = [tf.TensorShape([]), tf.TensorShape([None, WIDTH])]


def signature(compute: Callable[[tf.Tensor], Any]) -> Callable[[], None]:
    """A module_fn that computes something of x [batch, steps, width]."""

    @functools.wraps(compute)
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, STEPS, WIDTH], name="x")
        hub.add_signature(inputs=x, outputs=compute(x))

    return module_fn


def weights() -> tf.Tensor:
    return variable("w", WEIGHTS)


def turn(state: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """One smooth step that keeps the shape [batch, width]."""
    return tf.tanh(tf.matmul(state, w))


def loop(x: tf.Tensor) -> tf.Tensor:
    return looped(x, weights())


def looped(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    return v1.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, turn(s, w)), [0, x[:, 0]])[1]


def loop_over_a_variable_read_inside(x: tf.Tensor) -> tf.Tensor:
    w = variable("w", WEIGHTS)
    return v1.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, turn(s, w.read_value())), [0, x[:, 0]])[1]


def loop_over_an_old_variable(x: tf.Tensor) -> tf.Tensor:
    w = variable("w", WEIGHTS, use_resource=False)
    return v1.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, turn(s, w)), [0, x[:, 0]])[1]


def loop_with_a_lookup(x: tf.Tensor) -> tf.Tensor:
    table = variable("table", np.arange(10.0).reshape(5, 2))

    def body(i: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, state * 0.5 + tf.nn.embedding_lookup(table, [i, i, 4])

    return v1.while_loop(lambda i, _: i < 3, body, [0, x[:3, 0]], shape_invariants=SHAPES)[1]


def loop_that_grows(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    shapes = [tf.TensorShape([]), tf.TensorShape([None, None])]
    body: Any = lambda i, s: (i + 1, tf.concat([s, turn(s[-1:], w)], 0))  # noqa: E731
    return v1.while_loop(lambda i, _: i < 3, body, [0, x[0]], shape_invariants=shapes)[1]


def loop_in_a_loop_that_grows(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    ones = tf.ones([2, WIDTH])

    def body(i: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inner = v1.while_loop(lambda j, _: j < i, lambda j, _: (j + 1, turn(state, w)), [0, ones], SHAPES)[1]
        return i + 1, tf.concat([state, inner], 0)

    return v1.while_loop(lambda i, _: i < 3, body, [0, ones], SHAPES)[1] * x[0, 0]


def loop_until(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    below: Any = lambda s, _: tf.reduce_sum(tf.abs(tf.matmul(s, w))) > 0.5  # noqa: E731
    state, turns = v1.while_loop(below, lambda s, n: (0.5 * turn(s, w), n + 1.0), [x[:, 0], 0.0])
    return state * turns


def loop_with_most_turns(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    return v1.while_loop(lambda _: True, lambda s: turn(s, w), [x[:, 0]], maximum_iterations=3)


def loop_of_no_turns(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    return v1.while_loop(lambda i, _: i < 0, lambda i, s: (i + 1, turn(s, w)), [0, x[:, 0] * w[0]])[1]


def loop_in_loop(x: tf.Tensor) -> tf.Tensor:
    w = weights()

    def body(i: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inner = v1.while_loop(lambda j, _: j < i, lambda j, s: (j + 1, turn(s, w) + x[:, 1]), [0, state])[1]
        return i + 1, inner * tf.cast(i + 1, tf.float32)

    return v1.while_loop(lambda i, _: i < 3, body, [0, x[:, 0]])[1]


def loop_over_what_never_changes(x: tf.Tensor) -> Any:
    w = weights()
    _, state, same = v1.while_loop(lambda i, s, c: i < 3, lambda i, s, c: (i + 1, turn(s, c), c), [0, x[:, 0], w])
    return {"default": state, "same": same}


def loops_in_a_row(x: tf.Tensor) -> tf.Tensor:
    return turn(loop_in_loop(x), 2.0 * tf.eye(2)) + v1.while_loop(
        lambda s: tf.reduce_sum(s) < 5.0, lambda s: s + 1.0, [x[:, 2]]
    )


def loop_with_a_condition(x: tf.Tensor) -> tf.Tensor:
    w = weights()

    def body(i: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, v1.cond(tf.equal(i % 2, 0), lambda: turn(state, w), lambda: tf.square(state))

    return v1.while_loop(lambda i, _: i < 5, body, [0, x[:, 0]])[1]


def loop_with_conditions_in_conditions(x: tf.Tensor) -> tf.Tensor:
    w = weights()

    def body(i: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inner = lambda: v1.cond(i > 2, lambda: turn(state, w), lambda: tf.square(state))  # noqa: E731
        return i + 1, v1.cond(tf.equal(i % 2, 0), inner, lambda: state)

    return v1.while_loop(lambda i, _: i < 6, body, [0, x[:, 0]])[1]


def condition(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    return v1.cond(tf.reduce_sum(x) > 0.0, lambda: turn(x[:, 0], w), lambda: tf.exp(x[:, 0]))


def other_condition(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    return v1.cond(tf.reduce_sum(x) < 0.0, lambda: turn(x[:, 0], w), lambda: tf.exp(x[:, 0]) * w[0])


def condition_with_several_results(x: tf.Tensor) -> Any:
    w = weights()
    one, other = v1.cond(tf.reduce_sum(x) > 0.0, lambda: (x[:, 0], turn(x[:, 1], w)), lambda: (w[:1], x[:, 1]))
    return {"default": one + other[:1], "other": other}


def conditions_of_one_predicate(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    pred = tf.reduce_sum(x) > 0.0
    first = v1.cond(pred, lambda: turn(x[:, 0], w), lambda: tf.exp(x[:, 0]))
    second = v1.cond(pred, lambda: turn(first, w), lambda: first)
    return v1.cond(tf.logical_not(pred), lambda: second, lambda: second + first)


def condition_of_constants(x: tf.Tensor) -> tf.Tensor:
    return v1.cond(tf.reduce_sum(x) > 0.0, lambda: tf.constant(2.0), lambda: tf.constant(3.0)) * x * weights()[0]


def condition_that_uses_its_predicate(x: tf.Tensor) -> tf.Tensor:
    pred = tf.reduce_sum(x) > 0.0
    return v1.cond(pred, lambda: tf.cast(pred, tf.float32) * x, lambda: x[:1]) * weights()[0]


def loop_in_a_condition(x: tf.Tensor) -> tf.Tensor:
    return v1.cond(tf.reduce_sum(x) > 0.0, lambda: loop(x), lambda: x[:, 0])


def condition_of_cases(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    total = tf.reduce_sum(x)
    cases = [(total < 0.0, lambda: x[:, 0]), (total > 0.5, lambda: turn(x[:, 0], w))]
    return v1.case(cases, default=lambda: x[:, 1])


def condition_after_an_assignment(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    seen = variable("seen", 0.0, trainable=False)
    with tf.control_dependencies([v1.assign_add(seen, 3.0)]):
        return v1.cond(tf.reduce_sum(x) > 0.0, lambda: turn(x[:, 0], w) * seen.read_value(), lambda: x[:, 0])


def loop_with_an_assertion(x: tf.Tensor) -> tf.Tensor:
    w = weights()

    def body(i: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.control_dependencies([v1.Assert(i < 3, [i])]):
            return i + 1, turn(state, w)

    return v1.while_loop(lambda i, _: i < 3, body, [0, x[:, 0]])[1]


def loop_with_a_function(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    step = tf.function(turn)
    return v1.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, step(s, w)), [0, step(x[:, 0], w)])[1]


def arrays(x: tf.Tensor, **options: Any) -> tuple[tf.TensorArray, tf.Tensor]:
    """All the states of a recurrence over x, and the last."""
    w = weights()
    read = tf.TensorArray(tf.float32, STEPS).unstack(tf.transpose(x, [1, 0, 2]))
    body: Any = lambda i, s, all_: (i + 1, (new := turn(s + read.read(i), w)), all_.write(i, new))  # noqa: E731
    written = tf.TensorArray(tf.float32, **options)
    _, last, written = v1.while_loop(lambda i, *_: i < STEPS, body, [0, tf.zeros_like(x[:, 0]), written])
    return written, last


def array_stacked(x: tf.Tensor) -> Any:
    written, last = arrays(x, size=STEPS)
    return {"default": tf.transpose(written.stack(), [1, 0, 2]), "last": last}


def array_that_grows(x: tf.Tensor) -> tf.Tensor:
    written, _ = arrays(x, size=0, dynamic_size=True)
    return written.stack() * tf.cast(written.size(), tf.float32)


def array_gathered(x: tf.Tensor) -> tf.Tensor:
    written, _ = arrays(x, size=STEPS, element_shape=[None, WIDTH], clear_after_read=False)
    return written.gather([3, 1]) + written.read(2)


def array_concatenated(x: tf.Tensor) -> tf.Tensor:
    written, _ = arrays(x, size=STEPS)
    return written.concat()


def array_split(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    parts = tf.TensorArray(tf.float32, 2, infer_shape=False).split(x[:, 0] * w[0], [1, 2])
    return parts.read(1) * tf.exp(parts.read(0))


def array_scattered(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    parts = tf.TensorArray(tf.float32, 3).scatter([2, 0], x[0, :2] * w).write(1, w[0])
    return parts.stack() + tf.cast(parts.size(), tf.float32)


def array_in_a_condition(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    parts = tf.TensorArray(tf.float32, 2, clear_after_read=False).unstack(x[0, :2] * w)
    return v1.cond(tf.reduce_sum(x) > 0.0, lambda: parts.read(0) * parts.read(1), lambda: parts.read(1))


def array_written_in_a_condition(x: tf.Tensor) -> tf.Tensor:
    w = weights()

    def body(i: tf.Tensor, all_: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        return i + 1, v1.cond(i < 2, lambda: all_.write(i, x[:, i] * w[0]), lambda: all_.write(i, tf.exp(x[:, i])))

    return v1.while_loop(lambda i, _: i < STEPS, body, [0, tf.TensorArray(tf.float32, STEPS)])[1].stack()


def arrays_in_map_fn(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    return v1.map_fn(lambda row: v1.map_fn(lambda step: tf.tanh(step * w[0]), row), x)


def arrays_in_scan(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    return v1.scan(lambda state, step: turn(state + step, w), tf.transpose(x, [1, 0, 2]), tf.zeros_like(x[:, 0]))


def array_that_stays_empty(x: tf.Tensor) -> tf.Tensor:
    w = weights()
    none = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[WIDTH])
    none = v1.while_loop(lambda i, _: i < 0, lambda i, all_: (i + 1, all_.write(i, w[0])), [0, none])[1]
    return tf.reduce_sum(none.stack()) + x * w[0]


def lstm(x: tf.Tensor) -> Any:
    """What `dynamic_rnn` does with an LSTM cell and the lengths of sequences, which it skips by a conditional."""
    lengths = tf.constant(LENGTHS)
    kernel = variable("kernel", np.linspace(-0.6, 0.7, 4 * 8).reshape(4, 8))
    bias = variable("bias", np.linspace(-0.1, 0.1, 8))
    zero = tf.zeros_like(x[:, 0])
    read = tf.TensorArray(tf.float32, STEPS, element_shape=[None, WIDTH]).unstack(tf.transpose(x, [1, 0, 2]))

    def cell(x: tf.Tensor, c: tf.Tensor, h: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        i, j, f, o = tf.split(tf.matmul(tf.concat([x, h], 1), kernel) + bias, 4, 1)
        c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
        return c, tf.sigmoid(o) * tf.tanh(c)

    def body(i: tf.Tensor, c: tf.Tensor, h: tf.Tensor, all_: tf.TensorArray) -> tuple[Any, ...]:
        def step() -> list[tf.Tensor]:
            done = (i >= lengths)[:, tf.newaxis]
            new_c, new_h = cell(read.read(i), c, h)
            return [tf.where(done, c, new_c), tf.where(done, h, new_h), tf.where(done, zero, new_h)]

        c, h, out = v1.cond(i < tf.reduce_max(lengths), step, lambda: [c, h, zero])
        return i + 1, c, h, all_.write(i, out)

    written = tf.TensorArray(tf.float32, STEPS, element_shape=[None, WIDTH])
    shapes = [tf.TensorShape([]), tf.TensorShape([None, WIDTH]), tf.TensorShape([None, WIDTH]), tf.TensorShape(None)]
    _, c, h, written = v1.while_loop(
        lambda i, *_: i < STEPS, body, [0, zero, zero, written], swap_memory=True, shape_invariants=shapes
    )
    return {"default": tf.transpose(written.stack(), [1, 0, 2]), "c": c, "h": h}


STRUCTURES = [
    loop,
    loop_over_a_variable_read_inside,
    loop_over_an_old_variable,
    loop_with_a_lookup,
    loop_that_grows,
    loop_in_a_loop_that_grows,
    loop_until,
    loop_with_most_turns,
    loop_of_no_turns,
    loop_in_loop,
    loop_over_what_never_changes,
    loops_in_a_row,
    loop_with_a_condition,
    loop_with_conditions_in_conditions,
    condition,
    other_condition,
    condition_with_several_results,
    conditions_of_one_predicate,
    condition_of_cases,
    condition_after_an_assignment,
    condition_of_constants,
    condition_that_uses_its_predicate,
    loop_in_a_condition,
    loop_with_an_assertion,
    loop_with_a_function,
    array_stacked,
    array_that_grows,
    array_gathered,
    array_concatenated,
    array_split,
    array_scattered,
    array_in_a_condition,
    array_written_in_a_condition,
    arrays_in_map_fn,
    arrays_in_scan,
    array_that_stays_empty,
    lstm,
]


def in_the_graph(module: hub.Module, x: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Return the outputs, and the gradients of the sum of their squares, in a graph with control flow v1."""
    with loops_of_v1():
        outputs = flat(module(x, as_dict=True))
        return outputs, differentiated(outputs, wanted(module, x))


def around_a_function(module: hub.Module, x: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The same, of a function, from outside."""
    outputs = tf.function(lambda x: flat(module(x, as_dict=True)), autograph=False)(x)
    return outputs, differentiated(outputs, wanted(module, x))


def in_a_function(module: hub.Module, x: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """The same, by a tape in the function."""

    @tf.function(autograph=False)
    def function(x: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        sources = wanted(module, x)
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = flat(module(x, as_dict=True))
            total = tf.add_n([tf.reduce_sum(output * output) for output in outputs])
        return outputs, dense(tape.gradient(total, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO))

    return function(x)


def flat(outputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    return [outputs[name] for name in sorted(outputs)]


def wanted(module: hub.Module, x: tf.Tensor) -> list[Any]:
    return [x, *(module.variable_map[name] for name in sorted(module.variable_map))]


def differentiated(outputs: list[tf.Tensor], sources: list[Any]) -> list[tf.Tensor]:
    total = tf.add_n([tf.reduce_sum(output * output) for output in outputs])
    return dense(tf.gradients(total, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO))


def dense(gradients: list[Any]) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def spec_of_v1(module_fn: Callable[[], None]) -> hub.ModuleSpec:
    with loops_of_v1():
        return hub.create_module_spec(module_fn)


def evaluated(how: Callable[..., Any], spec: hub.ModuleSpec | str, x: Any = X) -> tuple[list[Any], list[Any]]:
    """Return the values of outputs and gradients."""
    with tf.Graph().as_default():
        module = hub.Module(spec, trainable=True)
        fetches = how(module, tf.constant(x))
        with started() as session:
            return session.run(fetches)  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=STRUCTURES, ids=lambda compute: compute.__name__)
def structure(request: pytest.FixtureRequest) -> tuple[hub.ModuleSpec, list[Any]]:
    """A module, and its outputs and gradients in a graph with control flow v1."""
    spec = spec_of_v1(signature(request.param))
    outputs, gradients = evaluated(in_the_graph, spec)
    return spec, [*outputs, *gradients]


@pytest.mark.parametrize("how", [around_a_function, in_a_function])
def test_outputs_and_gradients_are_those_of_v1(structure: tuple[hub.ModuleSpec, list[Any]], how: Any) -> None:
    spec, expected = structure
    with tf.Graph().as_default() as graph:
        outputs, gradients = how(hub.Module(spec, trainable=True), tf.constant(X))
        with started() as session:
            found = session.run([*outputs, *gradients])
        kinds = {node.op for function in graph.as_graph_def().library.function for node in function.node_def}
    for value, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)
    assert kinds.isdisjoint({"Enter", "Exit", "NextIteration", "LoopCond", "Switch", "Merge"})
    assert not [kind for kind in kinds if kind.startswith("TensorArray")]


@pytest.mark.parametrize("compute", [loop_in_loop, lstm], ids=lambda compute: compute.__name__)
def test_functions_name_their_nodes_apart(graph: tf.Graph, compute: Callable[[tf.Tensor], Any]) -> None:
    spec = spec_of_v1(signature(compute))
    tf.function(lambda x: flat(hub.Module(spec)(x, as_dict=True)), autograph=False)(tf.constant(X))
    for function in graph.as_graph_def().library.function:
        names = [node.name for node in function.node_def]
        assert len(names) == len(set(names))


def test_second_derivatives(graph: tf.Graph) -> None:
    spec = spec_of_v1(signature(lstm))
    found = []
    for how in (lambda module, x: tf.function(module)(x), lambda module, x: unrolled_lstm(module, x)):
        module = hub.Module(spec)
        x = tf.constant(X)
        sources = [x, module.variable_map["kernel"]]
        (first,) = tf.gradients(tf.reduce_sum(how(module, x) ** 2), [module.variable_map["kernel"]])
        found.append([first, *tf.gradients(tf.reduce_sum(first**2), sources)])
    with started() as session:
        values, expected = session.run(found)
    for value, other in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-6)


def unrolled_lstm(module: hub.Module, x: tf.Tensor) -> tf.Tensor:
    """The default output of `lstm`, by the same variables."""
    kernel, bias = module.variable_map["kernel"], module.variable_map["bias"]
    c = h = tf.zeros_like(x[:, 0])
    outputs = []
    for step in range(STEPS):
        done = (step >= tf.constant(LENGTHS))[:, tf.newaxis]
        i, j, f, o = tf.split(tf.matmul(tf.concat([x[:, step], h], 1), kernel) + bias, 4, 1)
        new_c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
        new_h = tf.sigmoid(o) * tf.tanh(new_c)
        outputs.append(tf.where(done, tf.zeros_like(h), new_h))
        c, h = tf.where(done, c, new_c), tf.where(done, h, new_h)
    return tf.stack(outputs, 1)


def test_random_numbers_in_a_loop_are_drawn_once(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        body: Any = lambda i, s: (i + 1, s + x * tf.random.uniform([], seed=7))  # noqa: E731
        hub.add_signature(inputs=x, outputs=v1.while_loop(lambda i, _: i < 5, body, [0, 0.0])[1])

    module = hub.Module(spec_of_v1(module_fn))
    x = tf.constant(3.0)
    y = tf.function(module)(x)
    (gradient,) = tf.gradients(y, [x])
    with started() as session:
        first, second = session.run([y, gradient]), session.run([y, gradient])
    np.testing.assert_allclose(first[0], 3.0 * first[1], rtol=1e-6)
    np.testing.assert_allclose(second[0], 3.0 * second[1], rtol=1e-6)
    assert first[0] != second[0]


def test_an_assertion_in_a_loop_fails(graph: tf.Graph) -> None:
    def module_fn() -> None:
        n = v1.placeholder(tf.int32, [])

        def body(i: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([v1.Assert(i < 3, ["too far", i])]):
                return i + 1

        hub.add_signature(inputs=n, outputs=v1.while_loop(lambda i: i < n, body, [0]))

    module = hub.Module(spec_of_v1(module_fn))
    n = v1.placeholder(tf.int32, [])
    y = tf.function(module)(n)
    with started() as session:
        assert session.run(y, {n: 3}) == 3
        with pytest.raises(tf.errors.InvalidArgumentError, match="too far"):
            session.run(y, {n: 4})


def test_an_assertion_that_nothing_in_its_branch_needs_fails(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])

        def branch() -> tf.Tensor:
            check = v1.Assert(x < 3.0, ["too much", x])
            with tf.control_dependencies([check]):
                return tf.identity(x)

        hub.add_signature(inputs=x, outputs=v1.cond(x > 1.0, branch, lambda: -x))

    module = hub.Module(spec_of_v1(module_fn))
    x = v1.placeholder(tf.float32, [])
    y = tf.function(module)(x)
    with started() as session:
        assert session.run(y, {x: 2.0}) == 2.0
        assert session.run(y, {x: -4.0}) == 4.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="too much"):
            session.run(y, {x: 4.0})


def updating_in_a_condition() -> None:
    """x -> w x, and an update op that counts the positive ones, one that counts the others by its branch's result."""
    x = v1.placeholder(tf.float32, [])
    w = variable("w", 2.0)
    positive = variable("positive", 0.0, trainable=False)
    other = variable("other", 0.0, trainable=False)

    def update() -> tf.Tensor:
        op = positive.assign_add(1.0, read_value=False)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, op)
        return w * x

    def count() -> tf.Tensor:
        with tf.control_dependencies([other.assign_add(x, read_value=False)]):
            return w * tf.identity(x)

    hub.add_signature(inputs=x, outputs=v1.cond(x > 0.0, update, count))


def updating_in_a_loop() -> None:
    """n -> the numbers below n summed, and an update op that sums them too."""
    n = v1.placeholder(tf.float32, [])
    total = variable("total", 0.0, trainable=False)

    def body(i: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, total.assign_add(i, read_value=False))
        return i + 1.0, s + i

    hub.add_signature(inputs=n, outputs=v1.while_loop(lambda i, _: i < n, body, [0.0, 0.0])[1])


@pytest.mark.parametrize("trainable", [True, False])
def test_an_update_op_in_a_branch_runs_with_the_branch(graph: tf.Graph, trainable: bool) -> None:
    module = hub.Module(spec_of_v1(updating_in_a_condition), trainable=trainable)
    x = v1.placeholder(tf.float32, [])
    y = tf.function(module)(x)
    (gradient,) = tf.gradients(y, [x])
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    positive, other = (module.variable_map[name] for name in ("positive", "other"))
    with started() as session:
        assert session.run([y, gradient, *updates], {x: 3.0})[:2] == [6.0, 2.0]
        assert session.run([positive, other]) == [1.0 if trainable else 0.0, 0.0]
        assert session.run([y, gradient, *updates], {x: -3.0})[:2] == [-6.0, 2.0]
        assert session.run([positive, other]) == [1.0 if trainable else 0.0, -3.0]


@pytest.mark.parametrize("context", ["function", "branch"])
def test_an_update_op_in_a_loop_runs_in_each_turn(graph: tf.Graph, context: str) -> None:
    module = hub.Module(spec_of_v1(updating_in_a_loop), trainable=True)
    n = tf.constant(4.0)
    y = tf.function(module)(n) if context == "function" else tf.cond(n > 0.0, lambda: module(n), lambda: n)
    (gradient,) = tf.gradients(y, [n], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    with started() as session:
        assert session.run([y, gradient]) == [6.0, 0.0]
        # In a branch an update waits to be asked for, and nobody can ask for one of a graph inside.
        assert session.run(module.variable_map["total"]) == (6.0 if context == "function" else 0.0)


def test_in_a_function_in_a_branch(graph: tf.Graph) -> None:
    module = hub.Module(spec_of_v1(signature(lstm)))
    x = tf.constant(X)
    inside = tf.cond(v1.placeholder_with_default(True, []), lambda: tf.function(module)(x), lambda: tf.zeros_like(x))
    outside = tf.function(module)(x)
    gradients = [tf.gradients(y**2, [x, *module.variables]) for y in (inside, outside)]
    with started() as session:
        for found, expected in zip(*session.run(gradients), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_published_module(graph: tf.Graph, tmp_path: Path) -> None:
    spec = spec_of_v1(signature(lstm))
    path = publish(spec, tmp_path / "module")
    for found, expected in zip(evaluated(around_a_function, path), evaluated(in_the_graph, spec), strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_fine_tuning_a_genuine_module_in_a_function(graph: tf.Graph, shared_modules: Path) -> None:
    folder = shared_modules / "genuine" / "control_flow"
    how = json.loads((folder / "golden.json").read_text())
    with np.load(folder / "golden.npz") as arrays:
        arrays = {name: arrays[name] for name in arrays.files}
    name = how["train_signature"]
    module = hub.Module(str(folder / "module"), trainable=True, tags=set(how["train_tags"]))
    prefix = f"in/{name}/"
    inputs = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    @tf.function(autograph=False)
    def loss() -> tf.Tensor:
        outputs = module(inputs, signature=name, as_dict=True)
        return tf.reduce_mean(tf.square(outputs[how["train_output"]]))

    total = tf.add_n([loss(), *v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)])
    step = v1.train.GradientDescentOptimizer(0.1).minimize(total)
    with started() as session:
        losses = [session.run([total, step])[0] for _ in range(3)]
        after = session.run(module.variable_map)
    np.testing.assert_allclose(losses, arrays["tune/losses"], rtol=1e-5, atol=1e-6)
    for variable_name, value in after.items():
        np.testing.assert_allclose(value, arrays[f"tune/after/{variable_name}"], rtol=1e-5, atol=1e-6)


def switched_by_hand(x: tf.Tensor) -> tf.Tensor:
    """What `tf.cond` builds, without its contexts."""
    w = weights()
    no, yes = tf.raw_ops.Switch(data=x[:, 0] * w[0], pred=tf.reduce_sum(x) > 0.0)
    return tf.raw_ops.Merge(inputs=[tf.exp(no), tf.tanh(yes)])[0] + looped(x, w)


def differentiated_inside(x: tf.Tensor) -> tf.Tensor:
    """A gradient that the module itself takes through a loop."""
    y = v1.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, tf.tanh(s * x[:, 1])), [0, x[:, 0]])[1]
    return tf.gradients(y, [x])[0] * weights()[0]


def two_arrays_in_one(x: tf.Tensor) -> tf.Tensor:
    """A TensorArray that is chosen by a conditional."""
    w = weights()
    one, other = (tf.TensorArray(tf.float32, 2).unstack(x[0, :2] * w[index]) for index in (0, 1))
    handle = tf.where(True, 1, 0)
    flow = tf.add_n([one.flow, other.flow])
    return tf.raw_ops.TensorArrayReadV3(handle=one.handle, index=handle, flow_in=flow, dtype=tf.float32)


FOREIGN = {
    switched_by_hand: "belongs to no conditional",
    differentiated_inside: "a gradient that the module takes itself",
    two_arrays_in_one: "uses what orders a TensorArray's ops",
}


@pytest.mark.parametrize("compute", FOREIGN, ids=lambda compute: compute.__name__)
def test_what_cannot_be_rebuilt_computes_the_same_and_refuses_gradients(
    graph: tf.Graph, compute: Callable[[tf.Tensor], Any]
) -> None:
    with loops_of_v1():
        spec = hub.create_module_spec(signature(compute))
    module = hub.Module(spec)
    x = tf.constant(X)
    y = tf.function(module)(x)
    with loops_of_v1():
        expected = module(x)
    with started() as session:
        np.testing.assert_allclose(*session.run([y, expected]), rtol=1e-6)
    with pytest.raises(errors.GraphError, match=FOREIGN[compute]):
        tf.gradients(y, [x])


@pytest.mark.parametrize("compute", [loop, loop_with_a_condition, condition, array_stacked, lstm])
def test_xla_compiles_and_differentiates(compute: Callable[[tf.Tensor], Any]) -> None:
    # Where shapes are known, and the function is traced inside the one that is compiled.
    spec = spec_of_v1(signature(compute))
    expected, (to_x, *_) = evaluated(in_the_graph, spec)
    with tf.Graph().as_default():
        module = hub.Module(spec)
        with started() as session:
            values = session.run(module.variable_map)
    plan = plan_signature(spec._description.variant(None), "default", training=False)
    variables = {name: tf.Variable(value) for name, value in values.items()}
    (name,) = plan.inputs["default"]

    @tf.function(jit_compile=True, autograph=False)
    def function(x: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        def body(x: tf.Tensor) -> list[tf.Tensor]:
            graph = v1.get_default_graph()
            handles = {f"{key}:0": graph.capture(variable.handle) for key, variable in variables.items()}
            fetched = [plan.outputs[key][0] for key in sorted(plan.outputs)]
            return import_functional(plan.part, {**handles, name: x}, fetched, [])[0]

        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = v1.wrap_function(body, [tf.TensorSpec(x.shape, x.dtype)])(x)
            total = tf.add_n([tf.reduce_sum(output * output) for output in outputs])
        return outputs, tape.gradient(total, x)

    outputs, gradient = function(tf.constant(X))
    for found, other in zip([*outputs, gradient], [*expected, to_x], strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["dynamic", "bidirectional", "raw"])
def test_recurrent_networks_of_tf1(kind: str, tmp_path: Path) -> None:
    """`tf.compat.v1.nn` has them only with Keras 2, which is chosen when TensorFlow is first imported."""
    script = Path(__file__).with_name("recurrent_network.py")
    done = subprocess.run(
        [sys.executable, script, kind, tmp_path / "module"],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": str(script.parents[2])},
    )
    assert done.returncode == 0, done.stderr
