"""A column of a module whose spec is known when the column is made."""

from __future__ import annotations

import abc
import dataclasses
import os
from typing import Any

import tensorflow as tf

from modhub.authoring import ModuleSpec, load_module_spec
from modhub.columns.column import EmbeddingColumn
from modhub.columns.layer import keras_layer
from modhub.keras.options import NoConfigError
from modhub.loaded import LoadedModule
from modhub.module import Module

__all__ = ["SpecColumn", "as_path"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecColumn(EmbeddingColumn):
    """A column of a module.

    Attributes:
      module_spec_path: the module's handle, or its spec. The name is the one in configs that were saved long ago.
      module_spec: its spec.
    """

    module_spec_path: str | ModuleSpec
    module_spec: ModuleSpec = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.module_spec_path
        object.__setattr__(self, "module_spec", given if isinstance(given, ModuleSpec) else load_module_spec(given))
        self.check()

    @abc.abstractmethod
    def check(self) -> None:
        """Check that the module fits the column."""

    @property
    def variable_shape(self) -> tf.TensorShape:
        """The shape of one row."""
        return self.module_spec.get_output_info_dict()["default"].get_shape()[1:]

    def make_layer(self, owner: Any, trainable: bool) -> Any:
        """Return the module, which is read once, as a layer."""
        module = LoadedModule(self.module_spec, trainable=None if trainable else False)
        return keras_layer(owner, module, trainable=trainable)

    def make_module(self, trainable: bool) -> Module:
        """Return the module in the v1 graph."""
        module: Module = Module(self.module_spec, trainable=trainable)
        return module

    def get_config(self) -> dict[str, Any]:
        """Return what makes the column again; the module has to be given by its handle."""
        if not isinstance(self.module_spec_path, str):
            raise NoConfigError(
                "Can only generate a valid config for a column that was made of a module's path, and this one was made "
                f"of {self.module_spec_path!r}: pass the path instead."
            )
        return super().get_config()


def as_path(module_spec: Any) -> Any:
    """Return a path as a string, and anything else as it is."""
    return os.fspath(module_spec) if isinstance(module_spec, os.PathLike) else module_spec
