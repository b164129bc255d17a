"""Modules and SavedModels that do no harm, as honest tools write them: each a function of a directory to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.constructions import lookup, publish, v1

__all__ = ["HONEST"]

HONEST: dict[str, Callable[[Path], Any]] = {}


def honest(build: Callable[[Path], Any]) -> Callable[[Path], Any]:
    HONEST[build.__name__] = build
    return build


def vocabulary(directory: Path) -> Path:
    path = directory.with_name(f"{directory.name}_words.txt")
    path.write_text("a\nb\n")
    return path


@honest
def module_affine(directory: Path) -> None:
    publish(constructions.affine, directory)


@honest
def module_without_state(directory: Path) -> None:
    publish(constructions.doubling, directory)


@honest
def module_of_two_variants(directory: Path) -> None:
    publish(constructions.normalizing_spec(), directory)


@honest
def module_partitioned(directory: Path) -> None:
    publish(constructions.partitioned, directory)


@honest
def module_with_a_table(directory: Path) -> None:
    publish(lookup(vocabulary(directory)), directory)


@honest
def module_with_a_loop(directory: Path) -> None:
    publish(constructions.summing_loop, directory)


@honest
def module_with_a_v1_loop(directory: Path) -> None:
    with constructions.loops_of_v1():
        publish(constructions.summing_loop, directory)


@honest
def module_that_prints(directory: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        with tf.control_dependencies([tf.print("x is", x)]):
            hub.add_signature(inputs=x, outputs=tf.identity(x))

    hub.create_module_spec(module_fn).export(str(directory))


@honest
def module_that_decodes_images(directory: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.string, [None])
        images = tf.map_fn(lambda each: tf.io.decode_jpeg(each, channels=3), x, fn_output_signature=tf.uint8)
        hub.add_signature(inputs=x, outputs=images)

    hub.create_module_spec(module_fn).export(str(directory))


@honest
def module_of_a_keras_model(directory: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    hub.export_module(model, str(directory))


@honest
def saved_model_of_a_loaded_module(directory: Path) -> None:
    module = directory.with_name(f"{directory.name}_module")
    publish(lookup(vocabulary(directory)), module)
    tf.saved_model.save(hub.load(str(module)), str(directory))


class _Everything(tf.Module):
    """A table of an asset, a variable, a custom gradient, a dataset in a function."""

    def __init__(self, words: Path) -> None:
        super().__init__()
        lines = tf.lookup.TextFileInitializer(
            str(words),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticVocabularyTable(lines, 1)
        self.other = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1.0]), 0.0)
        self.mutable = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        self.asset = tf.saved_model.Asset(str(words))
        self.w = tf.Variable([1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, words: tf.Tensor) -> tf.Tensor:
        ids = self.table.lookup(words) + self.mutable.lookup(words)
        data = tf.data.Dataset.range(3).map(lambda i: i + tf.reduce_sum(ids)).cache().batch(2)
        total = data.reduce(tf.constant(0, tf.int64), lambda a, b: a + tf.reduce_sum(b))
        return tf.cast(total, tf.float32) * self.w + self.other.lookup(words)[0]

    @tf.function(input_signature=[])
    def lines(self) -> tf.Tensor:
        return tf.io.read_file(self.asset)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def scaled(self, x: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def twice(value: tf.Tensor) -> Any:
            return value * 2.0, lambda upstream: upstream * 2.0

        return twice(x)


@honest
def saved_model_of_tf2(directory: Path) -> None:
    model = _Everything(vocabulary(directory))
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(model, str(directory), signatures=model.__call__, options=options)


@honest
def saved_model_saved_twice(directory: Path) -> None:
    first = directory.with_name(f"{directory.name}_first")
    saved_model_of_tf2(first)
    tf.saved_model.save(tf.saved_model.load(str(first)), str(directory))


@honest
def saved_model_of_a_keras_model(directory: Path) -> None:
    import keras

    text = keras.layers.TextVectorization(max_tokens=10)
    text.adapt(["a b", "c"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), text, keras.layers.Embedding(10, 2)])
    model.export(str(directory), verbose=False)


@honest
def saved_model_of_keras_with_a_lookup(directory: Path) -> None:
    import keras

    layer = keras.layers.StringLookup(vocabulary=["a", "b"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    model.export(str(directory), verbose=False)


@honest
def saved_model_of_an_optimized_keras_model(directory: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones([2, 2]), np.ones([2]), verbose=0)
    tf.saved_model.save(model, str(directory))


@honest
def saved_model_of_a_recurrent_keras_model(directory: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(2)])
    tf.saved_model.save(model, str(directory))


@honest
def saved_model_of_tf1(directory: Path) -> None:
    """Two savers, one of them sharded, a table, an asset, a main_op, and a variable that starts from a checkpoint."""
    words = vocabulary(directory)
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.string, [None])
        asset = tf.constant(str(words))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                asset,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -1,
        )
        w = v1.get_variable("w", [2])
        y = table.lookup(x)
        v1.train.Saver(sharded=True)
        v1.train.Saver(name="old", write_version=v1.train.SaverDef.V1)
        kept = v1.train.Saver(name="kept")
        v1.add_to_collection(v1.GraphKeys.SAVERS, kept)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        checkpoint = kept.save(session, str(directory.with_name(f"{directory.name}_checkpoint")))
        v1.train.init_from_checkpoint(checkpoint, {"w": w})
        builder = v1.saved_model.builder.SavedModelBuilder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
            saver=v1.train.Saver(sharded=True, name="mine"),
        )
        builder.save()


@honest
def saved_model_simple(directory: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [])
        y = x * v1.get_variable("w", [])
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(directory), {"x": x}, {"y": y})


@honest
def saved_model_that_reads_what_the_caller_names(directory: Path) -> None:
    module = tf.Module()
    module.f = tf.function(tf.io.read_file, input_signature=[tf.TensorSpec([], tf.string)])
    tf.saved_model.save(module, str(directory))
