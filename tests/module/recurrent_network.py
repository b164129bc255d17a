"""Compares a recurrent network of TF1 in a function with the same in a graph; run by `test_control_flow.py`.

Arguments: "dynamic", "bidirectional" or "raw"; a path to publish the network's module to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

import modhub as hub
from tests.constructions import loops_of_v1, publish, started

v1 = tf.compat.v1

UNITS, WIDTH = 3, 4
X = np.random.default_rng(0).normal(size=[3, 5, WIDTH]).astype(np.float32)
LENGTHS = [5, 2, 3]


def dynamic(x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    cell = v1.nn.rnn_cell.MultiRNNCell([v1.nn.rnn_cell.LSTMCell(UNITS), v1.nn.rnn_cell.GRUCell(UNITS)])
    return v1.nn.dynamic_rnn(cell, x, sequence_length=lengths, dtype=tf.float32)[0]


def bidirectional(x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    cells = [v1.nn.rnn_cell.LSTMCell(UNITS) for _ in range(2)]
    outputs, _ = v1.nn.bidirectional_dynamic_rnn(*cells, x, sequence_length=lengths, dtype=tf.float32)
    return tf.concat(outputs, -1)


def raw(x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    cell = v1.nn.rnn_cell.LSTMCell(UNITS)
    steps = tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False).unstack(tf.transpose(x, [1, 0, 2]))
    batch = tf.shape(x)[0]

    def step(time: tf.Tensor, output: tf.Tensor | None, state: tf.Tensor | None, _: None) -> tuple[object, ...]:
        finished = time >= lengths
        given = tf.cond(tf.reduce_all(finished), lambda: tf.zeros([batch, WIDTH]), lambda: steps.read(time))
        return finished, given, cell.zero_state(batch, tf.float32) if output is None else state, output, None

    return tf.transpose(v1.nn.raw_rnn(cell, step)[0].stack(), [1, 0, 2])


def main() -> None:
    """Compare the outputs and the gradients to the inputs and the variables."""
    compute = {"dynamic": dynamic, "bidirectional": bidirectional, "raw": raw}[sys.argv[1]]

    def module_fn() -> None:
        x, lengths = v1.placeholder(tf.float32, [None, None, WIDTH]), v1.placeholder(tf.int32, [None])
        hub.add_signature(inputs={"x": x, "lengths": lengths}, outputs=compute(x, lengths))

    with loops_of_v1():
        path = publish(module_fn, Path(sys.argv[2]))
    module, x = hub.Module(path), tf.constant(X)
    sources = [x, *module.variables]
    inside = tf.function(lambda x: module({"x": x, "lengths": tf.constant(LENGTHS)}), autograph=False)(x)
    found = [inside, *tf.gradients(inside**2, sources)]
    with loops_of_v1():
        outside = module({"x": x, "lengths": tf.constant(LENGTHS)})
        expected = [outside, *tf.gradients(outside**2, sources)]
    with started() as session:
        for one, other in zip(*session.run([found, expected]), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    with tf.Graph().as_default():
        main()
