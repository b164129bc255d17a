"""A module's signature as what a layer calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.core import convert_inputs
from modhub.keras.compilable import can_compile
from modhub.keras.options import Options
from modhub.keras.signature import Signature
from modhub.keras.specs import cast_like, is_symbolic, is_tensor
from modhub.loaded import LoadedModule

__all__ = ["ModuleCallee"]


class ModuleCallee:
    """A signature of a module, the one called "default" if no other is asked for, and so with its output."""

    def __init__(self, module: LoadedModule, options: Options) -> None:
        self.target = module
        self.name = options.signature or "default"
        self.arguments = options.arguments
        self._inputs = module.get_input_info_dict(self.name)
        self.signature = Signature(
            where=f"signature {self.name!r} of {module!r}",
            inputs={name: info.type_spec for name, info in self._inputs.items()},
            outputs={name: info.type_spec for name, info in module.get_output_info_dict(self.name).items()},
            arguments=frozenset(options.arguments),
            output_key=None if options.as_dict else options.output_key or "default",
        )
        _check(self.signature)
        named = {
            f"{key}:{part}" if isinstance(value, list) else key: variable
            for key, value in module.variable_map.items()
            for part, variable in enumerate(value if isinstance(value, list) else [value])
        }
        self.variables: Mapping[str, tf.Variable] = named
        self.trainable = _trainable(module, named)
        self.losses: Sequence[Callable[[], tf.Tensor]] = module.regularization_losses
        self.dtype = self.signature.dtype()
        self.can_compile = can_compile(variant.meta_graph.graph_def for variant in module.spec.description)

    def prepare(self, inputs: Any) -> Any:
        """Return inputs as tensors of the signature's dtypes; symbolic ones of Keras stay."""
        if isinstance(inputs, Mapping):
            return {name: self._prepared(name, value) for name, value in inputs.items()}
        free = self.signature.free_inputs()
        return self._prepared(free[0], inputs) if len(free) == 1 else inputs

    def _prepared(self, name: str, value: Any) -> Any:
        if value is None or name not in self._inputs:
            return value
        if is_symbolic(value):
            if isinstance(value, list | tuple | Mapping):
                raise errors.InvalidInputError(
                    f"Can't convert input {name!r} of {self.signature.where}: got {value!r}. "
                    "Pass the tensor itself, or a dict of tensors by input name."
                )
            return value
        if is_tensor(value):
            return cast_like(value, self._inputs[name].dtype)
        return convert_inputs({name: value}, {name: self._inputs[name]}, self.signature.where)[name]

    def call(self, inputs: Any, training: Any) -> tuple[Any, list[tf.Tensor]]:
        """Compute; return the outputs, and the losses that depend on the inputs."""
        if self.arguments:
            inputs = {**self.signature.by_name(inputs), **self.arguments}
        key = self.signature.output_key
        which: dict[str, Any] = {"as_dict": True} if key is None else {"output_key": key}
        outputs, losses = self.target.call_with_losses(inputs, training, self.name, **which)
        return outputs, losses

    def output_specs(self, inputs: Any) -> Any:
        """Return what the signature says, with the batch size of the inputs where it leaves that open."""
        return self.signature.output_specs(inputs)


def _trainable(module: LoadedModule, named: Mapping[str, tf.Variable]) -> frozenset[str]:
    """Return the names of the variables that the publisher made trainable, frozen or not."""
    state = module._state
    allowed = {id(variable) for identity, (_, variable) in state.variables.items() if identity in state.trainable}
    return frozenset(name for name, variable in named.items() if id(variable) in allowed)


def _check(signature: Signature) -> None:
    if signature.output_key is not None and signature.output_key not in signature.outputs:
        raise errors.UnknownOutputError(
            f"KerasLayer output does not contain the output key {signature.output_key!r}: there is none in "
            f"{signature.where}. Set output_key, or signature_outputs_as_dict=True. "
            + errors.accepted(signature.output_key, signature.outputs, "outputs")
        )
    unknown = sorted(signature.arguments - set(signature.inputs))
    if unknown:
        raise errors.InvalidArgumentError(
            f"The arguments {sorted(signature.arguments)} are not all inputs of {signature.where}. "
            + errors.accepted(unknown[0], signature.inputs, "inputs")
        )
