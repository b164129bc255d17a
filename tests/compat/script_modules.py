"""Modules that the scripts of tests/compat/scripts/ start from, trained and published here by modhub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.compat import script_data

v1 = tf.compat.v1

IMAGE = 16  # pixels
FEATURES = 192
VECTOR = 24
HIDDEN = 32
HEADS = 4
LAYERS = 2
POSITIONS = 64
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def publish_image_module(path: Path, seen: list[int]) -> str:
    """Train a small network to tell some digits apart; publish what it makes of pictures, and return the path."""
    pictures, labels = script_data.digits(seen)
    images = script_data.enlarged(pictures, IMAGE)[..., None].repeat(3, -1).astype(np.float32) / 255
    spec = hub.create_module_spec(
        convolutions, tags_and_args=[(set(), {"training": False}), ({"train"}, {"training": True})]
    )
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        module = hub.Module(spec, tags={"train"}, trainable=True)
        chosen = v1.placeholder(tf.int64, [None])
        logits = module(tf.gather(tf.constant(images), chosen)) @ v1.get_variable("logits", [FEATURES, 10])
        loss = v1.losses.sparse_softmax_cross_entropy(tf.gather(tf.constant(labels), chosen), logits)
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            step = v1.train.AdamOptimizer(0.005).minimize(loss)
        with constructions.started() as session:
            random = np.random.default_rng(0)
            for _ in range(120):
                session.run(step, {chosen: random.integers(len(images), size=64)})
            module.export(str(path), session)
    return str(path)


def convolutions(training: bool) -> None:
    """Images [batch, 16, 16, 3] of 0 to 1 -> features [batch, 192]: 48 for each quarter, by convolutions."""
    images = v1.placeholder(tf.float32, [None, IMAGE, IMAGE, 3], name="images")
    net = images
    for number, depth in enumerate([16, FEATURES // 4], 1):
        with v1.variable_scope(f"block{number}"):
            kernel = v1.get_variable("weights", [3, 3, net.shape[-1], depth])
            net = tf.nn.relu(normalized(tf.nn.conv2d(net, kernel, 1, "SAME"), training))
            net = tf.nn.max_pool2d(net, 2, 2, "SAME")
    features = tf.reshape(tf.nn.avg_pool2d(net, 2, 2, "SAME"), [-1, FEATURES])
    hub.add_signature(inputs={"images": images}, outputs=features)
    hub.add_signature("image_feature_vector", inputs={"images": images}, outputs={"default": features, "block2": net})


def normalized(net: tf.Tensor, training: bool) -> tf.Tensor:
    """Batch norm, of the batch in training, else of the moving averages, which training moves."""
    depth = [net.shape[-1]]
    gamma = v1.get_variable("gamma", depth, initializer=v1.ones_initializer())
    beta = v1.get_variable("beta", depth, initializer=v1.zeros_initializer())
    mean = v1.get_variable("moving_mean", depth, initializer=v1.zeros_initializer(), trainable=False)
    variance = v1.get_variable("moving_variance", depth, initializer=v1.ones_initializer(), trainable=False)
    if not training:
        return v1.nn.fused_batch_norm(net, gamma, beta, mean, variance, is_training=False)[0]
    result, batch_mean, batch_variance = v1.nn.fused_batch_norm(net, gamma, beta)
    for average, now in ((mean, batch_mean), (variance, batch_variance)):
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(average, 0.1 * (average.read_value() - now)))
    return result


def publish_text_module(folder: Path) -> str:
    """Publish word vectors, by way of a file as GloVe's are; return the module's path."""
    words, values = script_data.vectors(VECTOR)
    folder.mkdir(parents=True)
    with (folder / "vectors.txt").open("w", encoding="utf-8") as file:
        for word, row in zip(words, values, strict=True):
            file.write(word + "".join(f" {value:.5f}" for value in row) + "\n")
    hub.export_text_embeddings(str(folder / "vectors.txt"), str(folder / "module"), lowercase=True, trainable=True)
    return str(folder / "module")


def publish_bert_module(folder: Path) -> str:
    """Publish a small transformer that knows words, but was never trained; return the module's path."""
    words, values = script_data.vectors(HIDDEN)
    letters = [chr(letter) for letter in range(ord("a"), ord("z") + 1)]
    known = [word for word in words if len(word) > 1]
    pieces = [*letters, *(f"##{piece}" for piece in [*letters, *"0123456789", "ing", "ed", "es", "er", "ly"])]
    vocabulary = [*SPECIAL, *"0123456789.,:;()\"'", *pieces, *known]
    random = np.random.default_rng(0)
    table = random.normal(scale=0.05, size=[len(vocabulary), HIDDEN]).astype(np.float32)
    table[-len(known) :] = values[[words.index(word) for word in known]] / 2
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    spec = hub.create_module_spec(
        transformer,
        tags_and_args=[
            (set(), {"vocabulary": str(folder / "vocab.txt"), "training": False}),
            ({"train"}, {"vocabulary": str(folder / "vocab.txt"), "training": True}),
        ],
    )
    v1.set_random_seed(1)
    return constructions.publish(spec, folder / "module", {"embeddings/word_embeddings": table})


