"""export_text_embeddings: a module that embeds texts, of a file of word vectors. No TensorFlow, and little memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from modhub.errors import InvalidArgumentError
from modhub.export.text.graph import saved_model
from modhub.export.text.options import DEFAULT_COMBINER, TextGraph, check_flags, check_options
from modhub.export.text.telling import telling
from modhub.export.text.vectors import Source, open_vectors
from modhub.export.text.writing import TOKENS, Written, write_vectors
from modhub.format.directory import new_module_directory
from modhub.format.layout import ASSETS, SAVED_MODEL
from modhub.settings import current

__all__ = ["export_text_embeddings"]

# Digits of the digest of a vocabulary by which its table is called: no two vocabularies share them.
_DIGITS = 32


def export_text_embeddings(
    source: Source,
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    max_words: int | None = None,
    duplicates: str = "error",
    num_oov_buckets: int = 1,
    preprocess: bool = True,
    lowercase: bool = False,
    combiner: str = DEFAULT_COMBINER,
    dtype: str = "float32",
    trainable: bool = True,
    tokens_signature: bool = True,
) -> Written:
    r"""Publish word vectors as a module that embeds texts, for feature columns, `hub.Module`, `hub.load`, KerasLayer.

    The signature "default" takes sentences, string [batch], and gives a vector for each, float32 [batch, dimension]:
    punctuation (Unicode's categories P) is removed, the rest is split at spaces, and the words' vectors are combined.
    A word that is not in the vocabulary has the vector of one of `num_oov_buckets` further rows, by a hash of it. They
    are zeros until the module is trained further, and count as words do; so does the one empty word of a sentence
    without words. With `num_oov_buckets=0` unknown words are left out instead: they do not count, a sentence without
    any known word gets zeros, and nothing is trained for them.

    The signature "tokens" takes words as they are, string [batch], and gives a vector for each. The table of vectors is
    the variable "embeddings" [words + num_oov_buckets, dimension], the vocabulary the asset `tokens.txt`. There is no
    variant for training: it would not differ.

    Values are those of `np.float32(float(text))`. They go from the file to the module in blocks, in memory of the same
    size for any file. TensorFlow is not used.

    Args:
      source: the path of a text file of GloVe, word2vec or fastText (`.vec`), or of a binary file of word2vec, packed
        by gzip or not. Or a pair (vocabulary, matrix): words, each `str` or `bytes`, and numbers [words, dimension].
      path: the new directory; it must not exist, its parents are made.
      format: of the file: "glove" (no header), "word2vec", "word2vec-binary", "fasttext"; "auto" looks into it.
      max_words: how many words are taken at most, from the first on; None for all. Such files have the most frequent
        words first.
      duplicates: what a word that comes again does: it is an "error", or the "first" of its vectors is kept.
      num_oov_buckets: rows for words that are not in the vocabulary, 2**24 at most.
      preprocess: False to leave sentences out: "default" then takes words, as "tokens" does.
      lowercase: whether sentences and words are turned to lower case (Unicode's) before they are looked up. The
        vocabulary stays as it is: words with capitals in it are not found then.
      combiner: how the n vectors of a sentence become one: their sum over the square root of n ("sqrtn"), over n
        ("mean"), or as it is ("sum").
      dtype: "float32", or "float16" for a table of half the size, which is trained as float16 too; outputs are float32.
      trainable: False to keep the table out of the trainable variables.
      tokens_signature: False to leave the signature "tokens" out.

    Returns:
      What was written: how many `words`, of which `dimension`, how many were `repeated` and left out, and how many
      vectors are `not_finite`.

    Raises:
      HandleNotFoundError: there is no such file.
      InvalidArgumentError: it cannot be read as word vectors (the message says which line), or an option is not
        accepted.
      ExportExistsError: the path exists; it is left as it was.
      ExportError: a file could not be written. Nothing is left behind after any of these.

    Example:
      >>> import modhub as hub, os, tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     vectors, module = os.path.join(folder, "vectors.txt"), os.path.join(folder, "module")
      ...     with open(vectors, "w") as file:
      ...         _ = file.write("red 1.0 0.0\ngreen 0.0 1.0\n")
      ...     written = export_text_embeddings(vectors, module, combiner="mean")
      ...     print(written.words, "words of", written.dimension)
      ...     hub.load(module)(["Red? No: red, green!", ""]).numpy().round(2).tolist()
      2 words of 2
      [[0.25, 0.25], [0.0, 0.0]]
    """
    check_options(preprocess=preprocess, combiner=combiner, num_oov_buckets=num_oov_buckets)
    check_flags(preprocess=preprocess, lowercase=lowercase, trainable=trainable, tokens_signature=tokens_signature)
    target = _target(path)
    vectors = open_vectors(source, format=format, max_words=max_words)
    label, in_bytes = ("a vocabulary", False) if isinstance(source, tuple) else (Path(source).name, True)
    with new_module_directory(target) as directory:
        with telling(label, vectors.total, in_bytes=in_bytes, progress=current().progress) as tell:
            written = write_vectors(
                directory,
                vectors,
                num_oov_buckets=num_oov_buckets,
                dtype=dtype,
                duplicates=duplicates,
                on_progress=tell,
            )
        options = TextGraph(
            words=written.words,
            dimension=written.dimension,
            table_name=_table_name(directory),
            num_oov_buckets=num_oov_buckets,
            preprocess=preprocess,
            lowercase=lowercase,
            combiner=combiner,
            dtype=dtype,
            trainable=trainable,
            tokens_signature=tokens_signature,
        )
        (directory / SAVED_MODEL).write_bytes(saved_model(options))
    return written


def _target(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InvalidArgumentError(f"{path!r} is no path to export to.")
    if "://" in os.fspath(path):
        raise InvalidArgumentError(
            f"{path!r} is no path on this machine. Export to a local directory, and copy that where it is to go."
        )
    return Path(path)


def _table_name(directory: Path) -> str:
    """Return a name for the table that tables of other words do not have: loaders that keep names as they are share
    tables of one name in a process.
    """
    with (directory / ASSETS / TOKENS).open("rb") as file:
        return f"vocabulary_{hashlib.file_digest(file, 'sha256').hexdigest()[:_DIGITS]}"
