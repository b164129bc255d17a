"""Which package brings an op that stock TensorFlow does not have."""

from __future__ import annotations

import tensorflow as tf

from modhub import errors

__all__ = ["unknown_op"]

# (what an op's name begins with or contains, the package, how it is imported). The packages register these ops when
# they are imported; the names are those in their op libraries.
_PACKAGES = (
    ("Sentencepiece", "tensorflow-text", "import tensorflow_text"),
    ("Wordpiece", "tensorflow-text", "import tensorflow_text"),
    ("WhitespaceTokenize", "tensorflow-text", "import tensorflow_text"),
    ("UnicodeScriptTokenize", "tensorflow-text", "import tensorflow_text"),
    ("CaseFoldUTF8", "tensorflow-text", "import tensorflow_text"),
    ("NormalizeUTF8", "tensorflow-text", "import tensorflow_text"),
    ("FastBertNormalize", "tensorflow-text", "import tensorflow_text"),
    ("FastWordpiece", "tensorflow-text", "import tensorflow_text"),
    ("SentenceFragments", "tensorflow-text", "import tensorflow_text"),
    ("ConstrainedSequence", "tensorflow-text", "import tensorflow_text"),
    ("TFText>", "tensorflow-text", "import tensorflow_text"),
    ("Addons>", "tensorflow-addons", "import tensorflow_addons"),
    ("IO>", "tensorflow-io", "import tensorflow_io"),
    ("GenerateVocab", "tensorflow-transform", "import tensorflow_transform"),
    ("ScaNN>", "scann", "import scann"),
    ("Scann>", "scann", "import scann"),
    ("SimpleMLInference", "tensorflow-decision-forests", "import tensorflow_decision_forests"),
    ("RangeEncode", "tensorflow-compression", "import tensorflow_compression"),
    ("RangeDecode", "tensorflow-compression", "import tensorflow_compression"),
    ("EntropyEncode", "tensorflow-compression", "import tensorflow_compression"),
    ("EntropyDecode", "tensorflow-compression", "import tensorflow_compression"),
)


def unknown_op(op: str, where: str) -> errors.UnknownOpError:
    """Return the error for an op that this process does not know, naming the package that has it."""
    for prefix, package, statement in _PACKAGES:
        if op.startswith(prefix):
            hint = f"It comes with the package {package}: pip install {package}, then `{statement}` before the module."
            break
    else:
        hint = (
            "If a package of yours registers it, import that package before the module is used "
            "(`tf.load_op_library` for a library of ops)."
        )
    return errors.UnknownOpError(
        f"The op {op!r} in {where} is one that TensorFlow {tf.__version__} does not know. {hint}"
    )
