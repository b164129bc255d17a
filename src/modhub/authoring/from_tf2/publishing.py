"""export_module: a TF1 Hub module of something made in TF2."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring.declarations import add_signature
from modhub.authoring.define import create_module_spec
from modhub.authoring.from_tf2.captures import NamedVariable, find_captures
from modhub.authoring.from_tf2.keras_models import loss_functions
from modhub.authoring.from_tf2.place import Placement, needed_variables
from modhub.authoring.from_tf2.program import Program, program_of
from modhub.authoring.from_tf2.signatures import Signature, find_signatures, trace
from modhub.authoring.from_tf2.tables import needed_tables
from modhub.authoring.publish import Value, publish, write_values
from modhub.core import (
    ModuleDescription,
    ReusableModule,
    Variant,
    paused_collection,
    tensorflow_classes,
    to_components,
)

__all__ = ["export_module"]

_LOSSES = "The regularization losses"


def export_module(obj: Any, path: str | os.PathLike[str], signatures: Any = None, inputs: Any = None) -> None:
    """Publish something made in TF2 as a module, which TF1 programs load with `hub.Module`.

    A Keras model, or a `tf.Module` with a `__call__`, becomes a module with the signature "default". What differs in
    training is in a second variant with the tags {"train"}: it exists where calling with `training=True` gives
    another graph (dropout, batch normalization). Changes of variables, such as moving averages, are in UPDATE_OPS and
    never run by themselves; regularization losses on weights are in REGULARIZATION_LOSSES. Vocabularies become
    assets. The object is left as it is.

    A single input is called "default", as `hub.add_signature(inputs=x)` calls it; a dict of inputs keeps its keys,
    several inputs are called as the function's parameters or as the `keras.Input`s, and a `tf.TensorSpec` with a name
    of its own keeps that. A single output is "default", a dict keeps its keys, and the outputs of a list are called
    as the model calls them, or "output_0", "output_1".

    Args:
      obj: a Keras 3 or tf_keras model or layer; a `tf.Module`, or what `tf.saved_model.load` returns; a `tf.function`
        or ConcreteFunction. Variables are found wherever they are; tables and `tf.saved_model.Asset`s must be
        attributes of it, or of what hangs on it.
      path: the new directory; it must not exist, its parents are made.
      signatures: functions by signature name, or one for "default": each a `tf.function` that has an
        `input_signature` or was called with one kind of inputs, a ConcreteFunction, or a Keras model. By default
        `obj` itself where it can be called, and else all its `tf.function`s, by their names.
      inputs: where `obj` does not say, what it takes: a `tf.TensorSpec` (or another TypeSpec), or a dict or list of
        them; a dimension None is free.

    Raises:
      GraphError: a graph is being built; `hub.create_module_spec` publishes from there.
      InvalidArgumentError: it is not known what a function takes, or an argument is of the wrong kind.
      ModuleDefinitionError: there are no functions, one fails, calls Python (`tf.py_function`), or captured something
        that a module cannot hold.
      UninitializedError: a variable has no value.
      ExportExistsError: the path exists; it is left as it was.
      ExportError: a file could not be written. Nothing is left behind after any of these.

    Example:
      >>> import modhub as hub, os, tempfile, tensorflow as tf
      >>> class Scale(tf.Module):
      ...     def __init__(self):
      ...         self.factor = tf.Variable([1.0, 10.0], name="factor")
      ...     @tf.function(input_signature=[tf.TensorSpec([None, 2])])
      ...     def __call__(self, x):
      ...         return x * self.factor
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     module = os.path.join(folder, "module")
      ...     hub.export_module(Scale(), module)
      ...     with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      ...         m = hub.Module(module)
      ...         y = m([[1.0, 2.0]])
      ...         session.run(tf.compat.v1.global_variables_initializer())
      ...         session.run(y).tolist(), sorted(m.variable_map)
      ([[1.0, 20.0]], ['factor'])
    """
    if not tf.executing_eagerly():
        raise errors.GraphError(
            "hub.export_module publishes what TF2 made, in eager mode, and a graph is being built. In a tf.Graph use "
            "hub.create_module_spec(module_fn), and hub.Module(spec).export(path, session); in a tf.function call "
            "hub.export_module outside of it."
        )
    if isinstance(obj, ReusableModule):
        raise errors.InvalidArgumentError(
            f"{obj!r} is a module already, with variants and attachments of its own: publish it with its export(path)."
        )
    with tensorflow_classes(), paused_collection():
        found = find_signatures(obj, signatures, inputs)
        described, variables = _describe(obj, found)
        variant = described.variants[0]
        publish(described, variant, os.fspath(path), lambda prefix: _write(prefix, variables))


def _describe(obj: Any, signatures: Sequence[Signature]) -> tuple[ModuleDescription, list[NamedVariable]]:
    """Return the module, and the variables whose values go with it."""
    modes = [False, True] if any(signature.trains for signature in signatures) else [False]
    traces = {(signature.name, mode): trace(signature, mode) for signature in signatures for mode in modes}
    losses = _trace_losses(obj)
    captures = find_captures(obj, [*traces.values(), losses])
    seeds = captures.seeds()
    where = {signature.name: signature.where for signature in signatures}
    programs = {key: program_of(concrete, seeds, where[key[0]]) for key, concrete in traces.items()}
    of_losses = program_of(losses, seeds, _LOSSES)
    variables = needed_variables([*programs.values(), of_losses], captures)
    tables = needed_tables([*programs.values(), of_losses], captures)

    def module_fn(training: bool) -> None:
        placement = Placement(captures, tables)
        placement.create_variables(variables)
        for signature in signatures:
            key = signature.name, training
            _add_signature(placement, signature, programs[key], traces[key].structured_outputs)
        for loss in placement.place(of_losses, (), "losses", _LOSSES).outputs:
            tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES, loss)

    tags: dict[bool, set[str]] = {False: set(), True: {"train"}}
    described = create_module_spec(module_fn, [(tags[mode], {"training": mode}) for mode in modes]).description
    return _without_equal_variants(described), variables


def _add_signature(placement: Placement, signature: Signature, program: Program, structure: Any) -> None:
    scope = _legal(signature.name)
    with tf.name_scope(f"{scope}_inputs"):
        fed = {name: _placeholder(_legal(name), spec) for name, spec in signature.arguments.specs.items()}
    placed = placement.place(program, to_components(fed), scope, signature.where)
    outputs = tf.nest.pack_sequence_as(structure, placed.outputs, expand_composites=True)
    for update in placed.updates:
        tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.UPDATE_OPS, update)
    add_signature(signature.name, inputs=fed, outputs=outputs)


def _placeholder(name: str, spec: tf.TypeSpec) -> Any:
    return tf.nest.map_structure(
        lambda part: tf.compat.v1.placeholder(part.dtype, part.shape, name), spec, expand_composites=True
    )


def _legal(name: str) -> str:
    """Return a scope's name that is like `name`; signatures and inputs may be called anything."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip("_-") or "unnamed"


