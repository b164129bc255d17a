"""The private symbols of TensorFlow that scripts, and the contrib they have, are given; each with its reason.

Tried on TensorFlow 2.18 and 2.21.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# What became public of these, tf.lookup, lacks the functions that make a table of a vocabulary, and TF1's classes.
from tensorflow.python.ops import lookup_ops

# tf.nest has a third of it; contrib.framework.nest had all.
from tensorflow.python.util import nest

__all__ = ["lookup_ops", "names_of_2018", "nest"]


def names_of_2018() -> dict[str, dict[str, Callable[[], Any]]]:
    """Return what scripts, and tf_slim 1.1.0, take from private modules of TensorFlow, and is not there any more.

    Returns:
      By the name of a module, and of what it had, what gives that now.
    """
    v1 = tf.compat.v1
    return {
        "tensorflow.python.framework.ops": {"IndexedSlices": lambda: tf.IndexedSlices, "Tensor": lambda: tf.Tensor},
        "tensorflow.python.framework.tensor_shape": {
            "matrix": lambda: lambda rows=None, columns=None: v1.TensorShape([rows, columns]),
            "scalar": lambda: lambda: v1.TensorShape([]),
            "vector": lambda: lambda length=None: v1.TensorShape([length]),
        },
        # TensorFlow looks for these in a part of tf_keras that is not there.
        "tensorflow.python.layers.normalization": {
            "BatchNormalization": lambda: v1.layers.BatchNormalization,
            "batch_normalization": lambda: v1.layers.batch_normalization,
        },
        "tensorflow.python.ops.array_ops": {"stack": lambda: tf.stack, "unstack": lambda: tf.unstack},
        "tensorflow.python.ops.control_flow_ops": {
            "Assert": lambda: tf.debugging.Assert,
            "case": lambda: v1.case,
            "cond": lambda: v1.cond,
            "while_loop": lambda: v1.while_loop,
        },
        "tensorflow.python.ops.variable_scope": {"variable": lambda: v1.Variable},
        "tensorflow.python.ops.variables": {"VariableV1": lambda: v1.Variable},
        "tensorflow.python.pywrap_tensorflow": {"NewCheckpointReader": lambda: v1.train.NewCheckpointReader},
    }
