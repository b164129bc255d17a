"""A LoadedModule's signatures, call and losses as functions that TensorFlow can save."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from modhub import errors
from modhub.core import Variant, keyword_function, parse, traced_for_saving

if TYPE_CHECKING:
    from modhub.loaded.loaded_module import LoadedModule

__all__ = ["Signatures", "traced_call", "traced_losses"]

# What TensorFlow does not take as the name of an argument; "tensor_dict$rho" is a legal input.
_ILLEGAL = re.compile(r"[^A-Za-z0-9_]")


class Signatures(Mapping[str, Any]):
    """The signatures of a variant by name, each a `ConcreteFunction` that is traced when it is first asked for."""

    def __init__(self, module: LoadedModule, variant: Variant) -> None:
        self._module = module
        self._variant = variant

    def __getitem__(self, name: str) -> Any:
        name, _ = self._variant.signature(name)
        traced = self._module.functions
        if name not in traced:
            with tf.init_scope(), traced_for_saving():
                traced[name] = _trace(self._module, self._variant, name)
        return traced[name]

    def __contains__(self, name: object) -> bool:
        return name in self._variant.signatures

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._variant.signatures))

    def __len__(self) -> int:
        return len(self._variant.signatures)

    def __repr__(self) -> str:
        return f"<signatures {', '.join(map(repr, self))}>"


def traced_call(module: LoadedModule, variant: Variant) -> Any:
    """Return the default signature as a tf.function of `inputs` and `training`, traced for both values."""
    _, definition = variant.signature(None)
    specs = _specs(variant, "default")
    inputs = next(iter(specs.values())) if len(specs) == 1 else specs
    as_dict = "default" not in definition.outputs

    def call(inputs: Any, training: bool = False) -> Any:
        return module(inputs, training=training, as_dict=as_dict)

    def call_without_inputs(training: bool = False) -> Any:
        return module(training=training, as_dict=as_dict)

    function = tf.function(call if specs else call_without_inputs, autograph=False)
    with traced_for_saving():
        for training in (False, True):
            function.get_concrete_function(*([inputs] if specs else []), training=training)
    return function


def traced_losses(losses: list[Callable[[], tf.Tensor]]) -> list[Any]:
    """Return regularization losses as tf.functions."""
    functions = [tf.function(loss, input_signature=[], autograph=False) for loss in losses]
    with traced_for_saving():
        for function in functions:
            function.get_concrete_function()
    return functions


def _trace(module: LoadedModule, variant: Variant, name: str) -> Any:
    specs = _specs(variant, name)

    def run(*args: Any, **tensors: Any) -> dict[str, Any]:
        given = {**dict(zip(specs, args, strict=False)), **tensors}
        outputs: dict[str, Any] = module(given, signature=name, as_dict=True)
        return outputs

    if all(_is_parameter(key) for key in specs):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if len(specs) == 1 else inspect.Parameter.KEYWORD_ONLY
        run.__signature__ = inspect.Signature([inspect.Parameter(key, kind) for key in specs])  # type: ignore[attr-defined]
        return tf.function(run, autograph=False).get_concrete_function(**specs)
    apart = len({_ILLEGAL.sub("_", key) for key in specs}) == len(specs) and "self" not in specs
    if not apart or not all(isinstance(spec, tf.TensorSpec) for spec in specs.values()):
        raise errors.InvalidArgumentError(
            f"The signature {name!r} cannot be a function of TensorFlow, which takes no sparse and ragged inputs by "
            f"such names as {sorted(specs)}, and none that differ only in other characters than letters and digits. "
            f"Call the module itself: m(inputs, signature={name!r}, as_dict=True)."
        )
    return keyword_function(run, specs)


def _is_parameter(name: str) -> bool:
    """Tell whether an input can be a parameter of a tf.function, which has a `self` of its own."""
    return name.isidentifier() and not keyword.iskeyword(name) and name != "self"


def _specs(variant: Variant, name: str) -> dict[str, Any]:
    """Return the TypeSpecs of a signature's inputs, named so that the placeholders are."""
    found: dict[str, Any] = {}
    taken: set[str] = set()
    for key, info in sorted(variant.signatures[name].inputs.items()):
        spec: Any = parse(info).type_spec
        if isinstance(spec, tf.TensorSpec):
            legal = _ILLEGAL.sub("_", key)
            while legal in taken:
                legal += "_"
            taken.add(legal)
            spec = tf.TensorSpec(spec.shape, spec.dtype, name=legal)
        found[key] = spec
    return found
