"""A module applied, or made, inside conditionals, loops, functions and datasets of either control flow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import (
    collected,
    evaluated,
    lookup,
    loops_of_v1,
    normalizing_spec,
    publish,
    started,
    summing_loop,
    variable,
)

v1 = tf.compat.v1

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
ADDED = X + np.array([3.0, 30.0], np.float32)
ADDED_TWICE = ADDED + np.array([3.0, 30.0], np.float32)


def adding() -> None:
    """x [batch, 2] -> x + 3 w, as `summing_loop` has it, by one addition."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    hub.add_signature(inputs=x, outputs=x + 3.0 * variable("w", [1.0, 10.0]))


def adding_by_ref() -> None:
    """The same with a variable of the old kind."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    hub.add_signature(inputs=x, outputs=x + 3.0 * variable("w", [1.0, 10.0], use_resource=False))


def adding_by_array() -> None:
    """The same by a loop over a TensorArray."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w = variable("w", [1.0, 10.0])
    summands = v1.while_loop(
        lambda i, _: i < 3, lambda i, all_: (i + 1, all_.write(i, w)), [0, tf.TensorArray(tf.float32, 3)]
    )[1]
    hub.add_signature(inputs=x, outputs=x + tf.reduce_sum(summands.stack(), 0))


def adding_by_condition() -> None:
    """The same by conditionals in a loop."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w = variable("w", [1.0, 10.0])

    def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, v1.cond(tf.equal(i % 2, 0), lambda: total + w, lambda: tf.identity(total))

    shapes = [tf.TensorShape([]), x.shape]
    hub.add_signature(inputs=x, outputs=v1.while_loop(lambda i, _: i < 5, body, [0, x], shape_invariants=shapes)[1])


def adding_by_table() -> None:
    """The same with a table that says how often, and a random part that is always zero."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    often = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["w"], [3]), 0).lookup(tf.constant("w"))
    nothing = tf.random.uniform([], 0, 1, tf.int32)
    hub.add_signature(inputs=x, outputs=x + tf.cast(often + nothing, tf.float32) * variable("w", [1.0, 10.0]))


MODULES: dict[str, tuple[Callable[[], None], bool]] = {
    "plain": (adding, False),
    "ref variable": (adding_by_ref, False),
    "table": (adding_by_table, False),
    "loop of v1": (summing_loop, True),
    "array of v1": (adding_by_array, True),
    "conditional of v1": (adding_by_condition, True),
    "loop of v2": (summing_loop, False),
    "array of v2": (adding_by_array, False),
    "conditional of v2": (adding_by_condition, False),
}

Apply = Callable[[tf.Tensor], tf.Tensor]


