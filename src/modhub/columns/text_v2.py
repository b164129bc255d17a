"""text_embedding_column_v2: what a SavedModel, or a module, makes of one text."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import load_module_spec
from modhub.columns._tensorflow import registered
from modhub.columns.checks import check_bool
from modhub.columns.column import EmbeddingColumn
from modhub.columns.features import one_text_each
from modhub.columns.layer import keras_layer
from modhub.columns.spec_column import as_path
from modhub.module import Module

__all__ = ["TextEmbeddingColumnV2", "text_embedding_column_v2"]


def text_embedding_column_v2(
    key: Any, module_path: str | os.PathLike[str], output_key: str | None = None, trainable: bool = False
) -> TextEmbeddingColumnV2:
    """Make a column of the embeddings of texts by a TF2 SavedModel or a module.

    It goes into `DenseFeatures` of tf_keras (Keras 2); of a module also where a `text_embedding_column` goes. It is
    loaded when the layer is built, as a `KerasLayer`.

    Args:
      key: the name of the feature, which is strings of shape [batch] or [batch, 1]; or a column that makes it.
      module_path: the handle, see `modhub.resolve`.
      output_key: the output to take of a SavedModel that returns several; of a module "default" if left out.
      trainable: whether it is trained with the model, where the layer is trainable too. By default it is not.

    Returns:
      The column, called "<key>_hub_module_embedding"; its values are float32 [batch, dim].

    Raises:
      InvalidArgumentError: an argument is of the wrong kind; and, when the layer is built, the SavedModel makes other
        things of strings [batch].

    Example:
      >>> import modhub as hub, tempfile, tensorflow as tf
      >>> from modhub.columns import text_embedding_column_v2
      >>> class Length(tf.Module):
      ...     @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
      ...     def __call__(self, text):
      ...         return tf.cast(tf.strings.length(text), tf.float32)[:, None]
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     tf.saved_model.save(Length(), folder)
      ...     column = text_embedding_column_v2("comment", folder)
      ...     column.variable_shape.as_list(), column.make_layer(None, False)(tf.constant(["so"])).numpy().tolist()
      ([1], [[2.0]])
    """
    return TextEmbeddingColumnV2(key=key, module_path=as_path(module_path), output_key=output_key, trainable=trainable)


@registered
@dataclasses.dataclass(frozen=True, kw_only=True)
class TextEmbeddingColumnV2(EmbeddingColumn):
    """What `text_embedding_column_v2` returns.

    Attributes:
      module_path: the handle.
      output_key: the output to take; None where there is one, or of a module "default".
      trainable: whether it is trained with the model.
    """

    module_path: str
    output_key: str | None
    trainable: bool
    _row: tf.TensorShape | None = dataclasses.field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.module_path, str):
            raise errors.InvalidArgumentError(
                f"module_path={self.module_path!r} is not the path of a SavedModel or module. "
                "text_embedding_column takes a ModuleSpec too."
            )
        if not isinstance(self.output_key, str | None):
            raise errors.InvalidArgumentError(f"output_key={self.output_key!r} is not a string.")
        check_bool(self.trainable)

    @property
    def resource_name(self) -> str:
        """The name of the KerasLayer in a StateManager, and in checkpoints of the layer that has it."""
        return f"hub_text_column_{self.key if isinstance(self.key, str) else self.key.name}"

    @property
    def variable_shape(self) -> tf.TensorShape:
        """The shape of one row; until a layer is built nothing was loaded, and then it is loaded for this."""
        if self._row is None:
            self.make_layer(None, False)
        return self._row

    def feature(self) -> Any:
        """Return that each example has one string."""
        return tf.io.FixedLenFeature([1], tf.string)

    def make_layer(self, owner: Any, trainable: bool) -> Any:
        """Return what is loaded as a layer."""
        layer = keras_layer(owner, self.module_path, output_key=self.output_key, trainable=trainable)
        text = tf.TensorSpec([None], tf.string, name="text")
        outputs = tf.function(lambda text: layer(text)).get_concrete_function(text).structured_outputs
        self._check(outputs)
        return layer

    def make_module(self, trainable: bool) -> Module:
        """Return the module in the v1 graph."""
        key = self.output_key or "default"
        module: Module = Module(load_module_spec(self.module_path), trainable=trainable)
        outputs = module.get_output_info_dict()
        if key not in outputs:
            raise errors.UnknownOutputError(
                f"There is no output {key!r} in the default signature of {self.module_path!r}: set output_key. "
                + errors.accepted(key, outputs, "outputs")
            )
        self._check(tf.TensorSpec(outputs[key].shape, outputs[key].dtype))
        return module

    def embed(self, feature: Any, module: Any) -> tf.Tensor:
        """Return the embeddings of strings [batch, 1]."""
        text = one_text_each(feature, self.name)
        if isinstance(module, Module):
            return module(text, as_dict=True)[self.output_key or "default"]
        return module(text)

    def _check(self, output: Any) -> None:
        """Check what strings [batch] become, and note the shape of a row."""
        shape = getattr(output, "shape", None)
        if not isinstance(shape, tf.TensorShape):
            raise errors.InvalidArgumentError(
                f"{self.module_path!r} doesn't return a single result, but {output!r}. "
                "Did you specify the right `output_key`?"
            )
        if output.dtype != tf.float32 or shape.rank != 2 or shape.as_list()[1] is None:
            raise errors.InvalidArgumentError(
                f"Module is not a text-embedding: {self.module_path!r} makes {output.dtype.name} of shape {shape} of "
                "strings of shape (?,), and not float32 of shape (?,K) with K known."
            )
        object.__setattr__(self, "_row", shape[1:])
