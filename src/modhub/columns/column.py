"""What the columns share: the feature that they read, the module's state, and the config."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Self

import tensorflow as tf

from modhub import errors
from modhub.columns import _tensorflow
from modhub.columns.layer import keep
from modhub.module import Module

__all__ = ["EmbeddingColumn"]


# Not slotted: TensorFlow's abstract base classes are not either.
@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingColumn(_tensorflow.DenseColumn):
    """A column that is what a module makes of a feature.

    Attributes:
      key: the name of the feature, or a column that makes it.
    """

    key: Any

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) and not _tensorflow.is_column(self.key):
            raise errors.InvalidArgumentError(
                f"key={self.key!r} is neither the name of a feature nor a feature column that makes it."
            )

    # What each kind of column says of itself.

    @property
    def wants_training(self) -> bool:
        """Whether the module is trained where the layer is: never one of a kind that has no field for it."""
        return bool(getattr(self, "trainable", False))

    @abc.abstractmethod
    def feature(self) -> Any:
        """Return how `tf.io.parse_example` reads a feature of this kind."""

    @abc.abstractmethod
    def make_layer(self, owner: Any, trainable: bool) -> Any:
        """Return the module as a layer of the Keras that the layer `owner` is of."""

    @abc.abstractmethod
    def make_module(self, trainable: bool) -> Module:
        """Return the module as part of the v1 graph that is being built."""

    @abc.abstractmethod
    def embed(self, feature: Any, module: Any) -> tf.Tensor:
        """Return what the module makes of a feature, [batch, dim]."""

    @property
    def resource_name(self) -> str:
        """The name of the module in a StateManager, and in checkpoints of the layer that has it."""
        return "module"

    # What `DenseFeatures` and other layers with a StateManager call.

    @property
    def name(self) -> str:
        """The column's name, which the names of its variables contain."""
        return f"{self.key if isinstance(self.key, str) else self.key.name}_hub_module_embedding"

    @property
    def parents(self) -> list[Any]:
        """What the column is made of."""
        return [self.key]

    @property
    def parse_example_spec(self) -> dict[str, Any]:
        """How `tf.io.parse_example` reads what the column is made of."""
        return {self.key: self.feature()} if isinstance(self.key, str) else dict(self.key.parse_example_spec)

    def transform_feature(self, transformation_cache: Any, state_manager: Any) -> Any:
        """Return the feature as it is."""
        return transformation_cache.get(self.key, state_manager)

    def create_state(self, state_manager: Any) -> None:
        """Load the module, once for all applications of the layer behind the StateManager."""
        owner = _tensorflow.owner_of(state_manager)
        trainable = self.wants_training and _tensorflow.trains(state_manager)
        if tf.compat.v1.executing_eagerly_outside_functions():
            # Not in the scopes around: names of weights must not depend on that of the layer, which counts upwards.
            with tf.init_scope(), tf.name_scope(f"{self.name}/"):
                module = self.make_layer(owner, trainable)
            keep(module, self.name, owner)
        else:
            module = self.make_module(trainable)
            if trainable:
                # Only what is trained: the linear models of Estimator train all variables of theirs, fixed ones too.
                keep([variable for variable in module.variables if variable.trainable], self.name, owner)
        state_manager.add_resource(self, self.resource_name, module)

    def get_dense_tensor(self, transformation_cache: Any, state_manager: Any) -> tf.Tensor:
        """Return the column's values, [batch, dim]."""
        if not state_manager.has_resource(self, self.resource_name):
            self.create_state(state_manager)
        module = state_manager.get_resource(self, self.resource_name)
        return self.embed(transformation_cache.get(self, state_manager), module)

    # What `tf.compat.v1.feature_column.input_layer` calls; it has nothing that could keep a module for the next call.

    def _get_dense_tensor(self, inputs: Any, weight_collections: Any = None, trainable: Any = None) -> tf.Tensor:
        module = self.make_module(self.wants_training and bool(trainable))
        return self.embed(inputs.get(self), module)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the column again."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init}
        return {**found, "key": _tensorflow.config_of(self.key)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None, columns_by_name: Any = None) -> Self:
        """Make the column again."""
        key = _tensorflow.column_from_config(config["key"], custom_objects, columns_by_name)
        return cls(**{**config, "key": key})

    def __deepcopy__(self, memo: Any) -> Self:
        # Estimators copy what they are given; a column never changes, and its module may be large.
        return self
