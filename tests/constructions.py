"""Small module_fn's that the tests share, and the two steps of every test: publish one, evaluate tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import modhub as hub

v1 = tf.compat.v1

WEIGHTS = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
BIAS = np.array([0.5, -0.5], np.float32)


def variable(name: str, value: Any, dtype: tf.DType = tf.float32, **options: Any) -> tf.Variable:
    """Create a variable with a known first value."""
    array = np.asarray(value, dtype.as_numpy_dtype)
    return v1.get_variable(name, array.shape, dtype, initializer=v1.constant_initializer(array), **options)


def affine() -> None:
    """x [batch, 2] -> x @ w + b, with an L2 loss on w."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w, b = variable("w", WEIGHTS), variable("b", BIAS)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(w * w))
    hub.add_signature(inputs=x, outputs=tf.matmul(x, w) + b)


def doubling() -> None:
    """x [batch] -> 2 x: a module without any state."""
    x = v1.placeholder(tf.float32, [None], name="x")
    hub.add_signature(inputs=x, outputs=2.0 * x)


def normalizing(training: bool = False) -> None:
    """x [batch, 2] -> (x - mean) * gamma; the train variant moves `mean` half way to the batch's mean."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    gamma = variable("gamma", [1.0, 2.0])
    mean = variable("mean", [0.0, 0.0], trainable=False)
    v1.add_to_collection(v1.GraphKeys.MODEL_VARIABLES, mean)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(gamma * gamma))
    used = mean
    if training:
        used = tf.reduce_mean(x, 0)
        update = v1.assign_add(mean, 0.5 * (used - mean.read_value()))
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    hub.add_signature(inputs=x, outputs=(x - used) * gamma)


def normalizing_spec() -> hub.ModuleSpec:
    """The two variants of `normalizing`: no tags, and {"train"}."""
    return hub.create_module_spec(normalizing, [(set(), {"training": False}), ({"train"}, {"training": True})])


def counted_rows(shape: list[int], dtype: tf.DType = tf.float32, partition_info: Any = None) -> tf.Tensor:
    """Initialize a table with 0, 1, 2, ..., row by row, whichever of its parts is asked for."""
    first = partition_info.var_offset[0] * shape[1] if partition_info else 0
    return tf.constant(np.arange(first, first + np.prod(shape)).reshape(shape), dtype)


def partitioned() -> None:
    """ids [batch] -> rows of a [10, 2] table that is kept in three parts."""
    ids = v1.placeholder(tf.int64, [None], name="ids")
    table = v1.get_variable("part/table", [10, 2], initializer=counted_rows, partitioner=v1.fixed_size_partitioner(3))
    hub.add_signature(inputs=ids, outputs=tf.gather(tf.convert_to_tensor(table), ids))


def lookup(vocabulary: Path) -> Callable[[], None]:
    """words [batch] -> their line numbers in a vocabulary file, which becomes an asset; -1 when unknown."""

    def module_fn() -> None:
        words = v1.placeholder(tf.string, [None], name="words")
        lines = tf.lookup.TextFileInitializer(
            str(vocabulary),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        table = tf.lookup.StaticHashTable(lines, -1)
        hub.add_signature(inputs=words, outputs=table.lookup(words))

    return module_fn


def summing_loop() -> None:
    """x [batch, 2] -> x + 3 w, by a loop that runs three times."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w = variable("w", [1.0, 10.0])
    _, total = v1.while_loop(
        lambda i, _: i < 3, lambda i, s: (i + 1, s + w), [0, x], shape_invariants=[tf.TensorShape([]), x.shape]
    )
    hub.add_signature(inputs=x, outputs=total)


@contextlib.contextmanager
def loops_of_v1() -> Iterator[None]:
    """Build loops and conditionals as TF1 did while this lasts."""
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        v1.enable_control_flow_v2()


@contextlib.contextmanager
def started() -> Iterator[v1.Session]:
    """A session on the default graph in which variables and tables are initialised."""
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        yield session


def evaluated(fetches: Any, feed_dict: dict[Any, Any] | None = None) -> Any:
    """Initialise the default graph's state in a new session and evaluate there."""
    with started() as session:
        return session.run(fetches, feed_dict)


def publish(
    module: Callable[[], None] | hub.ModuleSpec | str, path: Path, changed: dict[str, Any] | None = None
) -> str:
    """Export a module_fn, spec or published module with fresh weights, some of them changed; return the path."""
    spec = hub.create_module_spec(module) if callable(module) else module
    with tf.Graph().as_default():
        instance = hub.Module(spec)
        changes = [v1.assign(instance.variable_map[name], value) for name, value in (changed or {}).items()]
        with started() as session:
            session.run(changes)
            instance.export(str(path), session)
    return str(path)


def names(variables: list[tf.Variable]) -> list[str]:
    """Return the sorted names of variables, without ':0'."""
    return sorted(variable.op.name for variable in variables)


def collected(key: str) -> list[str]:
    """Return the sorted names of what a collection of the default graph holds."""
    return sorted(getattr(item, "op", item).name for item in v1.get_collection(key))


def op_types(graph: tf.Graph) -> list[str]:
    """Return the types of a graph's operations, in creation order."""
    return [op.type for op in graph.get_operations()]
