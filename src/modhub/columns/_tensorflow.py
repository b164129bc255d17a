"""The private TensorFlow symbols that feature columns need, each with its reason.

TensorFlow has no public class to make a column of one's own from. Tried on TensorFlow 2.18 to 2.21.
"""

from __future__ import annotations

from typing import Any, TypeVar

import tensorflow as tf
from tensorflow.python.feature_column import feature_column as columns_v1
from tensorflow.python.feature_column import feature_column_v2 as columns_v2
from tensorflow.python.feature_column import serialization

__all__ = ["DenseColumn", "column_from_config", "config_of", "is_column", "owner_of", "registered", "trains"]

Column = TypeVar("Column", bound=type)


# `DenseFeatures` takes instances of the first class, `tf.compat.v1.feature_column.input_layer` those of the second.
class DenseColumn(columns_v2.DenseColumn, columns_v1._DenseColumn):  # type: ignore[misc]  # TensorFlow has no types
    """A column under both interfaces; the names that `input_layer` uses lead to those that `DenseFeatures` uses."""

    @property
    def _is_v2_column(self) -> bool:
        return True

    @property
    def _variable_shape(self) -> tf.TensorShape:
        return self.variable_shape

    @property
    def _parse_example_spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.parse_example_spec
        return spec

    def _transform_feature(self, inputs: Any) -> Any:
        return inputs.get(self.parents[0])


def is_column(key: Any) -> bool:
    """Tell whether a key is a column itself."""
    return isinstance(key, tf.__internal__.feature_column.FeatureColumn)


def trains(state_manager: Any) -> bool:
    """Tell whether the layer behind a StateManager is trainable; nothing public of it says so."""
    return bool(getattr(state_manager, "_trainable", True))


def owner_of(state_manager: Any) -> Any:
    """Return the layer behind a StateManager, None where there is none."""
    return getattr(state_manager, "_layer", None)


def registered(column: Column) -> Column:
    """Let `DenseFeatures.from_config` find a class of columns by its name.

    It looks in a list of TensorFlow's, and for a model that is loaded from a file passes no custom objects on.
    """
    serialization._FEATURE_COLUMNS.append(column)
    return column


def config_of(key: Any) -> Any:
    """Return the config of a key: a string is its own, a column has one."""
    return key if isinstance(key, str) else {"class_name": type(key).__name__, "config": key.get_config()}


def column_from_config(config: Any, custom_objects: Any, columns_by_name: Any) -> Any:
    """Return the key that `config_of` described."""
    if isinstance(config, str):
        return config
    return serialization.deserialize_feature_column(config, custom_objects, columns_by_name)