def transformer(vocabulary: str, training: bool) -> None:
    """BERT's signatures: "tokens" of a transformer, and "tokenization_info" of its vocabulary."""
    lower_case = tf.constant(True)
    asset = tf.constant(vocabulary)
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
    hub.add_signature("tokenization_info", inputs={}, outputs={"vocab_file": asset, "do_lower_case": lower_case})

    ids, mask, segments = (
        v1.placeholder(tf.int32, [None, None], name=name) for name in ("input_ids", "input_mask", "segment_ids")
    )
    size = len(Path(vocabulary).read_text(encoding="utf-8").splitlines())
    small = v1.truncated_normal_initializer(stddev=0.05)
    with v1.variable_scope("embeddings"):
        net = tf.gather(v1.get_variable("word_embeddings", [size, HIDDEN], initializer=small), ids)
        net += tf.gather(v1.get_variable("token_type_embeddings", [2, HIDDEN], initializer=small), segments)
        net += v1.get_variable("position_embeddings", [POSITIONS, HIDDEN], initializer=small)[: tf.shape(ids)[1]]
        net = dropped(layer_norm(net), training)
    for number in range(LAYERS):
        with v1.variable_scope(f"encoder/layer_{number}"):
            net = layer_norm(net + dropped(attention(net, mask), training))
            hidden = tf.nn.gelu(dense(net, 4 * HIDDEN, "intermediate"))
            net = layer_norm(net + dropped(dense(hidden, HIDDEN, "output"), training), "output_norm")
    pooled = tf.tanh(dense(net[:, 0], HIDDEN, "pooler"))
    hub.add_signature(
        "tokens",
        inputs={"input_ids": ids, "input_mask": mask, "segment_ids": segments},
        outputs={"pooled_output": pooled, "sequence_output": net},
    )


def dense(net: tf.Tensor, units: int, name: str) -> tf.Tensor:
    with v1.variable_scope(name):
        bias = v1.get_variable("bias", [units], initializer=v1.zeros_initializer())
        return tf.tensordot(net, v1.get_variable("kernel", [net.shape[-1], units]), 1) + bias


def dropped(net: tf.Tensor, training: bool) -> tf.Tensor:
    return tf.nn.dropout(net, rate=0.1) if training else net


def layer_norm(net: tf.Tensor, name: str = "norm") -> tf.Tensor:
    with v1.variable_scope(name):
        gamma = v1.get_variable("gamma", [HIDDEN], initializer=v1.ones_initializer())
        beta = v1.get_variable("beta", [HIDDEN], initializer=v1.zeros_initializer())
        mean, variance = tf.nn.moments(net, [-1], keepdims=True)
        return (net - mean) * tf.math.rsqrt(variance + 1e-6) * gamma + beta


def attention(net: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Multi-head self-attention, to the places that the mask leaves."""
    shape = tf.shape(net)
    query, key, value = (
        tf.transpose(tf.reshape(dense(net, HIDDEN, name), [shape[0], shape[1], HEADS, HIDDEN // HEADS]), [0, 2, 1, 3])
        for name in ("query", "key", "value")
    )
    scores = tf.matmul(query, key, transpose_b=True) / np.sqrt(HIDDEN // HEADS).astype(np.float32)
    scores += (1 - tf.cast(mask, tf.float32))[:, None, None, :] * -10000.0
    read = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), [0, 2, 1, 3])
    return dense(tf.reshape(read, [shape[0], shape[1], HIDDEN]), HIDDEN, "attention_output")
