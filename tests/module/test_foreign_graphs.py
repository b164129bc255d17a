"""Graphs that hold more than the module: ops below its scopes, tensors of other graphs and of eager mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import affine, evaluated, publish, started, variable

v1 = tf.compat.v1


def doubling() -> None:
    x = v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs=x, outputs={"default": 2.0 * x, "same": x})


def summing() -> None:
    x = v1.sparse_placeholder(tf.float32, [None, 3])
    hub.add_signature(inputs=x, outputs=tf.sparse.reduce_sum(x))


def test_a_variable_of_the_user_below_the_modules_scope(graph: tf.Graph, tmp_path: Path) -> None:
    theirs = v1.get_variable("module/w", initializer=[100.0, 100.0])
    module = hub.Module(publish(affine, tmp_path / "module"))
    assert module.variable_map["w"] is not theirs
    assert module.variable_map["w"].op.name == "module_1/w"
    with started() as session:
        assert session.run(theirs).tolist() == [100.0, 100.0]
        assert session.run(module.variable_map["w"]).tolist() != [100.0, 100.0]


def test_a_graph_that_was_imported_with_a_module_in_it(tmp_path: Path) -> None:
    spec = hub.create_module_spec(doubling)
    with tf.Graph().as_default():
        hub.Module(spec)([1.0])
        written = v1.train.export_meta_graph()
    with tf.Graph().as_default():
        v1.train.import_meta_graph(written)
        y = hub.Module(spec)([7.0])
        assert evaluated(y).tolist() == [14.0]


@pytest.mark.parametrize("output", ["default", "same"])
def test_a_tensor_of_another_graph_is_refused(graph: tf.Graph, output: str) -> None:
    module = hub.Module(hub.create_module_spec(doubling))
    v1.placeholder(tf.float32, [None])  # of the same name as the stranger
    with tf.Graph().as_default():
        stranger = v1.placeholder(tf.float32, [None])
    with pytest.raises(errors.InvalidInputError, match="another graph"):
        module(stranger, as_dict=True)[output]


def test_eager_tensors_become_constants(graph: tf.Graph) -> None:
    with tf.init_scope():
        dense = tf.constant([1.0, 2.0])
        sparse = tf.SparseTensor([[0, 1]], [4.0], [1, 3])
    assert evaluated(hub.Module(hub.create_module_spec(doubling))(dense)).tolist() == [2.0, 4.0]
    assert evaluated(hub.Module(hub.create_module_spec(summing))(sparse)).item() == 4.0


def test_a_list_of_tensors_is_checked(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(doubling))
    assert evaluated(module([tf.constant(1.0), 2.0])).tolist() == [2.0, 4.0]
    with pytest.raises(errors.InvalidInputError, match="int32"):
        module([tf.constant(1), tf.constant(2)])
    with pytest.raises(errors.InvalidInputError, match=r"shape \(2, 2\)"):
        module([tf.constant([1.0, 1.0]), tf.constant([2.0, 2.0])])


def test_what_is_returned_as_it_came_keeps_its_shape(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs=x, outputs=x)

    x = v1.placeholder(tf.float32, None)
    assert hub.Module(hub.create_module_spec(module_fn))(x) is x
    assert x.shape.rank is None


def test_moving_averages_of_a_modules_variables(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(publish(affine, tmp_path / "module"))
    averages = tf.train.ExponentialMovingAverage(0.5)
    averages.apply(module.variables)
    average = averages.average(module.variables[0])
    assert average.shape == module.variables[0].shape
    with started() as session:
        np.testing.assert_array_equal(*session.run([average, module.variables[0]]))


def test_a_finalized_graph_is_refused(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(doubling))
    graph.finalize()
    with pytest.raises(errors.GraphError, match="finalized"):
        module([1.0])
    with pytest.raises(errors.GraphError, match="finalized"):
        hub.Module(hub.create_module_spec(doubling))


@pytest.mark.parametrize("kind", ["dropout", "generator", "assignment"])
def test_the_gradient_of_a_function_that_cannot_run_twice_is_refused(graph: tf.Graph, kind: str) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        w = variable("w", 1.0)
        generator = tf.random.Generator.from_seed(1) if kind == "generator" else None

        def body(each: tf.Tensor) -> tf.Tensor:
            if kind == "dropout":
                return tf.nn.dropout(w * each, 0.5)
            if generator is not None:
                return w * each * generator.normal([])
            w.assign_add(1.0)
            return w * each

        hub.add_signature(inputs=x, outputs=tf.function(body)(x))

    module = hub.Module(hub.create_module_spec(module_fn))
    with pytest.raises(errors.GraphError, match="a second time"):
        tf.gradients(module([1.0, 2.0]), module.variables)


def test_a_loop_in_a_loss_has_a_gradient(graph: tf.Graph, control_flow_v1: None) -> None:
    def module_fn() -> None:
        w = variable("w", 3.0)
        _, cubed = v1.while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, x * w), [0, tf.identity(w)])
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, cubed)
        hub.add_signature(outputs=tf.identity(w))

    spec = hub.create_module_spec(module_fn)
    modules = [hub.Module(spec, trainable=True), hub.Module(spec, trainable=True)]
    losses = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
    gradients = [tf.gradients(loss, each.variables)[0] for loss, each in zip(losses, modules, strict=True)]
    assert evaluated(gradients) == [27.0, 27.0]
