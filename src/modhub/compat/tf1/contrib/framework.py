"""tf.contrib.framework: variables and their checkpoints, arg_scope, nest; of tf_slim and TensorFlow."""

from __future__ import annotations

import importlib

import tensorflow as tf

from modhub.compat.tf1.contrib import nest
from modhub.compat.tf1.contrib.names import names_from
from modhub.compat.tf1.contrib.slim import tf_slim

__all__ = ["checkpoint_utils", "nest", "variables"]

variables = importlib.import_module(f"{tf_slim.__name__}.ops.variables")
# The attribute arg_scope of tf_slim.ops is this module or its function, as it comes.
_arg_scope = importlib.import_module(f"{tf_slim.__name__}.ops.arg_scope")
checkpoint_utils = tf.compat.v1.train  # list_variables, load_variable, init_from_checkpoint

__getattr__ = names_from("framework", variables, _arg_scope, tf.compat.v1.train, tf.compat.v1)
