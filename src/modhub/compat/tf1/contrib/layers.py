"""tf.contrib.layers: layers with arg_scope, initializers, regularizers, optimize_loss; of tf_slim."""

from __future__ import annotations

import importlib
from typing import Any

import tensorflow as tf

from modhub.compat.tf1.contrib.names import names_from
from modhub.compat.tf1.contrib.slim import tf_slim

__all__ = ["embed_sequence"]

__getattr__ = names_from(
    "layers",
    importlib.import_module(f"{tf_slim.__name__}.layers"),  # the attribute `layers` of tf_slim is another module
    tf.compat.v1.nn,  # safe_embedding_lookup_sparse, embedding_lookup_unique
    modules=("initializers", "layers", "optimizers", "regularizers", "summaries", "utils"),
)


def embed_sequence(
    ids: Any,
    vocab_size: int | None = None,
    embed_dim: int | None = None,
    unique: bool = False,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: bool | None = None,
) -> Any:
    """Return the embeddings of ids: [batch, length] to [batch, length, embed_dim].

    Args:
      ids: integers from 0 to vocab_size - 1.
      vocab_size: rows of the variable "embeddings"; with `reuse` it may be None.
      embed_dim: its columns.
      unique: look each id up once, however often it is there; the result is the same.
      initializer: of the variable; the uniform one of Xavier if it is None.
      regularizer: of the variable.
      trainable: whether it is trained.
      scope: the variable scope; "EmbedSequence" without one.
      reuse: whether the variable is there already.
    """
    v1 = tf.compat.v1
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError("embed_sequence() needs vocab_size and embed_dim, unless it reuses a variable.")
    with v1.variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        shape = [vocab_size, embed_dim] if vocab_size and embed_dim else None
        embeddings = v1.get_variable(
            "embeddings", shape=shape, initializer=initializer, regularizer=regularizer, trainable=trainable
        )
        if not unique:
            return v1.nn.embedding_lookup(embeddings, ids)
        ids = tf.convert_to_tensor(ids)
        each, places = tf.unique(tf.reshape(ids, [-1]))
        found = v1.gather(v1.nn.embedding_lookup(embeddings, each), places)
        return tf.reshape(found, tf.concat([tf.shape(ids), [embeddings.shape[-1]]], axis=0))