def _trace_losses(obj: Any) -> Any:
    """Trace the regularization losses that depend on weights alone; those of a call that was traced are not among
    them, nor are the values of one that was not.
    """
    functions = loss_functions(obj)

    def losses() -> list[tf.Tensor]:
        graph = tf.compat.v1.get_default_graph()
        found = tf.nest.flatten([function() for function in functions])
        return [loss for loss in found if isinstance(loss, tf.Tensor) and getattr(loss, "graph", None) is graph]

    try:
        return tf.function(losses, autograph=False).get_concrete_function()
    except Exception as error:  # it is the user's code that runs
        raise errors.ModuleDefinitionError(
            f"{_LOSSES} of {type(obj).__qualname__} fail: {type(error).__name__}: {error}"
        ) from error


def _without_equal_variants(described: ModuleDescription) -> ModuleDescription:
    """Drop the variant for training where it is the one for inference."""
    distinct: dict[bytes, Variant] = {}
    for variant in described.variants:
        bare = type(variant.meta_graph)()
        bare.CopyFrom(variant.meta_graph)
        del bare.meta_info_def.tags[:]
        distinct.setdefault(bare.SerializeToString(deterministic=True), variant)
    return ModuleDescription(variants=tuple(distinct.values()))


def _write(prefix: Path, variables: Iterable[NamedVariable]) -> None:
    write_values(prefix, _values(variables))


def _values(variables: Iterable[NamedVariable]) -> Iterator[Value]:
    for named in variables:
        try:
            array = named.variable.numpy()
        except tf.errors.FailedPreconditionError as error:
            raise errors.UninitializedError(f"The variable {named.name!r} has no value yet.") from error
        yield Value(key=named.name, dtype=named.variable.dtype, array=array)
