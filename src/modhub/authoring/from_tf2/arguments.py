"""The inputs of a signature: names for the tensors among a function's arguments, however these are nested."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from modhub import errors

__all__ = ["Arguments", "as_arguments", "name_arguments", "name_outputs", "positional", "takes"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of a call.

    Attributes:
      structure: (positional arguments, keyword arguments), with a `tf.TypeSpec` where a tensor goes.
      names: the names of the TypeSpecs, in the order of `tf.nest.flatten`.
    """

    structure: tuple[tuple[Any, ...], dict[str, Any]]
    names: tuple[str, ...]

    @property
    def specs(self) -> dict[str, tf.TypeSpec]:
        """The TypeSpecs by name."""
        leaves = [leaf for leaf in tf.nest.flatten(self.structure) if isinstance(leaf, tf.TypeSpec)]
        return dict(zip(self.names, leaves, strict=True))

    def filled(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with values in place of the TypeSpecs."""
        given = iter([values[name] for name in self.names])
        leaves = [next(given) if isinstance(leaf, tf.TypeSpec) else leaf for leaf in tf.nest.flatten(self.structure)]
        args, kwargs = tf.nest.pack_sequence_as(self.structure, leaves)
        return tuple(args), dict(kwargs)


def name_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any], parameters: list[str]) -> Arguments:
    """Name the tensors among arguments.

    A single tensor is "default"; a dict gives its keys; others are called as the function's parameters. A TensorSpec
    with a name of its own keeps it, unless a dict has a key for it.

    Args:
      args: positional arguments.
      kwargs: keyword arguments.
      parameters: the names of the positional parameters.

    Raises:
      InvalidArgumentError: two have the same name.
    """
    first = [parameters[number] if number < len(parameters) else f"input_{number}" for number in range(len(args))]
    given = [*zip(first, args, strict=True), *sorted(kwargs.items())]
    holding = [value for _, value in given if any(isinstance(leaf, tf.TypeSpec) for leaf in tf.nest.flatten(value))]
    if len(holding) == 1:
        (only,) = holding
        while isinstance(only, list | tuple) and len(only) == 1:
            (only,) = only
        given = [("default" if isinstance(only, tf.TypeSpec) else "", only)]
    named = [leaf for name, value in given for leaf in _leaves(_own_name(value) or name, value)]
    names = tuple(name for name, _ in named)
    if len(set(names)) < len(names):
        raise errors.InvalidArgumentError(f"Two inputs have the same name: {sorted(names)}. Name the tf.TensorSpecs.")
    return Arguments(structure=(tuple(args), dict(kwargs)), names=names)


def as_arguments(inputs: Any, function: Callable[..., Any] | None) -> Arguments:
    """Make arguments of what a caller says the inputs are.

    Args:
      inputs: a TypeSpec; a dict of them: keyword arguments where the function has parameters of these names, else one
        argument; a list or tuple of them: positional arguments, or one argument where there is no function.
      function: what is called; None for something of one argument.

    Raises:
      InvalidArgumentError: something else is given.
    """
    leaves = tf.nest.flatten(inputs)
    strangers = [leaf for leaf in leaves if not isinstance(leaf, tf.TypeSpec)]
    if strangers:
        raise errors.InvalidArgumentError(
            f"inputs= takes a tf.TensorSpec (or tf.RaggedTensorSpec, tf.SparseTensorSpec), or a dict or list of them; "
            f"{strangers[0]!r} is none."
        )
    if isinstance(inputs, tf.TypeSpec) or function is None:
        return name_arguments((inputs,), {}, ["input"])
    if isinstance(inputs, Mapping):
        if inputs and all(takes(function, name) for name in inputs):
            found = name_arguments((), inputs, [])
            return dataclasses.replace(found, names=tuple(inputs)) if len(inputs) == 1 else found
        return name_arguments((dict(inputs),), {}, ["input"])
    return name_arguments(tuple(inputs), {}, positional(function))


def takes(function: Callable[..., Any], name: str) -> bool:
    """Tell whether a function has a parameter of a name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # something built in
        return False


def positional(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters, without `self`."""
    try:
        return [name for name in inspect.signature(function).parameters if name != "self"]
    except (TypeError, ValueError):
        return []


def name_outputs(outputs: Any, names: list[str] | None, where: str) -> dict[str, Any]:
    """Name what a function returns: a dict by its keys, one tensor "default", several by `names` or by number.

    Raises:
      ModuleDefinitionError: it returns no tensor.
    """
    if isinstance(outputs, Mapping):
        found = {str(key): value for key, value in outputs.items()}
    elif isinstance(outputs, list | tuple) and len(outputs) != 1:
        numbered = names if names and len(names) == len(outputs) else [f"output_{n}" for n in range(len(outputs))]
        found = dict(zip(numbered, outputs, strict=True))
    else:
        found = {"default": outputs[0] if isinstance(outputs, list | tuple) else outputs}
    named: dict[str, Any] = {}
    for key, value in found.items():
        named.update(dict(_output_leaves(key, value)))
    if not named:
        raise errors.ModuleDefinitionError(f"{where} returns nothing, so there is nothing to publish: return a tensor.")
    return named


def _output_leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [leaf for key in value for leaf in _output_leaves(f"{name}/{key}", value[key])]
    if isinstance(value, list | tuple):
        return [leaf for number, each in enumerate(value) for leaf in _output_leaves(f"{name}/{number}", each)]
    return [(name, value)]


def _own_name(value: Any) -> str | None:
    return value.name if isinstance(value, tf.TensorSpec) else None


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return the TypeSpecs in an argument with their names, in the order of `tf.nest.flatten`."""
    if isinstance(value, tf.TypeSpec):
        return [(name, value)]
    prefix = f"{name}/" if name else ""
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in _leaves(f"{prefix}{key}", value[key])]
    if isinstance(value, list | tuple):
        prefix = prefix or "input_"
        return [leaf for number, each in enumerate(value) for leaf in _leaves(f"{prefix}{number}", each)]
    return []