def in_cond(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return v1.cond(v1.placeholder_with_default(True, []), lambda: module(x), lambda: tf.zeros_like(x))


def in_other_branch(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return v1.cond(v1.placeholder_with_default(False, []), lambda: tf.zeros_like(x), lambda: module(x))


def in_while_loop(module: Apply, x: tf.Tensor) -> tf.Tensor:
    shapes = [tf.TensorShape([]), tf.TensorShape([None, 2])]
    return v1.while_loop(lambda i, _: i < 2, lambda i, _: (i + 1, module(x)), [0, x], shape_invariants=shapes)[1]


def in_nested_loops(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return in_while_loop(lambda inner: in_cond(lambda y: in_while_loop(module, y), inner), x)


def in_map_fn(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda row: module(row[tf.newaxis])[0], x)


def in_function(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return tf.function(module, autograph=False)(x)


def in_function_of_autograph(module: Apply, x: tf.Tensor) -> tf.Tensor:
    @tf.function
    def applied(x: tf.Tensor) -> tf.Tensor:
        # AutoGraph turns this into a conditional, and looks into whatever is called here.
        if tf.reduce_sum(x) > 0.0:  # noqa: SIM108 - a statement is what it converts
            y = module(x)
        else:
            y = x
        return y

    return applied(x)


def in_function_in_cond(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return in_cond(lambda y: in_function(module, y), x)


def in_cond_in_function(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return in_function(lambda y: in_cond(module, y), x)


def in_wrapped_function(module: Apply, x: tf.Tensor) -> tf.Tensor:
    return v1.wrap_function(module, [tf.TensorSpec([None, 2], tf.float32)])(x)


OF_EITHER_VERSION = [in_cond, in_other_branch, in_while_loop, in_nested_loops, in_map_fn]
OF_V2 = [in_function, in_function_of_autograph, in_function_in_cond, in_cond_in_function, in_wrapped_function]


@pytest.fixture(scope="module", params=MODULES)
def adder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A published module that computes x + 3 w, whatever it is made of."""
    module_fn, old = MODULES[request.param]
    path = tmp_path_factory.mktemp("adder") / "module"
    if not old:
        return publish(module_fn, path)
    with loops_of_v1():
        return publish(module_fn, path)


@pytest.mark.parametrize("context", OF_EITHER_VERSION)
def test_applied_in_control_flow_of_v1(
    graph: tf.Graph, adder: str, context: Callable[[Apply, tf.Tensor], tf.Tensor]
) -> None:
    module = hub.Module(adder)
    with loops_of_v1():
        y = context(module, tf.constant(X))
    assert {"If", "StatelessIf", "While", "StatelessWhile"}.isdisjoint(
        op.type for op in graph.get_operations() if not op.name.startswith("module/") and "_apply_" not in op.name
    )
    np.testing.assert_allclose(evaluated(y), ADDED)


@pytest.mark.parametrize("context", OF_EITHER_VERSION + OF_V2)
def test_applied_in_control_flow_of_v2(
    graph: tf.Graph, adder: str, context: Callable[[Apply, tf.Tensor], tf.Tensor]
) -> None:
    module = hub.Module(adder)
    y = context(module, tf.constant(X))
    np.testing.assert_allclose(evaluated(y), ADDED)


def test_applied_in_a_dataset(graph: tf.Graph, adder: str) -> None:
    module = hub.Module(adder)
    rows = tf.data.Dataset.from_tensor_slices(X).map(lambda row: module(row[tf.newaxis])[0]).batch(3)
    iterator = v1.data.make_initializable_iterator(rows)
    y = iterator.get_next()
    with started() as session:
        session.run(module.variable_map["w"].assign([2.0, 20.0]))
        session.run(iterator.initializer)
        np.testing.assert_allclose(session.run(y), ADDED_TWICE)


def test_functions_see_todays_weights(graph: tf.Graph, adder: str) -> None:
    module = hub.Module(adder)
    y = in_function(module, tf.constant(X))
    with started() as session:
        session.run(module.variable_map["w"].assign([0.0, 0.0]))
        np.testing.assert_allclose(session.run(y), X)


def test_functions_share_the_state(graph: tf.Graph, adder: str) -> None:
    module = hub.Module(adder)
    in_function(module, tf.constant(X))
    in_cond(module, tf.constant(X))
    assert collected(v1.GraphKeys.GLOBAL_VARIABLES) == ["module/w"]


@pytest.mark.parametrize("context", OF_EITHER_VERSION + OF_V2)
@pytest.mark.parametrize("module_fn", [adding, adding_by_ref])
def test_gradients_through_contexts_of_v2(
    graph: tf.Graph, module_fn: Callable[[], None], context: Callable[[Apply, tf.Tensor], tf.Tensor]
) -> None:
    module = hub.Module(hub.create_module_spec(module_fn))
    x = tf.constant(X)
    gradients = tf.gradients(context(module, x), [module.variable_map["w"], x])
    with started() as session:
        to_w, to_x = session.run([tf.convert_to_tensor(gradient) for gradient in gradients])
    np.testing.assert_allclose(to_w, [9.0, 9.0])
    np.testing.assert_allclose(to_x, np.ones_like(X))


@pytest.mark.parametrize("context", [in_cond, in_while_loop, in_nested_loops, in_map_fn, in_function_in_cond])
@pytest.mark.parametrize("module_fn", [summing_loop, adding_by_array, adding_by_condition])
def test_gradients_through_control_flow_of_v1_in_contexts_of_v2(
    graph: tf.Graph, module_fn: Callable[[], None], context: Callable[[Apply, tf.Tensor], tf.Tensor]
) -> None:
    with loops_of_v1():
        spec = hub.create_module_spec(module_fn)
    module = hub.Module(spec)
    x = tf.constant(X)
    gradients = tf.gradients(context(module, x), [module.variable_map["w"], x])
    with started() as session:
        to_w, to_x = session.run([tf.convert_to_tensor(gradient) for gradient in gradients])
    np.testing.assert_allclose(to_w, [9.0, 9.0])
    np.testing.assert_allclose(to_x, np.ones_like(X))


@pytest.mark.parametrize("context", OF_EITHER_VERSION)
@pytest.mark.parametrize("module_fn", [adding, summing_loop, adding_by_array])
def test_gradients_through_contexts_of_v1(
    graph: tf.Graph,
    control_flow_v1: None,
    module_fn: Callable[[], None],
    context: Callable[[Apply, tf.Tensor], tf.Tensor],
) -> None:
    module = hub.Module(hub.create_module_spec(module_fn))
    x = tf.constant(X)
    gradients = tf.gradients(context(module, x), [module.variable_map["w"], x])
    with started() as session:
        to_w, to_x = session.run(gradients)
    np.testing.assert_allclose(to_w, [9.0, 9.0])
    np.testing.assert_allclose(to_x, np.ones_like(X))


def test_only_the_taken_branch_runs(graph: tf.Graph, control_flow_v1: None) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        with tf.control_dependencies([v1.Assert(x < 0.0, ["always"])]):
            hub.add_signature(inputs=x, outputs=tf.identity(x))

    module = hub.Module(hub.create_module_spec(module_fn))
    choose = v1.placeholder(tf.bool, [])
    y = v1.cond(choose, lambda: module(1.0), lambda: tf.constant(2.0))
    with started() as session:
        assert session.run(y, {choose: False}) == 2.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="always"):
            session.run(y, {choose: True})


@pytest.mark.parametrize("taken", [True, False])
def test_made_inside_a_conditional_of_v1(graph: tf.Graph, control_flow_v1: None, adder: str, taken: bool) -> None:
    x = tf.constant(X)
    y = v1.cond(v1.placeholder_with_default(taken, []), lambda: hub.Module(adder)(x), lambda: tf.identity(x))
    with started() as session:
        assert session.run(v1.report_uninitialized_variables()).tolist() == []
        np.testing.assert_allclose(session.run(y), ADDED if taken else X)


def test_made_in_a_wrapped_function(adder: str) -> None:
    wrapped = v1.wrap_function(lambda x: hub.Module(adder)(x), [tf.TensorSpec([None, 2], tf.float32)])
    with wrapped.graph.as_default():
        initializers = [v1.global_variables_initializer(), v1.tables_initializer()]
    wrapped.prune([], initializers)()
    np.testing.assert_allclose(wrapped(tf.constant(X)), ADDED)
    np.testing.assert_allclose(wrapped(tf.constant(X)), ADDED)


def test_a_vocabulary_in_a_dataset(graph: tf.Graph, tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")
    path = publish(lookup(vocabulary), tmp_path / "module")
    module = hub.Module(path)
    words = tf.data.Dataset.from_tensor_slices(["b", "z", "a"]).map(lambda word: module([word])[0]).batch(3)
    iterator = v1.data.make_initializable_iterator(words)
    ids = iterator.get_next()
    with started() as session:
        session.run(iterator.initializer)
        assert session.run(ids).tolist() == [1, -1, 0]


def test_several_calls_in_one_function(graph: tf.Graph, adder: str) -> None:
    module = hub.Module(adder)
    y = tf.function(lambda x: module(module(x)), autograph=False)(tf.constant(X))
    np.testing.assert_allclose(evaluated(y), ADDED_TWICE)


def test_a_call_in_a_function_keeps_update_ops_out_of_the_users_graph(graph: tf.Graph) -> None:
    # An op of the function's own graph in a collection of the outer one could never be run.
    module = hub.Module(normalizing_spec(), trainable=True, tags={"train"})
    y = in_function(module, tf.constant(X))
    assert all(op.graph is graph for op in v1.get_collection(v1.GraphKeys.UPDATE_OPS))
    with started() as session:
        session.run([y, *v1.get_collection(v1.GraphKeys.UPDATE_OPS)])
