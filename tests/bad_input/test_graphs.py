"""Calls from another graph, and in eager mode."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import affine, evaluated, publish
from tests.refusals import refused

v1 = tf.compat.v1


def test_a_call_from_another_graph(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with tf.Graph().as_default() as other, refused(errors.GraphError, RuntimeError, graph=other, says=("graph",)):
        module([[1.0, 2.0]])
    assert evaluated(module([[0.0, 0.0]])).tolist() == [[0.5, -0.5]]


def test_a_call_from_a_function_of_another_graph(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with tf.Graph().as_default(), refused(errors.GraphError, RuntimeError):
        tf.function(lambda x: module(x), autograph=False)(tf.ones([1, 2]))
    assert evaluated(module([[0.0, 0.0]])).tolist() == [[0.5, -0.5]]


@pytest.mark.parametrize("published", [False, True])
def test_construction_in_eager_mode(tmp_path: Path, published: bool) -> None:
    spec = publish(affine, tmp_path / "module") if published else hub.create_module_spec(affine)
    assert tf.executing_eagerly()
    with refused(errors.GraphError, RuntimeError, folder=tmp_path, says=("eager", "tf.Graph")):
        hub.Module(spec)


def test_a_call_in_eager_mode() -> None:
    with tf.Graph().as_default() as graph:
        module = hub.Module(hub.create_module_spec(affine))
    assert tf.executing_eagerly()
    with refused(errors.GraphError, RuntimeError, graph=graph, says=("eager",)):
        module([[1.0, 2.0]])
    with graph.as_default():
        assert evaluated(module([[0.0, 0.0]])).tolist() == [[0.5, -0.5]]


def test_construction_in_a_function_under_eager_mode() -> None:
    spec = hub.create_module_spec(affine)
    with refused(errors.GraphError, RuntimeError, says=("tf.function",)):
        tf.function(lambda x: hub.Module(spec)(x), autograph=False)(tf.ones([1, 2]))


def test_a_finalized_graph(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    graph.finalize()
    before = len(graph.get_operations())
    with pytest.raises(RuntimeError, match="finalized"):
        module([[1.0, 2.0]])
    with pytest.raises(RuntimeError, match="finalized"):
        hub.Module(hub.create_module_spec(affine))
    assert len(graph.get_operations()) == before


def test_exporting_without_a_session(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with refused(errors.ModhubError, graph=graph, folder=tmp_path):
        module.export(str(tmp_path / "module"), None)
