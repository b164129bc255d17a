"""A TF2 SavedModel, or any other callable, as what a layer calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.keras.options import Options
from modhub.keras.specs import cast_like, is_symbolic, is_tensor

__all__ = ["SavedModelCallee"]


class SavedModelCallee:
    """What `tf.saved_model.load` gave: itself if it is callable, or one of its signatures; or a function."""

    def __init__(self, target: Any, options: Options) -> None:
        self.target = target
        self.arguments = options.arguments
        self.output_key = options.output_key
        self._is_signature = options.signature is not None
        self._function = _function(target, options)
        self._takes_training = not self._is_signature and _takes_training(target)
        self._specs = _input_specs(self._function if self._is_signature else _traced(target))
        named, trainable = _variables(target, self._function)
        self.variables: Mapping[str, tf.Variable] = named
        self.trainable = frozenset(trainable)
        self.losses: Sequence[Callable[[], tf.Tensor]] = _losses(target) if not self._is_signature else []
        self._free = [name for name in self._specs if name not in self.arguments]
        # A callable's first argument; of a signature the only one.
        known = len(self._free) == 1 or (bool(self._free) and not self._is_signature)
        self._single = self._specs[self._free[0]] if known else None
        self.dtype = self._single.dtype if isinstance(self._single, tf.TypeSpec) else None
        self.can_compile = False

    def prepare(self, inputs: Any) -> Any:
        """Return inputs as tensors of the dtypes that were traced, as far as these are known."""
        if self._is_signature and isinstance(inputs, Mapping):
            return {name: _prepared(value, self._specs.get(name)) for name, value in inputs.items()}
        return _prepared(inputs, self._single)

    def call(self, inputs: Any, training: Any) -> tuple[Any, list[tf.Tensor]]:
        """Compute; return the outputs, and no losses."""
        options = dict(self.arguments)
        if self._takes_training:
            options["training"] = bool(training)
        if self._is_signature:
            outputs = self._function(**self._by_name(inputs), **_as_tensors(options, self._specs))
        else:
            outputs = self._function(*([] if inputs is None else [inputs]), **options)
        if self.output_key is None:
            return outputs, []
        if not isinstance(outputs, Mapping):
            raise errors.InvalidArgumentError(
                f"output_key={self.output_key!r} is for outputs by name, and {self.target!r} returned a "
                f"{type(outputs).__name__}: leave it out."
            )
        if self.output_key not in outputs:
            raise errors.UnknownOutputError(
                f"KerasLayer output does not contain the output key {self.output_key!r}. "
                + errors.accepted(self.output_key, outputs, "outputs")
            )
        return outputs[self.output_key], []

    def _by_name(self, inputs: Any) -> Mapping[str, Any]:
        if inputs is None or isinstance(inputs, Mapping):
            return inputs or {}
        if len(self._free) != 1:
            raise errors.InvalidInputError(
                "Signature expects multiple inputs. Use a dict. "
                f"Of {self.target!r}, beside the arguments: {self._free}."
            )
        return {self._free[0]: inputs}

    def output_specs(self, inputs: Any) -> Any:
        """Return what a trace of the call gives."""
        traced = tf.function(lambda given: self.call(self.prepare(given), False)[0], autograph=False)
        return traced.get_concrete_function(inputs).structured_outputs


def _function(target: Any, options: Options) -> Callable[..., Any]:
    if options.signature is None:
        if options.as_dict:
            raise errors.InvalidArgumentError(
                "signature_outputs_as_dict is only valid if specifying a signature (or using a module of the TF1 Hub "
                f"format): {target!r} is called itself."
            )
        if callable(target):
            return target  # type: ignore[no-any-return]
        raise errors.InvalidArgumentError(
            f"Loaded object is not callable{_advice(target)}: {target!r} of the handle {options.handle!r}."
        )
    signatures = getattr(target, "signatures", None)
    if not isinstance(signatures, Mapping):
        raise errors.InvalidArgumentError(
            f"signature={options.signature!r} was asked for, and {target!r} has no signatures: leave it out."
        )
    if options.signature not in signatures:
        raise errors.UnknownSignatureError(
            f"Unknown signature {options.signature!r} in {options.handle!r}. "
            + errors.accepted(options.signature, signatures, "signatures")
        )
    if not options.as_dict and options.output_key is None:
        raise errors.InvalidArgumentError(
            "When using a signature, either output_key or signature_outputs_as_dict=True should be set. "
            + errors.accepted("default", signatures[options.signature].structured_outputs, "outputs")
        )
    return signatures[options.signature]  # type: ignore[no-any-return]


def _advice(target: Any) -> str:
    signatures = sorted(getattr(target, "signatures", ()))
    if not signatures:
        return " and has no signatures"
    return f": set signature= to one of {signatures}, and output_key= or signature_outputs_as_dict=True"


def _traced(target: Any) -> Any:
    """Return what knows the traces of a callable: a tf.function itself, or the `__call__` of a SavedModel."""
    return target if hasattr(target, "concrete_functions") or not callable(target) else target.__call__


def _takes_training(target: Any) -> bool:
    try:
        return "training" in inspect.signature(target if inspect.isfunction(target) else target.__call__).parameters
    except (TypeError, ValueError):
        return False


def _input_specs(function: Any) -> dict[str, Any]:
    """Return the TypeSpecs of the arguments of a function, as far as all its traces agree on dtypes."""
    if hasattr(function, "structured_input_signature"):
        return dict(function.structured_input_signature[1])
    found: dict[str, Any] = {}
    for concrete in getattr(function, "concrete_functions", None) or ():
        args, kwargs = concrete.structured_input_signature
        for name, spec in {**dict(zip(inspect.signature(function).parameters, args, strict=False)), **kwargs}.items():
            if found.setdefault(name, spec) is not spec and _dtypes(found[name]) != _dtypes(spec):
                found[name] = None
    return {name: spec for name, spec in found.items() if name != "training"}


def _dtypes(spec: Any) -> list[Any]:
    return [getattr(leaf, "dtype", None) for leaf in tf.nest.flatten(spec)]


def _prepared(value: Any, spec: Any) -> Any:
    if isinstance(value, Mapping):
        parts = spec if isinstance(spec, Mapping) else {}
        return {name: _prepared(each, parts.get(name)) for name, each in value.items()}
    if value is None or is_symbolic(value) or not isinstance(spec, tf.TypeSpec):
        return value
    if is_tensor(value):
        return cast_like(value, spec.dtype)
    return cast_like(tf.convert_to_tensor(value), spec.dtype)


def _as_tensors(values: Mapping[str, Any], specs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tf.convert_to_tensor(value, specs[name].dtype) for name, value in values.items()}


def _variables(target: Any, function: Any) -> tuple[dict[str, tf.Variable], list[str]]:
    """Return the variables by unique name, and the names of those to be trained."""
    trained = getattr(target, "trainable_variables", None)
    every = getattr(target, "variables", None)
    if every is None:
        every = trained if trained is not None else _captured(target, function)
    chosen = {id(each) for each in (trained if trained is not None else [v for v in every if v.trainable])}
    named: dict[str, tf.Variable] = {}
    for variable in every:
        if not isinstance(variable, tf.Variable):
            raise errors.InvalidArgumentError(
                f"{target!r} has variables of Keras: it is a layer or a model itself. Put it into the model as it is."
            )
        name = base = variable.name.removesuffix(":0")
        number = 0
        while name in named:
            number += 1
            name = f"{base}_{number}"
        named[name] = variable
    return named, [name for name, variable in named.items() if id(variable) in chosen]


def _captured(target: Any, function: Any) -> Iterable[tf.Variable]:
    """Return the variables that a function uses, where its object does not list them."""
    holders = [function] if function is not target else getattr(_traced(target), "concrete_functions", None) or [target]
    found = {id(each): each for holder in holders for each in getattr(holder, "variables", ())}
    return found.values()


def _losses(target: Any) -> list[Callable[[], tf.Tensor]]:
    found = list(getattr(target, "regularization_losses", None) or [])
    for loss in found:
        if not callable(loss):
            raise errors.InvalidArgumentError(
                f"regularization_losses of {target!r} must be functions without arguments, got {loss!r}."
            )
    return found
