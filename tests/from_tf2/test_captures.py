"""What functions captured besides variables: tables, files, random generators, constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import evaluated

TOKENS = tf.TensorSpec([None], tf.string)


def initializer(path: Path) -> Any:
    columns = tf.lookup.TextFileIndex
    return tf.lookup.TextFileInitializer(str(path), tf.string, columns.WHOLE_LINE, tf.int64, columns.LINE_NUMBER)


class Vocabulary(tf.Module):
    """tokens [batch] -> their numbers, in a table of the kind that is asked for."""

    def __init__(self, kind: str, path: Path) -> None:
        super().__init__()
        path.write_text("red\ngreen\n")
        values = tf.lookup.KeyValueTensorInitializer(["red", "green"], tf.constant([0, 1], tf.int64))
        self.unused = tf.lookup.StaticHashTable(values, -1)
        if kind == "file":
            self.table = tf.lookup.StaticHashTable(initializer(path), -1)
        elif kind == "values":
            self.table = tf.lookup.StaticHashTable(values, -1)
        elif kind == "buckets":
            self.table = tf.lookup.StaticVocabularyTable(initializer(path), 1)
        else:
            self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
            self.table.insert(["red", "green"], tf.constant([0, 1], tf.int64))

    @tf.function(input_signature=[TOKENS])
    def __call__(self, tokens: Any) -> Any:
        return self.table.lookup(tokens)


@pytest.mark.parametrize("kind", ["file", "values", "buckets", "mutable"])
def test_tables(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "words.txt"
    vocabulary = Vocabulary(kind, path)
    tokens = ["green", "red", "mauve"]
    expected = vocabulary(tf.constant(tokens)).numpy().tolist()
    hub.export_module(vocabulary, tmp_path / "module")
    path.unlink()
    assert [each.name for each in tmp_path.glob("module/assets/*")] == (
        ["words.txt"] if kind in ("file", "buckets") else []
    )
    assert str(tmp_path).encode() not in (tmp_path / "module" / "saved_model.pb").read_bytes()
    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "module"))
        assert (
            evaluated([module(tokens), module(tokens[:1])])[0].tolist()
            == expected
            == [1, 0, 2 if kind == "buckets" else -1]
        )


def test_two_vocabularies_of_one_file_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    class Both(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Vocabulary("file", tmp_path / "words.txt")
            self.second = Vocabulary("file", tmp_path / "other" / "words.txt")

        @tf.function(input_signature=[TOKENS])
        def __call__(self, tokens: Any) -> Any:
            return self.first(tokens) + self.second(tokens)

    hub.export_module(Both(), tmp_path / "module")
    with hub.eval_function_for_module(str(tmp_path / "module")) as f:
        assert f(["green"]).tolist() == [2]


def test_tables_of_layers_of_one_name(tmp_path: Path) -> None:
    class Both(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = keras.layers.StringLookup(vocabulary=["a", "b"], name="lookup")
            self.second = keras.layers.StringLookup(vocabulary=["b", "a"], name="lookup")

        @tf.function(input_signature=[TOKENS])
        def __call__(self, tokens: Any) -> Any:
            return {"first": self.first(tokens), "second": self.second(tokens)}

    hub.export_module(Both(), tmp_path / "module")
    with hub.eval_function_for_module(str(tmp_path / "module")) as f:
        outputs = f(["a"], as_dict=True)
    assert (outputs["first"].tolist(), outputs["second"].tolist()) == ([1], [2])


def test_a_file_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").write_text("hello")

    class Reader(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.asset = tf.saved_model.Asset(str(tmp_path / "greeting.txt"))

        @tf.function(input_signature=[])
        def __call__(self) -> Any:
            return tf.io.read_file(self.asset.asset_path)

    hub.export_module(Reader(), tmp_path / "module")
    (tmp_path / "greeting.txt").unlink()
    with hub.eval_function_for_module(str(tmp_path / "module")) as f:
        assert f() == b"hello"


def test_a_generator_of_random_numbers(tmp_path: Path) -> None:
    class Noise(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = tf.random.Generator.from_seed(1)

        @tf.function(input_signature=[tf.TensorSpec([2])])
        def __call__(self, x: Any) -> Any:
            return x + self.generator.normal([2])

    hub.export_module(Noise(), tmp_path / "module")
    with hub.eval_function_for_module(str(tmp_path / "module")) as f:
        first, second = f([0.0, 0.0]), f([0.0, 0.0])
    assert np.all(first != second)


def test_constants(tmp_path: Path) -> None:
    weights = tf.constant([[1.0, 2.0]])
    hub.export_module(lambda x: x * weights, tmp_path / "module", inputs=tf.TensorSpec([None, 2]))
    with hub.eval_function_for_module(str(tmp_path / "module")) as f:
        assert f([[3.0, 4.0]]).tolist() == [[3.0, 8.0]]
