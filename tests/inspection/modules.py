"""The modules and SavedModels that the tests of `hub.inspect` are made on, each by a function of a folder."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

import modhub as hub
from modhub.format import ModuleAttachment
from tests import constructions

v1 = tf.compat.v1


def _published(module_fn: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        spec = module_fn() if module_fn is constructions.normalizing_spec else hub.create_module_spec(module_fn)
        spec.export(str(folder / "module"))
        return folder / "module"

    return make


def lookup(folder: Path) -> Path:
    """A module with a vocabulary among its assets."""
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("a\nb\n")
    return _published(constructions.lookup(vocabulary))(folder)


def composite() -> None:
    """Inputs and outputs that are sparse and ragged, of unknown rank, and of no dimension."""
    sparse = v1.sparse_placeholder(tf.float32, [None, 3])
    ragged = v1.ragged.placeholder(tf.int64, 1, [])
    deep = v1.ragged.placeholder(tf.string, 2, [4])
    hub.add_signature("sparse", inputs={"x": sparse}, outputs={"y": tf.sparse.reorder(sparse)})
    hub.add_signature(inputs={"x": ragged}, outputs={"default": tf.reduce_sum(ragged, 1), "twice": ragged + ragged})
    hub.add_signature("deep", inputs={"x": deep}, outputs=deep.flat_values)
    anything = v1.placeholder(tf.bool, name="anything")
    scalar = v1.placeholder_with_default(0.5, [], name="scalar")
    hub.add_signature("both", inputs={"$x": anything, "scalar": scalar}, outputs=tf.where(anything, scalar, 0.0))


def attached() -> None:
    """A module with attached messages, of an image module and of another type."""
    x = v1.placeholder(tf.float32, [None, None, None, 3])
    hub.add_signature(inputs={"images": x}, outputs=tf.reduce_mean(x, [1, 2]))
    info = hub.ImageModuleInfo()
    info.default_image_size.height, info.default_image_size.width = 8, 9
    hub.attach_image_module_info(info)
    hub.attach_message("own", ModuleAttachment(key="key", value=b"\xff\x00"))


def dtypes() -> None:
    """Variables of many types, strings among them."""
    for dtype in (tf.float64, tf.float16, tf.bfloat16, tf.int8, tf.uint16, tf.int64, tf.bool, tf.complex64):
        v1.get_variable(dtype.name, initializer=tf.cast([[1, 0, 1]], dtype))
    v1.get_variable("words", initializer=tf.constant([["a", ""], ["long " * 30, "\0"]]))
    v1.get_variable("empty", initializer=tf.zeros([0, 2]))
    hub.add_signature(outputs=tf.constant(1.0))


def library() -> None:
    """A graph with functions: a call, a loop and a branch."""
    x = v1.placeholder(tf.float32, [None], name="x")
    w = constructions.variable("w", [2.0])

    @tf.function
    def scaled(value: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.reduce_sum(value) > 0.0, lambda: value * w, lambda: value)

    hub.add_signature(inputs=x, outputs=tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, scaled(y)), [0, x])[1])


class Inner(tf.Module):
    """Variables of two kinds, and a table."""

    def __init__(self, vocabulary: Path) -> None:
        super().__init__()
        self.kernel = tf.Variable([[1.0, 2.0]], name="same_name")
        self.steps = tf.Variable(np.int64(3), trainable=False, name="same_name")
        lines = tf.lookup.TextFileInitializer(
            str(vocabulary),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(lines, -1)


class Outer(tf.Module):
    """Nested modules, one of which is there by two paths."""

    def __init__(self, vocabulary: Path) -> None:
        super().__init__()
        self.first = Inner(vocabulary)
        self.parts = [self.first, tf.Variable(1.0, name="same_name")]
        self.vocabulary = tf.saved_model.Asset(str(vocabulary))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def __call__(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        self.first.steps.assign_add(1)
        return {"ids": self.first.table.lookup(words), "scale": self.parts[1] * self.first.kernel}


def nested_tf2(folder: Path) -> Path:
    """A TF2 SavedModel of nested modules with a table and an asset."""
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("a\nb\n")
    model = Outer(vocabulary)
    tf.saved_model.save(model, str(folder / "module"), signatures={"serving_default": model.__call__})
    return folder / "module"


def plain_tf2(folder: Path) -> Path:
    """A TF2 SavedModel that has variables and no signature."""
    model = tf.Module()
    model.w = tf.Variable([1.0])
    tf.saved_model.save(model, str(folder / "module"))
    return folder / "module"


def keras_export(folder: Path) -> Path:
    """What a Keras model exports."""
    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input([4]), layers.Dense(3), layers.BatchNormalization()])
    model.export(str(folder / "module"), verbose=False)
    return folder / "module"


def tf1_saved_model(folder: Path) -> Path:
    """A TF1 SavedModel."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        y = tf.matmul(x, constructions.variable("scope/w", constructions.WEIGHTS))
        v1.add_to_collection("odd", x)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder / "module"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder / "module"


def as_text(folder: Path) -> Path:
    """The same, with its graphs as text."""
    path = tf1_saved_model(folder)
    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(proto))
    (path / "saved_model.pb").unlink()
    return path


_FUNCTIONS = (
    constructions.affine,
    constructions.doubling,
    constructions.normalizing_spec,
    constructions.partitioned,
    constructions.summing_loop,
    composite,
    attached,
    dtypes,
    library,
)
MODULES: dict[str, Callable[[Path], Path]] = {
    **{each.__name__: _published(each) for each in _FUNCTIONS},
    **{each.__name__: each for each in (lookup, nested_tf2, plain_tf2, keras_export, tf1_saved_model, as_text)},
}


def packed(directory: Path, path: Path) -> Path:
    """Pack a module as one folder; as .tar or .tar.gz by the name."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        archive.add(directory, "module")
    return path
