"""The part of tf.contrib that scripts have under `modhub run`, computed with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modhub import errors
from modhub.compat.tf1.contrib.hparam import HParams
from tests.compat.scripted import told


def test_lookup(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").write_text("a\nb\nc\n")
    source = """
    import json
    import tensorflow as tf
    from tensorflow.contrib import lookup
    from tensorflow.contrib.lookup import index_to_string_table_from_tensor
    from tensorflow.contrib.lookup.python.ops import lookup_ops

    words = tf.constant(["b", "z", "a"])
    file = "vocabulary.txt"
    initializer = lookup.KeyValueTensorInitializer(["a", "b"], [10, 20])
    mutable = lookup.MutableHashTable(tf.string, tf.int64, -1)
    found = [
        lookup.index_table_from_tensor(mapping=tf.constant(["a", "b"]), num_oov_buckets=1).lookup(words),
        lookup.index_table_from_tensor(["a", "b"], default_value=-5).lookup(words),
        lookup.index_table_from_file(vocabulary_file=file, num_oov_buckets=0, vocab_size=1).lookup(words),
        tf.contrib.lookup.string_to_index_table_from_file(file).lookup(words),
        lookup.string_to_index(words, mapping=["z", "b"]),
        lookup.HashTable(initializer, -1).lookup(words),
        mutable.lookup(words),
        lookup_ops.index_table_from_tensor(["z"]).lookup(words),
    ]
    ids = tf.constant([1, 7], tf.int64)
    strings = [
        index_to_string_table_from_tensor(mapping=["a", "b"], default_value="?").lookup(ids),
        lookup.index_to_string_table_from_file(file).lookup(ids),
        lookup.index_to_string(ids, ["x", "y"]),
    ]
    with tf.Session() as session:
        session.run(tf.tables_initializer())
        session.run(mutable.insert(tf.constant(["z"]), tf.constant([3], tf.int64)))
        texts = [[one.decode() for one in value] for value in session.run(strings)]
        print(json.dumps([[value.tolist() for value in session.run(found)], texts]))
    """
    found, texts = told(tmp_path, source.replace('"vocabulary.txt"', repr(str(tmp_path / "vocabulary.txt"))))
    assert found == [
        [1, 2, 0],
        [1, -5, 0],
        [-1, -1, 0],
        [1, -1, 0],
        [1, 0, -1],
        [20, -1, 10],
        [-1, 3, -1],
        [-1, 0, -1],
    ]
    assert texts == [["b", "?"], ["b", "UNK"], ["y", "UNK"]]


def test_layers_and_slim_train(tmp_path: Path) -> None:
    source = """
    import json
    import numpy as np
    import tensorflow as tf
    import tensorflow.contrib.slim as slim
    from tensorflow.contrib import layers
    from tensorflow.contrib.layers.python.layers import initializers, layers as in_file, regularizers, utils
    from tensorflow.contrib.slim.nets import resnet_v2
    from tensorflow.contrib.slim.python.slim.nets import inception_v3

    tf.set_random_seed(1)
    random = np.random.RandomState(1)
    images = random.rand(64, 8, 8, 1).astype(np.float32)
    classes = (images.mean((1, 2, 3)) > 0.5).astype(np.int64)
    x = tf.placeholder(tf.float32, [None, 8, 8, 1])
    training = tf.placeholder_with_default(False, [])
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, activation_fn=tf.nn.relu,
                        normalizer_params={"is_training": training, "decay": 0.9},
                        weights_regularizer=slim.l2_regularizer(1e-4)):
        net, ends = slim.conv2d(x, 8, [3, 3], scope="conv"), {}
        net = slim.max_pool2d(net, [2, 2])
        net = slim.repeat(net, 2, slim.conv2d, 4, [3, 3], scope="more")
    net = layers.flatten(net)
    net = layers.dropout(net, 0.9, is_training=training)
    net = layers.layer_norm(net)
    net = layers.fully_connected(net, 8, weights_initializer=layers.xavier_initializer(),
                                 weights_regularizer=tf.contrib.layers.l2_regularizer(0.001))
    net = layers.batch_norm(net, is_training=training, fused=False, decay=0.9)
    logits = layers.linear(net, 2, weights_initializer=layers.variance_scaling_initializer())
    loss = tf.losses.sparse_softmax_cross_entropy(classes, logits) + tf.losses.get_regularization_loss()
    step = tf.train.get_or_create_global_step()
    decay = lambda rate, step: tf.train.exponential_decay(rate, step, 50, 0.9)
    train = layers.optimize_loss(loss, step, 0.05, "Adam", clip_gradients=5.0, learning_rate_decay_fn=decay)
    other = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-4))
    correct = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), classes), tf.float32))
    mean, update = tf.contrib.metrics.streaming_accuracy(tf.argmax(logits, 1), classes)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        first = session.run(loss, {x: images})
        for _ in range(60):
            session.run(train, {x: images, training: True})
        session.run(other, {x: images, training: True})
        session.run(update, {x: images})
        print(json.dumps([float(first), *map(float, session.run([loss, correct, mean], {x: images})),
                          int(session.run(step)), len(tf.losses.get_regularization_losses()),
                          len(slim.get_model_variables()), len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)),
                          in_file.conv2d is layers.conv2d, utils.smart_cond(True, lambda: 1, lambda: 2)]))
    with tf.Graph().as_default(), slim.arg_scope(resnet_v2.resnet_arg_scope()):
        logits, ends = resnet_v2.resnet_v2_50(tf.zeros([1, 64, 64, 3]), 10, is_training=False)
        assert logits.shape.as_list() == [1, 1, 1, 10], logits
    """
    first, last, correct, mean, step, regularizers, variables, updates, same, chosen = told(tmp_path, source)
    assert last < 0.5 * first
    assert correct > 0.8
    assert mean == pytest.approx(correct)
    assert (step, regularizers, same, chosen) == (61, 4, True, 1)
    # Weights, beta, mean and variance of 3 convolutions; beta and gamma of layer_norm; 2 dense layers; a batch_norm.
    assert (variables, updates) == (12 + 2 + 4 + 3, 8)


def test_embed_sequence(tmp_path: Path) -> None:
    source = """
    import json
    import tensorflow as tf
    layers = tf.contrib.layers
    ids = tf.constant([[1, 2, 1], [2, 0, 0]])
    values = tf.constant_initializer([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    each = layers.embed_sequence(ids, 3, 2, initializer=values, scope="words")
    unique = layers.embed_sequence(ids, unique=True, scope="words", reuse=True)
    try:
        layers.embed_sequence(ids, 3)
    except ValueError as error:
        said = str(error)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        print(json.dumps([session.run(each).tolist(), session.run(unique).tolist(), unique.shape.as_list(), said,
                          [v.op.name for v in tf.trainable_variables()]]))
    """
    each, unique, shape, said, names = told(tmp_path, source)
    assert each == unique == [[[2, 3], [4, 5], [2, 3]], [[4, 5], [0, 1], [0, 1]]]
    assert shape == [2, 3, 2]
    assert "needs vocab_size and embed_dim" in said
    assert names == ["words/embeddings"]


def test_framework(tmp_path: Path) -> None:
    source = f"""
    import json
    import tensorflow as tf
    from tensorflow.contrib import framework
    from tensorflow.contrib.framework import arg_scope, add_arg_scope, nest
    from tensorflow.contrib.framework.python.ops import variables
    from tensorflow.contrib.framework.python.ops import arg_scope as arg_scope_too

    path = {str(tmp_path / "model.ckpt")!r}
    a = framework.model_variable("a", [2], initializer=tf.ones_initializer())
    b = tf.get_variable("b", [2], initializer=tf.zeros_initializer())
    step = framework.get_or_create_global_step()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([a.assign([3, 4]), b.assign([5, 6])])
        tf.train.Saver().save(session, path)
        session.run(tf.global_variables_initializer())
        assign, feed = framework.assign_from_checkpoint(path, framework.get_model_variables())
        session.run(assign, feed)
        after_a = [session.run(a).tolist(), session.run(b).tolist()]
        init = framework.assign_from_checkpoint_fn(path, framework.get_variables_to_restore(exclude=["a"]))
        session.run(a.assign([0, 0]))
        init(session)
        after_b = [session.run(a).tolist(), session.run(b).tolist()]

    @add_arg_scope
    def f(x, scale=1):
        return x * scale

    with arg_scope([f], scale=3):
        scoped = f(2)
    print(json.dumps([after_a, after_b, scoped, arg_scope is arg_scope_too, variables.model_variable is not None,
                      nest.flatten([1, (2, {{"b": 4, "a": 3}})]), nest.is_sequence([1]), nest.is_sequence(1),
                      nest.map_structure(lambda x: x + 1, [1, (2,)]), framework.nest is nest,
                      framework.load_variable(path, "a").tolist(),
                      [name for name, _ in framework.list_variables(path)]]))
    """
    after_a, after_b, *found = told(tmp_path, source)
    assert after_a == [[3, 4], [0, 0]]
    assert after_b == [[0, 0], [5, 6]]
    assert found == [6, True, True, [1, 2, 3, 4], True, False, [2, [3]], True, [3, 4], ["a", "b", "global_step"]]


def test_parts_whose_names_have_moved(tmp_path: Path) -> None:
    source = """
    import json
    import numpy as np
    import tensorflow as tf
    from tensorflow.contrib import rnn
    from tensorflow.contrib.data import AUTOTUNE, map_and_batch, shuffle_and_repeat
    from tensorflow.contrib.keras import layers
    from tensorflow.contrib.util import make_tensor_proto
    import tensorflow.contrib.distribute as distribute

    data = tf.data.Dataset.range(6).apply(shuffle_and_repeat(6, seed=1)).apply(map_and_batch(lambda x: x + 1, 6))
    batch = data.prefetch(AUTOTUNE).make_one_shot_iterator().get_next()
    outputs, _ = tf.nn.dynamic_rnn(rnn.BasicLSTMCell(3), tf.ones([2, 5, 4]), dtype=tf.float32)
    onehot, scores = tf.one_hot([0, 1], 2), tf.constant([[1.0, 2.0], [3.0, 4.0]])
    losses = [tf.contrib.losses.softmax_cross_entropy(scores, onehot), tf.losses.softmax_cross_entropy(onehot, scores)]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        mine, theirs = session.run(losses)
        numbers = sorted(session.run(batch).tolist())
        print(json.dumps([numbers, session.run(outputs).shape, bool(np.isclose(mine, theirs)),
                          layers is tf.keras.layers, make_tensor_proto(1).int_val[:],
                          distribute.MirroredStrategy is tf.distribute.MirroredStrategy,
                          tf.contrib.estimator.stop_if_no_decrease_hook.__name__]))
    """
    assert told(tmp_path, source) == [
        [1, 2, 3, 4, 5, 6],
        [2, 5, 3],
        True,
        True,
        [1],
        True,
        "stop_if_no_decrease_hook",
    ]


def test_scripts_for_tpus_run_without_one(tmp_path: Path) -> None:
    source = f"""
    import json
    import numpy as np
    import tensorflow as tf
    from tensorflow.contrib import tpu

    tf.set_random_seed(1)
    values = np.random.RandomState(1).rand(64, 4).astype(np.float32)
    classes = (values[:, 0] > 0.5).astype(np.int64)

    def input_fn(params):
        data = tf.data.Dataset.from_tensor_slices((values, classes)).repeat()
        return data.apply(tf.contrib.data.map_and_batch(lambda x, y: (x, y), params["batch_size"], drop_remainder=True))

    def model_fn(features, labels, mode, params):
        logits = tf.layers.dense(features, 2)
        loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
        if mode == tf.estimator.ModeKeys.TRAIN:
            optimizer = tf.train.AdamOptimizer(0.1)
            if params["use_tpu"]:
                optimizer = tpu.CrossShardOptimizer(optimizer)
            train_op = optimizer.minimize(loss, tf.train.get_global_step())
            return tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)
        metric_fn = lambda labels, logits: {{"accuracy": tf.metrics.accuracy(labels, tf.argmax(logits, 1))}}
        return tpu.TPUEstimatorSpec(mode, loss=loss, eval_metrics=(metric_fn, [labels, logits]))

    config = tpu.RunConfig(
        cluster=None, master=None, model_dir={str(tmp_path / "model")!r}, save_checkpoints_steps=50,
        tpu_config=tpu.TPUConfig(iterations_per_loop=10, num_shards=8,
                                 per_host_input_for_training=tpu.InputPipelineConfig.PER_HOST_V2))
    estimator = tpu.TPUEstimator(use_tpu=False, model_fn=model_fn, config=config, params={{"use_tpu": False}},
                                 train_batch_size=16, eval_batch_size=16)
    estimator.train(input_fn, max_steps=100)
    try:
        tf.contrib.cluster_resolver.TPUClusterResolver("a-tpu", zone="z")
    except Exception as error:
        said = [type(error).__name__, str(error)]
    print(json.dumps([float(estimator.evaluate(input_fn, steps=4)["accuracy"]), said]))
    """
    accuracy, (kind, words) = told(tmp_path, source)
    assert accuracy > 0.8
    assert kind == "NotCoveredError"
    assert words.endswith("Run the script without a TPU (most have a flag: --use_tpu=False, and no --tpu_name).")


def hparams() -> HParams:
    """Hyperparameters of each type."""
    return HParams(rate=0.5, steps=10, name="net", deep=False, layers=[8, 4], rates=[0.1], names=["a", "b"], none=None)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("rate=1e-3", {"rate": 0.001}),
        ("rate=1", {"rate": 1.0}),
        ("steps=20,deep=true", {"steps": 20, "deep": True}),
        ("deep=1", {"deep": True}),
        ("deep=False", {"deep": False}),
        ("steps=-5", {"steps": -5}),
        ("layers=[1,2, 3]", {"layers": [1, 2, 3]}),
        ("layers=7", {"layers": [7]}),
        ("layers[1]=7,layers[0]=6", {"layers": [6, 7]}),
        ("rates=[1,2.5],rate=0.25", {"rates": [1.0, 2.5], "rate": 0.25}),
        ("names=[x,y z],name=a b", {"names": ["x", "y z"], "name": "a b"}),
        (" name = /tmp/x=y.txt , steps = 1 ", {"name": "/tmp/x=y.txt", "steps": 1}),
        ("none=1", {"none": "1"}),
    ],
)
def test_hparams_are_set_by_a_text(text: str, changed: dict[str, object]) -> None:
    found = hparams().parse(text)
    assert found.values() == {**hparams().values(), **changed}
    for name, value in changed.items():
        assert type(getattr(found, name)) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps", "'steps' cannot be parsed"),
        ("steps=1,,", "',' cannot be parsed"),
        ("steps=1.5", "Hyperparameter 'steps' holds int, and '1.5' is none."),
        ("deep=maybe", "Hyperparameter 'deep' holds bool"),
        ("rate=fast", "Hyperparameter 'rate' holds float"),
        ("step=1", "There is no hyperparameter 'step'. Known hyperparameters: .* Did you mean 'steps'"),
        ("rate=[1,2]", "'rate' is no list"),
        ("layers[5]=1", "does not name an element of 'layers'"),
        ("rate[0]=1", "does not name an element of 'rate'"),
        ("layers=[1,2", "cannot be parsed"),
    ],
)
def test_a_text_that_sets_no_hparams_is_refused(text: str, says: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=says):
        hparams().parse(text)


def test_hparams_are_values_by_name() -> None:
    found = hparams()
    assert (found.rate, "rate" in found, "other" in found, found.get("rate"), found.get("other", 3)) == (
        0.5,
        True,
        False,
        0.5,
        3,
    )
    found.rate = 0.75
    found.set_hparam("layers", (1, 2))
    found.set_hparam("steps", np.int64(3))
    found.add_hparam("added", 1)
    found.del_hparam("none")
    assert found.override_from_dict({"name": "other"}) is found
    assert (found.rate, found.layers, found.steps, found.added, found.name) == (0.75, [1, 2], 3, 1, "other")
    again = hparams().parse_json('{"rate": 1, "layers": [1]}')
    assert (again.rate, again.layers) == (1.0, [1])
    assert HParams(b=[1], a="x").to_json(sort_keys=True) == '{"a": "x", "b": [1]}'
    assert str(HParams(b=[1], a="x")) == "[('a', 'x'), ('b', [1])]"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("rate", 1, "There is a hyperparameter or attribute 'rate'"),
        ("parse", 1, "There is a hyperparameter or attribute 'parse'"),
        ("empty", [], "The list 'empty' is empty"),
    ],
)
def test_hparams_that_cannot_be_added(name: str, value: object, says: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=says):
        hparams().add_hparam(name, value)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 1.0), ("steps", True), ("name", 1), ("deep", "x"), ("rate", "x")]
)
def test_hparams_keep_their_types(name: str, value: object) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=f"Hyperparameter '{name}' holds"):
        hparams().set_hparam(name, value)
