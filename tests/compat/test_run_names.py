"""The names that scripts have of TensorFlow under `modhub run`, and what is said of those that they have not."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tests.compat.scripted import told


def test_the_face_of_tensorflow(tmp_path: Path) -> None:
    source = """
    import json
    import tensorflow as tf
    import tensorflow.keras.backend as K
    import tensorflow.python.client.timeline
    import tensorflow.layers as layers
    from tensorflow import flags, gfile, keras
    import tensorflow.compat.v1 as v1_too
    from tensorflow.compat import v1
    from tensorflow.core.framework import graph_pb2
    from tensorflow.keras.layers import Dense
    from tensorflow.python.estimator.canned import head
    from tensorflow.python.framework import ops
    from tensorflow.python.keras.layers import Dense as DenseToo
    from tensorflow.python.ops import array_ops, init_ops
    from tensorflow.python.platform import gfile as gfile_too
    from tensorflow.train import AdamOptimizer
    import modhub
    import tensorflow_hub as hub

    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.dense(x, 2)
    print(json.dumps({
        "graph": [not tf.executing_eagerly(), y.shape[1].value, type(tf.trainable_variables()[0]).__name__],
        "same": [layers is tf.layers, K is tf.keras.backend, keras is tf.keras, Dense is DenseToo is keras.layers.Dense,
                 flags is tf.flags, gfile is tf.gfile, AdamOptimizer is tf.train.AdamOptimizer,
                 tensorflow is tf, tf.python.client.timeline.Timeline is not None, v1 is v1_too is tf.compat.v1,
                 v1.Session is tf.Session, hasattr(v1, "estimator"), not hasattr(tf.compat.v2, "Session"),
                 tf.compat.as_text(b"x") == "x",
                 gfile_too.Exists is not None, head.__name__.startswith("tensorflow_estimator"),
                 hub.Module is modhub.Module],
        "there": [hasattr(tf, name) for name in ("estimator", "contrib", "app", "logging", "python_io", "__version__")],
        "not_there": [hasattr(tf, name) for name in ("mul", "examples", "no_such_name")],
        "name": tf.__name__,
        "keras": tf.keras.layers.Layer.__module__.split(".")[0],
    }))
    """
    found = told(tmp_path, source)
    assert found["graph"] == [True, 2, "RefVariable"]
    assert all(found["same"])
    assert all(found["there"])
    assert not any(found["not_there"])
    assert (found["name"], found["keras"]) == ("tensorflow", "tf_keras")


def test_names_that_scripts_took_from_the_private_part_of_tensorflow(tmp_path: Path) -> None:
    source = """
    import json
    import tensorflow as tf
    from tensorflow.contrib.framework.python.framework import checkpoint_utils
    from tensorflow.python import pywrap_tensorflow
    from tensorflow.python.framework import ops, tensor_shape
    from tensorflow.python.keras.engine import base_layer
    from tensorflow.python.keras.utils import tf_utils, to_categorical
    from tensorflow.python.layers.normalization import BatchNormalization
    from tensorflow.python.ops import array_ops, control_flow_ops, variables
    from tensorflow.python.ops.control_flow_ops import while_loop
    import tensorflow.python.ops.array_ops as array_ops_too

    x = tf.constant([1.0, 2.0])
    chosen = control_flow_ops.cond(tf.constant(True), lambda: array_ops.stack([x, x]), lambda: [x])
    looped = while_loop(lambda i: i < 5, lambda i: i + 1, [0])
    saver = tf.train.Saver([tf.get_variable("v", [3])])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = saver.save(session, "saved")
        values = [session.run(chosen).tolist(), int(session.run(looped)), int(session.run(array_ops.unstack(x))[1])]
    shapes = [tensor_shape.scalar(), tensor_shape.vector(3), tensor_shape.matrix(2, None)]
    print(json.dumps({
        "values": values,
        "shapes": [shape.as_list() for shape in shapes],
        "checkpoints": [
            pywrap_tensorflow.NewCheckpointReader(path).get_variable_to_shape_map(),
            tf.pywrap_tensorflow.NewCheckpointReader(path).get_variable_to_shape_map(),
            dict(checkpoint_utils.list_variables(path)),
        ],
        "same": [isinstance(x, ops.Tensor), issubclass(tf.keras.layers.Layer, base_layer.Layer),
                 array_ops is array_ops_too is tf.python.ops.array_ops, array_ops.concat is not None,
                 to_categorical is tf.keras.utils.to_categorical, tf_utils.is_symbolic_tensor(x),
                 issubclass(BatchNormalization, tf.keras.layers.Layer), variables.VariableV1 is tf.Variable],
    }))
    """
    found = told(tmp_path, "import os\nos.chdir(os.path.dirname(__file__))\n" + textwrap.dedent(source))
    assert found["values"] == [[[1, 2], [1, 2]], 5, 2]
    assert found["shapes"] == [[], [3], [2, None]]
    assert found["checkpoints"] == [{"v": [3]}] * 3
    assert all(found["same"])


def test_keras_is_that_of_tensorflow_1(tmp_path: Path) -> None:
    source = """
    import importlib, json
    import keras
    import keras.backend as K
    import numpy as np
    import tensorflow as tf
    from keras import backend, optimizers
    from keras.engine.base_layer import Layer
    from keras.layers import Dense, Input, Lambda
    from keras.models import Model

    session = tf.Session()
    K.set_session(session)
    x = Input((2,))
    model = Model(x, Dense(1, kernel_initializer="ones")(Lambda(lambda y: tf.log(y))(x)))
    model.compile(optimizers.Adam(), "mse")
    session.run(tf.global_variables_initializer())
    same = [keras is tf.keras, K is backend is tf.keras.backend, importlib.import_module("keras") is keras,
            issubclass(Dense, Layer), keras.layers.Dense is Dense, keras.__version__.startswith("2.")]
    try:
        import keras.no_such_file
    except ImportError as error:
        print(json.dumps([same, model.predict(np.ones((1, 2))).tolist(), str(error)]))
    """
    same, predicted, said = told(tmp_path, source)
    assert all(same)
    assert predicted == [[0]]
    assert said.startswith(
        "tf.python.keras.no_such_file is not there under `modhub run`. The Keras that scripts have is "
    )


def test_all_names_of_tensorflow_1_are_imported_by_a_star(tmp_path: Path) -> None:
    source = """
    import sys
    from tensorflow import *
    sys.stdout.write(str(int(Session is not None and placeholder is not None)))
    """
    assert told(tmp_path, source) == 1


def test_errors_name_what_is_not_there_and_what_to_do(tmp_path: Path) -> None:
    source = """
    import importlib, json
    import tensorflow as tf

    def said(code):
        try:
            exec(code)
        except (ImportError, AttributeError) as error:
            return [type(error).__name__, error.name, str(error)]

    print(json.dumps([said(code) for code in (
        "tf.mul",
        "tf.contrib.crf.crf_log_likelihood",
        "import tensorflow.contrib.crf",
        "import tensorflow.contrib.crf as crf",
        "from tensorflow.contrib import crf",
        "from tensorflow.contrib.crf import crf_log_likelihood",
        "importlib.import_module('tensorflow.contrib.crf')",
        "from tensorflow.contrib.layers import real_valued_column",
        "from tensorflow.contrib.layers.python.layers import no_such_file",
        "from tensorflow.examples.tutorials.mnist import input_data",
        "from tensorflow.python.ops import no_such_file",
        "import tensorflow.python.ops.no_such_file",
        "from tensorflow.python.estimator.no_such_file import x",
        "from tensorflow import no_such_name",
        "tf.contrib.data.no_such_name",
        "tf.contrib.util.constant_value",
        "from tensorflow.contrib.learn.python.learn.datasets import base",
        "tf.no_such_name",
    )]))
    """
    kinds, names, messages = zip(*told(tmp_path, source), strict=True)
    attribute, imported = "NotCoveredNameError", "NotCoveredImportError"
    assert kinds == (attribute, attribute, *[imported] * 12, attribute, attribute, imported, attribute)
    assert names[:3] == ("mul", "crf", "tensorflow.contrib.crf")
    addons = "It was conditional random fields; its code is in TensorFlow Addons (tfa.text), which has ended."
    assert messages[0] == "tf.mul is not there under `modhub run`. Use tf.multiply."
    assert set(messages[1:5]) | {messages[6]} == {f"tf.contrib.crf is not there under `modhub run`. {addons}"}
    assert messages[7].endswith("It was an early feature column; use tf.feature_column.")
    assert messages[8].startswith("tf.contrib.layers.python.layers.no_such_file is not there under `modhub run`. What ")
    assert messages[9].startswith("tf.examples.tutorials.mnist is not there under `modhub run`. It was tutorials")
    assert messages[10] == messages[11]
    assert messages[10].endswith("look for a public name of it.")
    assert messages[14].endswith("Those of tf.data.experimental are there.")
    assert messages[15].endswith("Use tf.get_static_value.")
    assert "It was tutorials" in messages[16]
    assert messages[17].endswith("(tf.compat.v1).")


def test_no_name_that_is_there_is_in_the_table_of_those_that_are_not(tmp_path: Path) -> None:
    source = """
    import json, operator
    import tensorflow as tf
    from modhub.compat.tf1.advice import ADVICE

    def is_there(name):
        try:
            return operator.attrgetter(name.partition(".")[2])(tf) is not None
        except AttributeError:
            return False

    print(json.dumps([name for name in ADVICE if is_there(name)]))
    """
    parts = (
        "cluster_resolver data distribute distributions estimator framework layers lookup losses metrics rnn slim tpu "
        "training util"
    )
    assert told(tmp_path, source) == [
        "tf.contrib",
        *(f"tf.contrib.{part}" for part in parts.split()),
        "tf.python",
        "tf.python.keras",
    ]
