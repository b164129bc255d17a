"""What the graph of a text embedding depends on."""

from __future__ import annotations

import dataclasses

from modhub.errors import InvalidArgumentError, accepted

__all__ = ["COMBINERS", "DEFAULT_COMBINER", "TextGraph", "check_flags", "check_options"]

# How the vectors of a sentence become one, and the op that does it: their sum, over 1, n, or the root of n.
COMBINERS = {"sqrtn": "SparseSegmentSqrtN", "mean": "SparseSegmentMean", "sum": "SparseSegmentSum"}
DEFAULT_COMBINER = "sqrtn"

_MOST_BUCKETS = 2**24  # a slip of the finger would fill the disk with zeros


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextGraph:
    """What the graph of a text embedding depends on. `check_options` checks those that a user gives.

    Attributes:
      words: the number of lines of the vocabulary, and of rows of the table before the buckets.
      dimension: of the vectors.
      table_name: by which TensorFlow knows the vocabulary's table; modules with different vocabularies differ in it.
      num_oov_buckets: rows for words that are not in the vocabulary. With 0 such words are left out.
      preprocess: whether the default signature takes sentences; else it takes words, and gives a vector for each.
      lowercase: whether what comes in is turned to lower case first.
      combiner: one of COMBINERS.
      dtype: of the table, "float32" or "float16"; outputs are float32 in any case.
      trainable: whether the table is in TRAINABLE_VARIABLES.
      tokens_signature: whether there is a signature "tokens", which takes words, and gives a vector for each.
    """

    words: int
    dimension: int
    table_name: str = "vocabulary"
    num_oov_buckets: int = 1
    preprocess: bool = True
    lowercase: bool = False
    combiner: str = DEFAULT_COMBINER
    dtype: str = "float32"
    trainable: bool = True
    tokens_signature: bool = True


def check_options(*, preprocess: bool, combiner: object, num_oov_buckets: object) -> None:
    """Check options of a user that `write_vectors` does not see.

    Args:
      preprocess: whether sentences come in.
      combiner: one of COMBINERS.
      num_oov_buckets: here only whether it is far too large.

    Raises:
      InvalidArgumentError: one of them is not accepted, or has no effect beside another.

    Example:
      >>> check_options(preprocess=True, combiner="max", num_oov_buckets=1)
      Traceback (most recent call last):
      modhub.errors.InvalidArgumentError: combiner='max' is not accepted. Known combiners: 'mean', 'sqrtn', 'sum'.
    """
    if not isinstance(combiner, str) or combiner not in COMBINERS:
        raise InvalidArgumentError(
            f"combiner={combiner!r} is not accepted. " + accepted(combiner, COMBINERS, "combiners")
        )
    if isinstance(num_oov_buckets, int) and num_oov_buckets > _MOST_BUCKETS:
        raise InvalidArgumentError(
            f"num_oov_buckets={num_oov_buckets} is not accepted: each is a row of the table, and there are at most "
            f"{_MOST_BUCKETS}."
        )
    if not preprocess and combiner != DEFAULT_COMBINER:
        raise InvalidArgumentError(
            f"combiner={combiner!r} has no effect without sentences (preprocess=False), where each word keeps its own "
            "vector: leave one of the two out."
        )


def check_flags(**flags: object) -> None:
    """Check that options of a user, by their names, are True or False: `preprocess="no"` would be taken for True.

    Raises:
      InvalidArgumentError: one of them is neither.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"{name}={value!r} is neither True nor False.")
