"""sparse_text_embedding_column: what a module makes of the tokens of an example, combined to one vector."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec
from modhub.columns._tensorflow import registered
from modhub.columns.checks import check_bool, check_text_embedding
from modhub.columns.features import all_texts
from modhub.columns.spec_column import SpecColumn, as_path

__all__ = ["SparseTextEmbeddingColumn", "sparse_text_embedding_column"]

# The kernels behind tf.nn.embedding_lookup_sparse, which drops empty rows at the end of a batch.
_COMBINERS: dict[str, Callable[..., tf.Tensor]] = {
    "mean": tf.sparse.segment_mean,
    "sqrtn": tf.sparse.segment_sqrt_n,
    "sum": tf.sparse.segment_sum,
}


def sparse_text_embedding_column(
    key: Any,
    module_spec: str | os.PathLike[str] | ModuleSpec,
    combiner: str,
    default_value: str | None,
    trainable: bool = False,
) -> SparseTextEmbeddingColumn:
    """Make a column of the embeddings of all texts (tokens, usually) of an example, combined.

    It goes where a `text_embedding_column` goes.

    Args:
      key: the name of the feature, which is a SparseTensor of strings [batch, tokens]; or a column that makes it. Of a
        dense feature, what is not "" counts.
      module_spec: the module's handle, see `modhub.resolve`, or a `ModuleSpec`. Its default signature takes strings
        [batch] and gives float32 [batch, dim].
      combiner: "mean", "sum", or "sqrtn", which is the sum over the square root of the number of texts.
      default_value: the text of examples that have none; None makes theirs a vector of zeros.
      trainable: whether the module is trained with the model, where the layer is trainable too. By default it is not.

    Returns:
      The column, called "<key>_hub_module_embedding"; its values are float32 [batch, dim].

    Raises:
      InvalidArgumentError: the module has another signature, the combiner is none of these, or an argument is of the
        wrong kind.
      HandleNotFoundError: the handle names nothing; see `load_module_spec` for the other errors of loading.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> from modhub.columns import sparse_text_embedding_column
      >>> def module_fn():
      ...     text = tf.compat.v1.placeholder(tf.string, [None])
      ...     hub.add_signature(inputs=text, outputs=tf.cast(tf.strings.length(text), tf.float32)[:, None])
      >>> column = sparse_text_embedding_column("words", hub.create_module_spec(module_fn), "sum", default_value="none")
      >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
      ...     words = tf.sparse.from_dense([["so", "easy"], ["", ""]])
      ...     session.run(tf.compat.v1.feature_column.input_layer({"words": words}, [column])).tolist()
      [[6.0], [4.0]]
    """
    return SparseTextEmbeddingColumn(
        key=key,
        module_spec_path=as_path(module_spec),
        combiner=combiner,
        default_value=default_value,
        trainable=trainable,
    )


@registered
@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseTextEmbeddingColumn(SpecColumn):
    """What `sparse_text_embedding_column` returns.

    Attributes:
      combiner: "mean", "sqrtn" or "sum".
      default_value: the text of examples that have none.
      trainable: whether the module is trained with the model.
    """

    combiner: str
    default_value: str | None
    trainable: bool

    def check(self) -> None:
        """Check the arguments, and that the module makes vectors of strings."""
        if not isinstance(self.combiner, str) or self.combiner not in _COMBINERS:
            raise errors.InvalidArgumentError(
                f"combiner must be 'mean', 'sqrtn' or 'sum': {self.combiner!r}. "
                + errors.accepted(self.combiner, _COMBINERS, "combiners")
            )
        if not isinstance(self.default_value, str | bytes | None):
            raise errors.InvalidArgumentError(
                f"default_value={self.default_value!r} is no text. Pass one for examples that have none, or None."
            )
        check_bool(self.trainable)
        check_text_embedding(self.module_spec)

    def feature(self) -> Any:
        """Return that each example has any number of strings."""
        return tf.io.VarLenFeature(tf.string)

    def embed(self, feature: Any, module: Any) -> tf.Tensor:
        """Return the combined embeddings of strings [batch, tokens]."""
        texts = all_texts(feature, self.name)
        if self.default_value is not None:
            texts, _ = tf.sparse.fill_empty_rows(texts, self.default_value)
        vectors = module(texts.values)
        rows = texts.indices[:, 0]
        return _COMBINERS[self.combiner](vectors, tf.range(tf.size(rows)), rows, num_segments=texts.dense_shape[0])
