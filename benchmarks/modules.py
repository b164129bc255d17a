"""The modules that the benchmarks load: found in place, or built once by tensorflow_hub and kept in a cache.

python benchmarks/modules.py KIND DIRECTORY         builds one; run.py does so when it needs to
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peer_stub import import_peer

__all__ = ["KINDS", "SHARED"]

# Modules by other authors, beside a checkout of this project that has them.
SHARED = {"half_plus_two": Path(__file__).parents[2] / "shared" / "modules" / "published" / "half_plus_two_v1"}

TOKENS, WIDTH = 400_000, 300
BLOCKS = ((64, 3), (128, 4), (256, 6), (512, 3))  # of ResNet-50: bottleneck width, units


def build(kind: str, path: Path) -> None:
    """Publish the module of this kind at `path`, with what its initializers gave."""
    hub = import_peer()
    import tensorflow as tf

    v1 = tf.compat.v1
    spec = KINDS[kind](hub, tf, path.parent)
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(spec)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        module.export(str(path), session)


def half_plus_two(hub: Any, tf: Any, _folder: Path) -> Any:
    """Define x / 2 + 2 over two variables, as TensorFlow's test module of that name does."""
    v1 = tf.compat.v1

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, name="x")
        half = v1.get_variable("a", initializer=0.5)
        two = v1.get_variable("b", initializer=2.0)
        hub.add_signature(inputs=x, outputs=half * x + two)

    return hub.create_module_spec(module_fn)


def text_table(hub: Any, tf: Any, folder: Path) -> Any:
    """Define a sentence embedding: 400,000 tokens of an asset file, 300 floats each, combined with sqrtn."""
    v1 = tf.compat.v1
    vocabulary = folder / "tokens.txt"
    vocabulary.write_text("".join(f"token{index}\n" for index in range(TOKENS)))

    def module_fn() -> None:
        sentences = v1.placeholder(tf.string, [None], name="sentences")
        words = v1.string_split(sentences)
        columns = tf.lookup.TextFileIndex
        file = tf.lookup.TextFileInitializer(
            str(vocabulary), tf.string, columns.WHOLE_LINE, tf.int64, columns.LINE_NUMBER
        )
        ids = tf.lookup.StaticVocabularyTable(file, num_oov_buckets=1).lookup(words)
        table = v1.get_variable("embeddings", [TOKENS + 1, WIDTH], initializer=v1.random_uniform_initializer(-1.0, 1.0))
        hub.add_signature(inputs=sentences, outputs=tf.nn.safe_embedding_lookup_sparse(table, ids, combiner="sqrtn"))

    return hub.create_module_spec(module_fn)


def resnet_50(hub: Any, tf: Any, _folder: Path) -> Any:
    """Define ResNet-50 v1 with batch norm and 1,000 classes: 267 variables, 102 MB, with a variant to train."""
    v1 = tf.compat.v1

    def conv(net: Any, width: int, size: int, stride: int, is_training: bool) -> Any:
        """Convolve and normalize; the moving statistics get update ops in training."""
        channels = net.shape[-1]
        kernel = v1.get_variable(
            "kernel",
            [size, size, channels, width],
            initializer=v1.truncated_normal_initializer(stddev=float(np.sqrt(2.0 / (size * size * int(channels))))),
            regularizer=lambda value: 1e-4 * tf.nn.l2_loss(value),
        )
        net = tf.nn.conv2d(net, kernel, strides=stride, padding="SAME")
        ones, zeros = v1.ones_initializer(), v1.zeros_initializer()
        gamma, beta = (
            v1.get_variable("gamma", [width], initializer=ones),
            v1.get_variable("beta", [width], initializer=zeros),
        )
        moving_mean = v1.get_variable("moving_mean", [width], initializer=zeros, trainable=False)
        moving_variance = v1.get_variable("moving_variance", [width], initializer=ones, trainable=False)
        if not is_training:
            return v1.nn.fused_batch_norm(net, gamma, beta, moving_mean, moving_variance, is_training=False)[0]
        net, mean, variance = v1.nn.fused_batch_norm(net, gamma, beta)
        for moving, now in ((moving_mean, mean), (moving_variance, variance)):
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, moving.assign_sub(0.1 * (moving - now), read_value=False))
        return net

    def unit(net: Any, width: int, stride: int, is_training: bool) -> Any:
        """Add a bottleneck of three convolutions to its input, which a first unit has to project."""
        shortcut, size = net, (1, 3, 1)
        if net.shape[-1] != 4 * width:
            with v1.variable_scope("shortcut"):
                shortcut = conv(net, 4 * width, 1, stride, is_training)
        for index, (channels, step) in enumerate(((width, 1), (width, stride), (4 * width, 1))):
            with v1.variable_scope(f"conv{index + 1}"):
                net = conv(net, channels, size[index], step, is_training)
            if index < 2:
                net = tf.nn.relu(net)
        return tf.nn.relu(net + shortcut)

    def module_fn(is_training: bool) -> None:
        images = v1.placeholder(tf.float32, [None, 224, 224, 3], name="images")
        with v1.variable_scope("conv1"):
            net = tf.nn.relu(conv(images, 64, 7, 2, is_training))
        net = tf.nn.max_pool2d(net, ksize=3, strides=2, padding="SAME")
        for block, (width, units) in enumerate(BLOCKS):
            for index in range(units):
                with v1.variable_scope(f"block{block + 1}/unit{index + 1}"):
                    net = unit(net, width, 2 if index == 0 and block > 0 else 1, is_training)
        features = tf.reduce_mean(net, axis=[1, 2])
        kernel = v1.get_variable(
            "logits/kernel", [2048, 1000], initializer=v1.truncated_normal_initializer(stddev=0.01)
        )
        bias = v1.get_variable("logits/bias", [1000], initializer=v1.zeros_initializer())
        logits = tf.matmul(features, kernel) + bias
        for name in ("default", "image_feature_vector"):
            hub.add_signature(name, inputs={"images": images}, outputs={"default": features})
        hub.add_signature("image_classification", inputs={"images": images}, outputs={"default": logits})

    return hub.create_module_spec(module_fn, [(set(), {"is_training": False}), ({"train"}, {"is_training": True})])


# Each takes `(hub, tf, folder)`, may write assets to the folder, and returns a spec.
KINDS: dict[str, Callable[[Any, Any, Path], Any]] = {
    "resnet_50": resnet_50,
    "half_plus_two": half_plus_two,
    "text_table": text_table,
}

if __name__ == "__main__":
    build(sys.argv[1], Path(sys.argv[2]))
