"""What Keras models and layers say of themselves; Keras 3 and Keras 2 (tf_keras) alike, and neither is imported."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring.from_tf2.arguments import Arguments, as_arguments, takes

__all__ = ["describe_keras", "is_keras", "loss_functions"]


def is_keras(obj: Any) -> bool:
    """Tell whether an object is a layer or model of a Keras that was imported."""
    return any(
        name in sys.modules and isinstance(obj, sys.modules[name].layers.Layer) for name in ("keras", "tf_keras")
    )


def describe_keras(model: Any, inputs: Any) -> tuple[Arguments, list[str] | None, bool]:
    """Return a model's arguments, names for outputs that are a list, and whether it takes an argument `training`.

    Args:
      model: the model or layer.
      inputs: what the caller says the inputs are, or None.

    Raises:
      InvalidArgumentError: nothing says what the inputs are, or the model is not one of TensorFlow.
    """
    keras3 = "keras" in sys.modules and isinstance(model, sys.modules["keras"].layers.Layer)
    keras3 = keras3 and hasattr(sys.modules["keras"], "config")
    if keras3 and sys.modules["keras"].config.backend() != "tensorflow":
        raise errors.InvalidArgumentError(
            f"The Keras model {model.name!r} runs on {sys.modules['keras'].config.backend()!r}: only models on the "
            "backend 'tensorflow' have a graph that can be published."
        )
    structure = _inputs(model) if inputs is None else inputs
    if structure is None:
        raise errors.InvalidArgumentError(
            f"What the Keras model {model.name!r} takes is not known, because it was not made of keras.Input: pass "
            "inputs=tf.TensorSpec([None, 3]), with the shape and dtype that it takes."
        )
    tensors = getattr(model, "inputs", None) or []
    arguments = as_arguments(structure, None)
    if isinstance(structure, list | tuple) and 1 < len(structure) == len(tensors):
        arguments = dataclasses.replace(arguments, names=tuple(str(tensor.name) for tensor in tensors))
    return arguments, getattr(model, "output_names", None), keras3 or takes(model.call, "training")


def loss_functions(obj: Any) -> list[Callable[[], Any]]:
    """Return functions that give an object's regularization losses: one or a list each."""
    if is_keras(obj):
        return [lambda: obj.losses]
    losses = getattr(obj, "regularization_losses", None) or ()
    return [loss for loss in losses if callable(loss)]


def _inputs(model: Any) -> Any:
    """Return the TypeSpecs of what a model takes, as far as it knows."""
    if getattr(model, "inputs", None):
        try:
            symbolic = model.input
        except AttributeError:  # a Sequential of Keras 3
            symbolic = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        return tf.nest.map_structure(_spec, symbolic)
    saved = model.save_spec() if hasattr(model, "save_spec") else None  # Keras 2 remembers how it was called
    if saved is None:
        return None
    (args, _) = saved
    return tf.nest.map_structure(_unnamed, args[0])


def _spec(tensor: Any) -> tf.TypeSpec:
    """Return the TypeSpec of a KerasTensor."""
    if hasattr(tensor, "type_spec"):  # Keras 2
        return _unnamed(tensor.type_spec)
    if getattr(tensor, "sparse", False):
        return tf.SparseTensorSpec(tensor.shape, tensor.dtype)
    if getattr(tensor, "ragged", False):
        return tf.RaggedTensorSpec(tensor.shape, tensor.dtype)
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _unnamed(spec: tf.TypeSpec) -> tf.TypeSpec:
    """Take the name that Keras gave off a TensorSpec."""
    return tf.TensorSpec(spec.shape, spec.dtype) if isinstance(spec, tf.TensorSpec) else spec
