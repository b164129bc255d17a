"""What an object of TF2 offers: the functions that become signatures, and how each is called."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring.from_tf2.arguments import Arguments, as_arguments, name_arguments, name_outputs, positional, takes
from modhub.authoring.from_tf2.keras_models import describe_keras, is_keras
from modhub.core import _tensorflow

__all__ = ["Signature", "find_signatures", "trace"]

# Functions of another class come from a SavedModel, and know only the calls that they were saved with.
_TRACED_ANEW = type(tf.function(lambda: None))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function of TF2 that becomes a signature.

    Attributes:
      name: the signature's name.
      arguments: what it is called with, besides `training`.
      call: the function.
      trains: whether it takes an argument `training`.
      outputs: names for its outputs where it returns a list, if there are any.
    """

    name: str
    arguments: Arguments
    call: Callable[..., Any]
    trains: bool
    outputs: list[str] | None = None

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"The function for the signature {self.name!r}"


def find_signatures(obj: Any, signatures: Any, inputs: Any) -> list[Signature]:
    """Return the signatures that an object offers, or those that are asked for.

    Raises:
      InvalidArgumentError: the arguments do not say which functions are meant, or what their inputs are.
      ModuleDefinitionError: the object has no functions.
    """
    if signatures is not None:
        if inputs is not None:
            raise errors.InvalidArgumentError(
                "inputs= says what the object itself takes. A function in signatures= says so itself: give it an "
                "input_signature, or pass function.get_concrete_function(tf.TensorSpec(...))."
            )
        named = signatures if isinstance(signatures, Mapping) else {"default": signatures}
        if not named:
            raise errors.InvalidArgumentError("signatures={} names no function, and a module needs one.")
        return [_signature(name, function, None) for name, function in named.items()]
    if callable(obj):
        return [_signature("default", obj, inputs)]
    if inputs is not None:
        raise errors.InvalidArgumentError(f"inputs= is given, but {_kind(obj)} has no __call__ that would take them.")
    functions = _functions(obj)
    if not functions:
        raise errors.ModuleDefinitionError(
            f"{_kind(obj)} has no functions: it is no Keras model, has no __call__, and none of its attributes is a "
            "tf.function. Pass signatures={'default': function}."
        )
    return [_signature(name, function, None) for name, function in functions.items()]


def trace(signature: Signature, training: bool) -> Any:
    """Trace a signature as a function from a dict of inputs to a dict of outputs; return the ConcreteFunction.

    Raises:
      ModuleDefinitionError: the function fails, or returns nothing.
    """

    def program(values: dict[str, Any]) -> dict[str, Any]:
        args, kwargs = signature.arguments.filled(values)
        if signature.trains:
            kwargs["training"] = training
        return name_outputs(signature.call(*args, **kwargs), signature.outputs, signature.where)

    try:
        return tf.function(program, autograph=False).get_concrete_function(signature.arguments.specs)
    except errors.ModhubError:
        raise
    except Exception as error:  # it is the user's code that runs
        raise errors.ModuleDefinitionError(
            f"{signature.where} fails with inputs {signature.arguments.specs}"
            f"{f' and training={training}' if signature.trains else ''}: {type(error).__name__}: {error}"
        ) from error


def _signature(name: str, function: Any, inputs: Any) -> Signature:
    if is_keras(function):
        arguments, outputs, trains = describe_keras(function, inputs)
        return Signature(name=name, arguments=arguments, call=function, trains=trains, outputs=outputs)
    if not callable(function):
        raise errors.InvalidArgumentError(
            f"The signature {name!r} is given as {function!r}, which is no function: pass a tf.function, a "
            "ConcreteFunction or a Keras model."
        )
    kinds = tf.types.experimental
    if isinstance(function, kinds.ConcreteFunction):
        return Signature(name=name, arguments=_of_concrete(name, function), call=function, trains=False)
    if not isinstance(function, kinds.PolymorphicFunction) and not inspect.isroutine(function):
        function = function.__call__
    if isinstance(function, kinds.PolymorphicFunction):
        return _of_function(name, function, inputs)
    if inputs is None:
        raise _unknown_inputs(name)
    return Signature(
        name=name,
        arguments=as_arguments(inputs, function),
        call=tf.function(function),
        trains=takes(function, "training"),
    )


def _of_concrete(name: str, function: Any) -> Arguments:
    if function.structured_input_signature is None:
        raise errors.InvalidArgumentError(
            f"The ConcreteFunction for the signature {name!r} does not say what it takes: wrap it in a tf.function "
            "with an input_signature."
        )
    args, kwargs = function.structured_input_signature
    return name_arguments(args, kwargs, [])


def _of_function(name: str, function: Any, inputs: Any) -> Signature:
    trains = takes(function, "training")
    if trains and type(function) is not _TRACED_ANEW:
        trains = any(arguments.get("training") is True for arguments in _traces(function))
    call, fixed = function, function.input_signature
    if fixed is not None:
        parameters = positional(function)
        trains = trains and "training" not in parameters[: len(fixed)]
        if trains:  # the input_signature would allow only the default
            call = tf.function(function.python_function)
    if inputs is not None:
        arguments = as_arguments(inputs, function)
    elif fixed is not None:
        arguments = name_arguments(tuple(fixed), {}, parameters)
    else:
        arguments = _of_traces(name, function)
    return Signature(name=name, arguments=arguments, call=call, trains=trains)


def _of_traces(name: str, function: Any) -> Arguments:
    """Return the arguments that a function has been called with, if that was always the same."""
    found: dict[str, dict[str, Any]] = {}
    for arguments in _traces(function):
        given = {key: tf.nest.map_structure(_unnamed, value) for key, value in arguments.items() if key != "training"}
        found[repr(given)] = given
    if not found:
        raise _unknown_inputs(name)
    if len(found) > 1:
        raise errors.InvalidArgumentError(
            f"The function for the signature {name!r} was called with several kinds of inputs, and a signature has "
            f"one. Pass function.get_concrete_function(...) for one of them: {'; '.join(sorted(found))}."
        )
    (given,) = found.values()
    return name_arguments((), given, [])


def _traces(function: Any) -> list[dict[str, Any]]:
    """Return what a function has been called with, by parameter."""
    parameters = inspect.signature(function)
    signatures = [concrete.structured_input_signature for concrete in _tensorflow.concrete_functions(function)]
    return [dict(parameters.bind_partial(*args, **kwargs).arguments) for args, kwargs in signatures]


def _unnamed(leaf: Any) -> Any:
    """Take the name that a trace gave off a TensorSpec."""
    return tf.TensorSpec(leaf.shape, leaf.dtype) if isinstance(leaf, tf.TensorSpec) else leaf


def _functions(obj: Any) -> dict[str, Any]:
    """Return the public attributes that are functions of TensorFlow, by name."""
    found = {}
    for name in dir(obj):
        if not name.startswith("_") and not isinstance(getattr(type(obj), name, None), property):
            value = getattr(obj, name)
            if isinstance(value, tf.types.experimental.PolymorphicFunction | tf.types.experimental.ConcreteFunction):
                found[name] = value
    return found


def _unknown_inputs(name: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"What the function for the signature {name!r} takes is not known. Pass inputs=tf.TensorSpec([None, 3]) to "
        "hub.export_module (with the shape and dtype that it takes), or give the function an input_signature: "
        "@tf.function(input_signature=[...]), or pass function.get_concrete_function(...)."
    )


def _kind(obj: Any) -> str:
    return f"The object ({type(obj).__module__}.{type(obj).__qualname__})"
