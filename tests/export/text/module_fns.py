"""The module that embeds texts as TF1 code builds it, to compare with; and the texts that tell graphs apart.

The libraries are parameters, `hub` and `tf`, so that tensorflow_hub on an older TensorFlow builds it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = ("the", "cat", "sat", "Cat", "naïve", "猫", "3.14", "don't", "dont", "New York", "-", "e\u0301")
MATRIX = np.random.default_rng(0).standard_normal([len(VOCABULARY), 5]).astype(np.float32)

SENTENCES = (
    "the cat sat",
    "",
    "The cat, the CAT; the “naïve” Cat!",
    "   the    sat  ",
    "...",
    " . , ",
    "unknown words only",
    "cat unknown cat",
    "don't dont 3.14 314 -",
    "猫 sat。 猫、the",
    "New York",
    "the\tcat\nsat",
    "\u00a0cat\u00a0",
    "É é e\u0301 NAÏVE ǅ İ",
    "the_cat the$cat the+cat",
    "cat " * 300,
)


def text_module(
    hub: Any, tf: Any, vocabulary: Path, values: np.ndarray, *, buckets: int, combiner: str, lowercase: bool = False
) -> Any:
    """Return a spec of a module of sentences, written as examples of tensorflow_hub write it."""

    def module_fn() -> None:
        sentences = tf.compat.v1.placeholder(tf.string, [None])
        lowered = tf.strings.lower(sentences, encoding="utf-8") if lowercase else sentences
        words = tf.compat.v1.string_split(tf.strings.regex_replace(lowered, r"\pP", ""), " ")
        table = _table(tf, vocabulary, buckets)
        ids = tf.SparseTensor(words.indices, table.lookup(words.values), words.dense_shape)
        ids, _ = tf.sparse.fill_empty_rows(ids, table.lookup(tf.constant("")))
        ids = tf.sparse.reset_shape(ids)
        looked_up = tf.nn.embedding_lookup_sparse(_variable(tf, values, buckets), ids, None, combiner=combiner)
        hub.add_signature(inputs={"sentences": sentences}, outputs={"default": looked_up})

    return hub.create_module_spec(module_fn)


def word_module(hub: Any, tf: Any, vocabulary: Path, values: np.ndarray, *, buckets: int) -> Any:
    """Return a spec of a module of words."""

    def module_fn() -> None:
        tokens = tf.compat.v1.placeholder(tf.string, [None])
        ids = _table(tf, vocabulary, buckets).lookup(tokens)
        looked_up = tf.nn.embedding_lookup(_variable(tf, values, buckets), ids)
        hub.add_signature(inputs={"tokens": tokens}, outputs={"default": looked_up})

    return hub.create_module_spec(module_fn)


def with_buckets(values: np.ndarray, buckets: int) -> np.ndarray:
    """Return a table whose buckets were trained, so that it shows which of them a word is in."""
    trained = 10.0 + np.arange(buckets * values.shape[1], dtype=np.float32).reshape(buckets, -1)
    return np.concatenate([values, trained.astype(values.dtype)])


def embedded(
    hub: Any, tf: Any, module: Any, signature: str, texts: Sequence[str | bytes], values: np.ndarray | None = None
) -> np.ndarray:
    """Return what a module gives in a session, with another table of vectors if one is given."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        instance = hub.Module(module)
        result = instance(tf.constant(list(texts), tf.string, [len(texts)]), signature=signature)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        if values is not None:
            instance.variable_map["embeddings"].load(values, session)
        return session.run(result)


def _table(tf: Any, vocabulary: Path, buckets: int) -> Any:
    lines = tf.lookup.TextFileInitializer(
        str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    return tf.lookup.StaticVocabularyTable(lines, buckets)


def _variable(tf: Any, values: np.ndarray, buckets: int) -> Any:
    shape = [len(values) + buckets, values.shape[1]]
    v1 = tf.compat.v1
    return v1.get_variable("embeddings", shape, initializer=v1.zeros_initializer())
