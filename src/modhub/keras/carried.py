"""A module inside the file of a Keras model: its graphs and assets, for when its handle names nothing any more.

Keras makes a layer of its config, then loads the weights, then the assets. So a layer whose handle is gone starts as a
`HollowCallee`, which has the weights and knows the shapes; with the assets it becomes a module again, on these weights.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import Value, load_module_spec, publish, published_variant, write_values
from modhub.core import index_variant, make_variable
from modhub.format import BUNDLE
from modhub.keras.module_callee import ModuleCallee
from modhub.keras.options import Options
from modhub.keras.signature import Signature
from modhub.loaded import LoadedModule

__all__ = ["AbsentCallee", "HollowCallee", "describe", "restore", "write"]

_FOLDER = "module"


class AbsentCallee:
    """What a layer calls whose handle is gone: nothing, until Keras hands over what the file says of the module."""

    target: Any = None
    variables: Mapping[str, tf.Variable] = {}
    trainable: frozenset[str] = frozenset()
    losses: Sequence[Callable[[], tf.Tensor]] = ()
    dtype: tf.DType | None = None
    can_compile = False

    def __init__(self, handle: str) -> None:
        self._handle = handle

    def prepare(self, inputs: Any) -> Any:
        """Raise what is said of a handle that names nothing."""
        raise errors.HandleNotFoundError(
            f"{self._handle!r} does not exist, and the layer needs its module. A layer that was loaded from a file "
            "without it is cloned once the module is there again: layer.resolved_object.export(path) writes it."
        )

    def call(self, inputs: Any, training: Any) -> tuple[Any, list[tf.Tensor]]:
        """Raise, as `prepare` does."""
        return self.prepare(inputs), []

    def output_specs(self, inputs: Any) -> Any:
        """Raise, as `prepare` does."""
        return self.prepare(inputs)


class HollowCallee:
    """A module of which the weights and shapes are there, and the graphs are not yet."""

    target: Any = None
    losses: Sequence[Callable[[], tf.Tensor]] = ()
    can_compile = False

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.signature = Signature.from_json(description["signature"])
        self.dtype = self.signature.dtype()
        self.tags = description["tags"]
        self.described: dict[str, Any] = description["variables"]
        self.variables: Mapping[str, tf.Variable] = {name: _zeros(name, each) for name, each in self.described.items()}
        self.trainable = frozenset(name for name, each in self.described.items() if each["trainable"])

    def prepare(self, inputs: Any) -> Any:
        """Return inputs as they are: they are symbolic."""
        return inputs

    def call(self, inputs: Any, training: Any) -> tuple[Any, list[tf.Tensor]]:
        """Raise: the file that is being loaded has no assets."""
        raise errors.NotAModuleError(f"The file does not hold the module of {self.signature.where}.")

    def output_specs(self, inputs: Any) -> Any:
        """Return what the signature says."""
        return self.signature.output_specs(inputs)


def describe(callee: ModuleCallee) -> dict[str, Any]:
    """Return what a `HollowCallee` is made of, as JSON can hold it."""
    extents = _extents(callee.target)
    return {
        "signature": callee.signature.as_json(),
        "tags": sorted(callee.target.tags),
        "variables": {
            name: {
                "key": extents[name][0],
                "extent": extents[name][1],
                "full_shape": extents[name][2],
                "shape": variable.shape.as_list(),
                "dtype": variable.dtype.base_dtype.name,
                "trainable": name in callee.trainable,
                "synchronization": variable.synchronization.name,
                "aggregation": variable.aggregation.name,
            }
            for name, variable in callee.variables.items()
            if variable.shape.is_fully_defined()
        },
    }


def write(callee: ModuleCallee, path: str) -> None:
    """Write a module's graphs and assets below a folder; its values are among the weights of the model.

    A module whose variants have each variables of their own is in no file; its layer needs the handle.
    """
    description = callee.target.spec.description
    try:
        variant = published_variant(description)
    except errors.ExportError:
        return
    publish(description, variant, f"{path}/{_FOLDER}", lambda prefix: None)


def restore(hollow: HollowCallee, path: str | None, options: Options) -> ModuleCallee:
    """Return the module that `write` wrote, on the variables of a hollow one.

    Args:
      hollow: its variables have their values by now.
      path: where `write` wrote; None where it did not.
      options: of the layer.

    Raises:
      NotAModuleError: nothing was written.
      CorruptModuleError: what was written is not what the layer was told before.
    """
    written = None if path is None else Path(path, _FOLDER)
    if written is None or not written.is_dir():
        raise errors.NotAModuleError(
            f"The handle {options.handle!r} does not exist, and the file does not hold its module."
        )
    # Keras deletes its own copy, and tables read their files again when the module is saved.
    folder = tempfile.mkdtemp(prefix="modhub-")
    try:
        module = _load(hollow, Path(shutil.copytree(written, Path(folder, _FOLDER))))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(module, shutil.rmtree, folder, ignore_errors=True)
    callee = ModuleCallee(module, options)
    if any(callee.variables.get(name) is not variable for name, variable in hollow.variables.items()):
        raise errors.CorruptModuleError(f"The module in the file has other variables than {hollow.signature.where}.")
    return callee


def _load(hollow: HollowCallee, directory: Path) -> LoadedModule:
    if hollow.variables:
        (directory / BUNDLE).parent.mkdir(exist_ok=True)
        write_values(directory / BUNDLE, _values(hollow))
    known = {(each["key"], _as_extent(each["extent"])): name for name, each in hollow.described.items()}

    def reuse(described: Any, value: tf.Tensor, made: dict[str, Any]) -> tf.Variable:
        name = known.get((described.key, described.extent))
        return make_variable(described, value, made) if name is None else hollow.variables[name]

    return LoadedModule(load_module_spec(directory), hollow.tags or None, make=reuse)


def _extents(module: LoadedModule) -> dict[str, tuple[str, Any, Any]]:
    """Return of each variable, by the name that `ModuleCallee` gives it, its key, extent and full shape."""
    variables = {
        (each.key, each.extent): each
        for variant in module.spec.description
        for each in index_variant(variant).variables.values()
    }
    found: dict[str, tuple[str, Any, Any]] = {}
    parts: dict[str, int] = {}
    for key, extent in sorted(variables, key=lambda identity: (identity[0], identity[1] or ())):
        if extent is None:
            found[key] = (key, None, None)
        else:
            part = parts[key] = parts.get(key, -1) + 1
            found[f"{key}:{part}"] = (key, extent, variables[key, extent].shape.as_list())
    return found


def _zeros(name: str, described: Mapping[str, Any]) -> tf.Variable:
    return tf.Variable(
        tf.zeros(described["shape"], described["dtype"]),
        name=name.replace(":", "_part_"),
        trainable=described["trainable"],
        synchronization=tf.VariableSynchronization[described["synchronization"]],
        aggregation=tf.VariableAggregation[described["aggregation"]],
    )


def _values(hollow: HollowCallee) -> Iterator[Value]:
    for name, described in hollow.described.items():
        yield Value(
            key=described["key"],
            dtype=tf.as_dtype(described["dtype"]),
            array=tf.convert_to_tensor(hollow.variables[name]).numpy(),
            full_shape=tuple(described["full_shape"] or ()),
            extent=_as_extent(described["extent"]),
        )


def _as_extent(extent: Any) -> tuple[tuple[int, int], ...] | None:
    return None if extent is None else tuple((start, length) for start, length in extent)
