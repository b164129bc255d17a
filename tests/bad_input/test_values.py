"""Inputs of the wrong dtype, shape or kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import evaluated, variable
from tests.refusals import refused

v1 = tf.compat.v1


def kinds() -> None:
    """A dense, a sparse, a ragged and a string signature."""
    x = v1.placeholder(tf.float32, [None, 2])
    sparse = v1.sparse_placeholder(tf.float32, [None, 2])
    ragged = v1.ragged.placeholder(tf.float32, 1, [])
    words = v1.placeholder(tf.string, [None])
    hub.add_signature(inputs=x, outputs=x * variable("w", 2.0))
    hub.add_signature("sparse", sparse, tf.sparse.to_dense(sparse))
    hub.add_signature("ragged", ragged, ragged.to_tensor())
    hub.add_signature("words", words, words)


@pytest.fixture(scope="module")
def spec() -> hub.ModuleSpec:
    return hub.create_module_spec(kinds)


@pytest.fixture
def module(graph: tf.Graph, spec: hub.ModuleSpec) -> Iterator[hub.Module]:
    """A module in the default graph, which still works after whatever the test did."""
    made = hub.Module(spec)
    yield made
    assert evaluated(made([[1.0, 1.0]])).tolist() == [[2.0, 2.0]]


SPARSE: Callable[[], Any] = lambda: tf.SparseTensor([[0, 0]], [1.0], [1, 2])  # noqa: E731 - a row of a table
RAGGED: Callable[[], Any] = lambda: tf.ragged.constant([[1.0], []])  # noqa: E731

OF_WRONG_DTYPE: dict[str, tuple[str, Callable[[], Any], str]] = {
    "int tensor": ("default", lambda: tf.constant([[1, 2]]), "int32"),
    "float64 tensor": ("default", lambda: tf.constant([[1.0, 2.0]], tf.float64), "float64"),
    "float64 variable": ("default", lambda: v1.get_variable("v", [1, 2], tf.float64), "float64"),
    "string tensor": ("default", lambda: tf.constant([["a", "b"]]), "string"),
    "strings": ("default", lambda: [["a", "b"]], "'a'"),
    "array of strings": ("default", lambda: np.array([["a", "b"]]), "a"),
    "numbers for strings": ("words", lambda: [1.0], "1.0"),
    "int tensor for strings": ("words", lambda: tf.constant([1]), "int32"),
    "sparse ints": ("sparse", lambda: tf.SparseTensor([[0, 0]], [1], [1, 2]), "int32"),
    "ragged ints": ("ragged", lambda: tf.ragged.constant([[1]]), "int32"),
    "complex": ("default", lambda: [[1j, 2j]], "1j"),
    "an object": ("default", lambda: object(), "object"),
    "None in a list": ("default", lambda: [[None, 1.0]], "None"),
}


@pytest.mark.parametrize("case", OF_WRONG_DTYPE)
def test_the_wrong_dtype(graph: tf.Graph, module: hub.Module, case: str) -> None:
    signature, make, named = OF_WRONG_DTYPE[case]
    given = make()
    accepted = "string" if signature == "words" else "float32"
    says = (named, accepted, "'default'", repr(signature))
    with refused(errors.InvalidInputError, TypeError, ValueError, graph=graph, says=says):
        module(given, signature=signature)


OF_WRONG_SHAPE: dict[str, tuple[str, Callable[[], Any], str]] = {
    "columns": ("default", lambda: [[1.0, 2.0, 3.0]], "(1, 3)"),
    "rank 1": ("default", lambda: [1.0, 2.0], "(2,)"),
    "rank 0": ("default", lambda: 1.0, "()"),
    "rank 3 array": ("default", lambda: np.ones([1, 1, 2], np.float32), "(1, 1, 2)"),
    "tensor": ("default", lambda: tf.ones([4, 3]), "(4, 3)"),
    "variable": ("default", lambda: v1.get_variable("v", [4, 3]), "(4, 3)"),
    "partly known": ("default", lambda: v1.placeholder(tf.float32, [None, 3]), "(None, 3)"),
    "sparse": ("sparse", lambda: tf.SparseTensor([[0, 0, 0]], [1.0], [1, 2, 2]), "1, 2, 2"),
    "words": ("words", lambda: [["a"]], "(1, 1)"),
}


@pytest.mark.parametrize("case", OF_WRONG_SHAPE)
def test_the_wrong_shape(graph: tf.Graph, module: hub.Module, case: str) -> None:
    signature, make, shape = OF_WRONG_SHAPE[case]
    given = make()
    expected = {"words": "(None,)", "sparse": "None, 2"}.get(signature, "(None, 2)")
    says = (shape, expected, "'default'", repr(signature))
    with refused(errors.InvalidInputError, TypeError, ValueError, graph=graph, says=says):
        module(given, signature=signature)


@pytest.mark.parametrize("given", [[[1.0, 2.0], [3.0]], [[1.0], 2.0]], ids=repr)
def test_rows_of_different_length(graph: tf.Graph, module: hub.Module, given: Any) -> None:
    with refused(errors.InvalidInputError, TypeError, ValueError, graph=graph, says=("'default'", "(None, 2)")):
        module(given)


OF_WRONG_KIND: dict[str, tuple[str, Callable[[], Any], str, str]] = {
    "sparse for dense": ("default", SPARSE, "SparseTensor", "Tensor"),
    "ragged for dense": ("default", RAGGED, "RaggedTensor", "Tensor"),
    "dense for sparse": ("sparse", lambda: tf.constant([[1.0, 2.0]]), "Tensor", "SparseTensor"),
    "list for sparse": ("sparse", lambda: [[1.0, 2.0]], "list", "SparseTensor"),
    "ragged for sparse": ("sparse", RAGGED, "RaggedTensor", "SparseTensor"),
    "dense for ragged": ("ragged", lambda: tf.constant([[1.0, 2.0]]), "Tensor", "RaggedTensor"),
    "sparse for ragged": ("ragged", SPARSE, "SparseTensor", "RaggedTensor"),
}


@pytest.mark.parametrize("case", OF_WRONG_KIND)
def test_the_wrong_kind(graph: tf.Graph, module: hub.Module, case: str) -> None:
    signature, make, got, expected = OF_WRONG_KIND[case]
    given = make()
    says = (got, expected, "'default'", repr(signature))
    with refused(errors.InvalidInputError, TypeError, graph=graph, says=says):
        module(given, signature=signature)


def test_a_tensor_of_another_graph(graph: tf.Graph, module: hub.Module) -> None:
    with tf.Graph().as_default():
        stranger = tf.constant([[1.0, 2.0]])
    with refused(errors.ModhubError, ValueError, graph=graph, says=("graph",)):
        module(stranger)


def test_a_later_bad_input_leaves_no_trace_of_an_earlier_good_one(graph: tf.Graph) -> None:
    def module_fn() -> None:
        a, b = v1.placeholder(tf.float32, []), v1.placeholder(tf.float32, [])
        hub.add_signature(inputs={"a": a, "b": b}, outputs=a + b)

    module = hub.Module(hub.create_module_spec(module_fn))
    for bad in ({"a": 1.0, "b": "x"}, {"a": "x", "b": 1.0}, {"a": 1.0, "b": [1.0]}):
        with refused(errors.InvalidInputError, TypeError, graph=graph):
            module(bad)
    assert evaluated(module({"a": 1.0, "b": 2.0})) == 3.0
