"""text_embedding_column: what a module makes of one text."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import tensorflow as tf

from modhub.authoring import ModuleSpec
from modhub.columns._tensorflow import registered
from modhub.columns.checks import check_bool, check_text_embedding
from modhub.columns.features import one_text_each
from modhub.columns.spec_column import SpecColumn, as_path

__all__ = ["TextEmbeddingColumn", "text_embedding_column"]


def text_embedding_column(
    key: Any, module_spec: str | os.PathLike[str] | ModuleSpec, trainable: bool = False
) -> TextEmbeddingColumn:
    """Make a column of the embeddings of texts.

    It goes into `tf.compat.v1.feature_column.input_layer` and `linear_model`, into estimators, and into `DenseFeatures`
    of tf_keras (Keras 2), in a v1 graph as under eager execution. There is one module for a layer with a StateManager
    (`DenseFeatures`), however often it is called, and one for each call of `input_layer`. docs/feature-columns.md says
    what to do in Keras 3.

    Args:
      key: the name of the feature, which is strings of shape [batch] or [batch, 1]; or a column that makes it.
      module_spec: the module's handle, see `modhub.resolve`, or a `ModuleSpec`. Its default signature takes strings
        [batch] and gives float32 [batch, dim].
      trainable: whether the module is trained with the model, where the layer is trainable too. By default it is not.

    Returns:
      The column, called "<key>_hub_module_embedding"; its values are float32 [batch, dim].

    Raises:
      InvalidArgumentError: the module has another signature, or an argument is of the wrong kind.
      HandleNotFoundError: the handle names nothing; see `load_module_spec` for the other errors of loading.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> from modhub.columns import text_embedding_column
      >>> def module_fn():
      ...     text = tf.compat.v1.placeholder(tf.string, [None])
      ...     length = tf.cast(tf.strings.length(text), tf.float32)
      ...     hub.add_signature(inputs=text, outputs=tf.stack([length, -length], axis=1))
      >>> column = text_embedding_column("comment", hub.create_module_spec(module_fn))
      >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      ...     features = {"comment": tf.constant(["so", "easy"])}
      ...     session.run(tf.compat.v1.feature_column.input_layer(features, [column])).tolist()
      [[2.0, -2.0], [4.0, -4.0]]
    """
    return TextEmbeddingColumn(key=key, module_spec_path=as_path(module_spec), trainable=trainable)


@registered
@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEmbeddingColumn(SpecColumn):
    """What `text_embedding_column` returns.

    Attributes:
      trainable: whether the module is trained with the model.
    """

    trainable: bool

    def check(self) -> None:
        """Check that the module makes vectors of strings."""
        check_bool(self.trainable)
        check_text_embedding(self.module_spec)

    def feature(self) -> Any:
        """Return that each example has one string."""
        return tf.io.FixedLenFeature([1], tf.string)

    def embed(self, feature: Any, module: Any) -> tf.Tensor:
        """Return the embeddings of strings [batch, 1]."""
        return module(one_text_each(feature, self.name))
