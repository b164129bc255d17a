"""What a layer calls: a module's signature, or what a TF2 SavedModel offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from modhub.keras.carried import AbsentCallee
from modhub.keras.module_callee import ModuleCallee
from modhub.keras.options import AbsentHandle, Options
from modhub.keras.saved_model_callee import SavedModelCallee
from modhub.loaded import LoadedModule

__all__ = ["Callee", "make_callee"]


class Callee(Protocol):
    """What a layer calls.

    Attributes:
      target: the object that was loaded.
      variables: by unique name.
      trainable: the names of those that the publisher made trainable; some may be frozen.
      losses: regularization losses, functions without arguments.
      dtype: that of the single input, if there is one and it is known.
      can_compile: whether XLA knows all of it.
    """

    target: Any
    variables: Mapping[str, tf.Variable]
    trainable: frozenset[str]
    losses: Sequence[Callable[[], tf.Tensor]]
    dtype: tf.DType | None
    can_compile: bool

    def prepare(self, inputs: Any) -> Any:
        """Return inputs as tensors of the dtypes that are wanted; symbolic ones of Keras stay."""

    def call(self, inputs: Any, training: Any) -> tuple[Any, list[tf.Tensor]]:
        """Compute; return the outputs, and the losses that depend on the inputs."""

    def output_specs(self, inputs: Any) -> Any:
        """Return the TypeSpecs of the outputs for inputs that are given as TypeSpecs."""


def make_callee(options: Options) -> Callee:
    """Return what a layer of these options calls.

    Raises:
      HandleNotFoundError, UnknownVariantError: and other errors of `modhub.load`.
      UnknownSignatureError, UnknownOutputError: there is no such signature or output.
      InvalidArgumentError: the options do not fit what is loaded.
    """
    if isinstance(options.handle, AbsentHandle):
        return AbsentCallee(options.handle)
    target = options.loaded()
    if isinstance(target, LoadedModule):
        return ModuleCallee(target, options)
    return SavedModelCallee(target, options)
