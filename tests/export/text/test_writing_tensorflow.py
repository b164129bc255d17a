from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modhub.export.text.vectors import open_vectors
from modhub.export.text.writing import write_vectors

tf = pytest.importorskip("tensorflow", reason="TensorFlow reads what is written where it is installed")


def test_tensorflow_reads_the_matrix_and_the_words(written: Callable[[bytes], Path], tmp_path: Path) -> None:
    words = [b"the", b"\xff", b". . .", b"a\tb", b"x\rz", b'"', b"\xc2\xa0", b"\xef\xbb\xbfb", b"\x00", b"#", b"1"]
    lines = [b"%s %d 0.1\n" % (word, number) for number, word in enumerate(words)]
    write_vectors(tmp_path, open_vectors(written(b"".join(lines))))
    reader = tf.train.load_checkpoint(str(tmp_path / "variables" / "variables"))
    expected = np.array([*[[number, 0.1] for number in range(len(words))], [0, 0]], np.float32)
    np.testing.assert_array_equal(reader.get_tensor("embeddings"), expected)
    initializer = tf.lookup.TextFileInitializer(
        str(tmp_path / "assets" / "tokens.txt"),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    table = tf.lookup.StaticVocabularyTable(initializer, 1)
    assert table.lookup(tf.constant([*words, b"no"])).numpy().tolist() == list(range(len(words) + 1))
