"""What has to be seen in a process of its own, where nothing has made Estimator importable yet.

    python -W error tests/compat/estimator_process.py CASE

A case is a function below; it fails by an exception.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import tensorflow as tf

from modhub import errors
from modhub.compat import estimator


def there() -> list[str]:
    """What a process has of Estimator: its modules, and whoever else would find them."""
    modules = [name for name in sys.modules if name.startswith("tensorflow_estimator")]
    return modules + [repr(finder) for finder in sys.meta_path if type(finder).__module__.startswith("modhub")]


def refusal(error: type[Exception]) -> str:
    """What attach says where it has to fail."""
    try:
        estimator.attach()
    except error as raised:
        return str(raised)
    raise AssertionError("not refused")


def threads() -> None:
    """Many threads install at once, and one copy of Estimator comes of it."""
    found: list[tuple[ModuleType, type]] = []
    barrier = threading.Barrier(8)

    def install() -> None:
        barrier.wait()
        v1_api = estimator.attach()
        found.append((v1_api, v1_api.Estimator))

    started = [threading.Thread(target=install) for _ in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert sum(type(finder).__module__.startswith("modhub") for finder in sys.meta_path) == 1


def failures() -> None:
    """An import that failed is no hindrance, one that fails leaves nothing, and what others made is left alone."""
    try:
        import tensorflow_estimator
    except ImportError:
        pass
    else:
        raise AssertionError(f"{tensorflow_estimator} works without modhub")
    assert there()  # the files that were read until it failed
    fake = sys.modules["tensorflow_estimator"] = ModuleType("tensorflow_estimator")
    assert "which something else has made importable" in refusal(errors.GraphError)
    assert sys.modules.pop("tensorflow_estimator") is fake
    sys.modules["tensorflow.python.training.evaluation"] = None  # type: ignore[assignment] # which makes importing fail
    assert "evaluation" in refusal(ImportError)
    assert there() == []
    assert not hasattr(tf, "estimator")
    del sys.modules["tensorflow.python.training.evaluation"]
    assert estimator.install().Estimator.__module__ == "tensorflow_estimator.python.estimator.estimator"


def untouched() -> None:
    """TensorFlow, and Keras 3, are what they were."""
    import keras
    from tensorflow.python import tpu
    from tensorflow.python.util import tf_export

    before = dict(vars(tf_export)), dict(tf_export.API_ATTRS)
    estimator.install()
    assert (dict(vars(tf_export)), dict(tf_export.API_ATTRS)) == before
    assert not hasattr(tpu, "tpu_embedding")
    assert not hasattr(tf, "estimator")
    gone = ("tpu.tpu_embedding", "tpu.tpu_embedding_gradient", "tpu.session_support", "distribute.estimator_training")
    assert not {f"tensorflow.python.{name}" for name in gone} & set(sys.modules)
    assert tf.keras.Model is keras.Model
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    history = model.fit(np.eye(2), np.ones([2, 1]), epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2


def names() -> None:
    """Every way to name Estimator leads to it, also from modules that were there before."""
    early = tf.compat.v1  # until something imports tensorflow.compat.v1, which is another module from then on
    v1_api = estimator.attach()
    import tensorflow.compat.v1 as late
    import tensorflow.compat.v2 as v2

    assert early is not late
    assert late is tf.compat.v1
    assert early.estimator is late.estimator is v1_api
    assert tf.estimator is v2.estimator is tf.compat.v2.estimator
    assert tf.estimator.Estimator is not v1_api.Estimator
    from tensorflow import estimator as attribute
    from tensorflow.compat.v1.estimator import DNNClassifier
    from tensorflow.compat.v1.estimator.inputs import numpy_input_fn
    from tensorflow.estimator import DNNClassifier as DNNClassifierV2
    from tensorflow.estimator.export import ServingInputReceiver

    assert attribute is tf.estimator
    assert DNNClassifier is v1_api.DNNClassifier
    assert DNNClassifierV2 is tf.estimator.DNNClassifier
    assert numpy_input_fn is v1_api.inputs.numpy_input_fn
    assert ServingInputReceiver is v1_api.export.ServingInputReceiver
    assert estimator.attach() is v1_api


def taken() -> None:
    """An `estimator` that is there already stays, and nothing else is attached."""
    other = ModuleType("other")
    tf.compat.v1.estimator = other
    message = refusal(errors.GraphError)
    assert "tensorflow._api.v2.compat.v1 has an attribute 'estimator'" in message
    assert "<module 'other'>" in message
    assert not hasattr(tf, "estimator")
    assert tf.compat.v1.estimator is other


def legacy() -> None:
    """With TF_USE_LEGACY_KERAS=1, a model_fn has tf.compat.v1.layers, and tf.keras models become Estimators."""
    import tf_keras

    v1, tf_estimator = tf.compat.v1, estimator.attach()
    assert tf.keras.Model is tf_keras.Model

    def model_fn(features: tf.Tensor, labels: tf.Tensor, mode: str) -> tf_estimator.EstimatorSpec:
        loss = v1.losses.mean_squared_error(labels, v1.layers.Dense(1)(features))
        train_op = v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_global_step())
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((np.eye(3, dtype=np.float32), np.ones([3, 1], np.float32))).repeat(100)

    trained = tf_estimator.Estimator(model_fn).train(input_fn)
    assert trained.evaluate(input_fn, steps=1)["loss"] < 0.01
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=[3])])
    model.compile("sgd", "mse")
    assert isinstance(tf.keras.estimator.model_to_estimator(model), tf_estimator.Estimator)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
