"""The table of what is not there: by a name of TensorFlow 1, what it was or what does its work now.

A name counts for all below it, unless they have a line of their own. Names are added here when scripts ask for them.
"""

from __future__ import annotations

__all__ = ["ADVICE"]

_SLIM = "What there is of this part is that of tf_slim 1.1.0 and of today's TensorFlow; this name is in neither."
_TPU = "It was for TPUs; `modhub run` works on CPUs and GPUs."
_EAGER = "It was eager execution as an experiment; write for TensorFlow 2 instead: hub.load works there."
_COLUMNS = "It was an early feature column; use tf.feature_column."
_LEARN = "It was what became tf.estimator; use that."
_NEURAL = "It was a layer or cell of its own kind; tf.nn.rnn_cell and tf.keras.layers have LSTM and GRU."
_DATA = "It was tutorials with downloads of their own, such as MNIST; read the data by other means."

ADVICE = {
    # tf.contrib: parts that are there, for their names that are not.
    "tf.contrib": "modhub has the parts of tf.contrib that users of modules had, and this is none of them.",
    "tf.contrib.cluster_resolver": "Those of tf.distribute.cluster_resolver are there.",
    "tf.contrib.data": "Those of tf.data.experimental are there.",
    "tf.contrib.data.batch_and_drop_remainder": "Use Dataset.batch(n, drop_remainder=True).",
    "tf.contrib.data.padded_batch_and_drop_remainder": "Use Dataset.padded_batch(n, shapes, drop_remainder=True).",
    "tf.contrib.distribute": "What is in tf.distribute is there.",
    "tf.contrib.distributions": "Those of tf.distributions are there; the package tensorflow-probability has more.",
    "tf.contrib.estimator": "What became of it is in tf.estimator and tf.estimator.experimental.",
    "tf.contrib.framework": _SLIM,
    "tf.contrib.layers": _SLIM,
    "tf.contrib.layers.bucketized_column": _COLUMNS,
    "tf.contrib.layers.crossed_column": _COLUMNS,
    "tf.contrib.layers.embedding_column": _COLUMNS,
    "tf.contrib.layers.one_hot_column": _COLUMNS,
    "tf.contrib.layers.real_valued_column": _COLUMNS,
    "tf.contrib.layers.sparse_column_with_hash_bucket": _COLUMNS,
    "tf.contrib.layers.sparse_column_with_keys": _COLUMNS,
    "tf.contrib.layers.input_from_feature_columns": "Use tf.feature_column.input_layer.",
    "tf.contrib.lookup": "What is in tf.lookup is there, and the functions that make a table of a vocabulary.",
    "tf.contrib.losses": _SLIM,
    "tf.contrib.metrics": _SLIM,
    "tf.contrib.rnn": _NEURAL,
    "tf.contrib.slim": _SLIM,
    "tf.contrib.tpu": _TPU,
    "tf.contrib.training": _SLIM,
    "tf.contrib.training.bucket_by_sequence_length": "Use tf.data.experimental.bucket_by_sequence_length.",
    "tf.contrib.util": "tf.make_tensor_proto and tf.make_ndarray are there.",
    "tf.contrib.util.constant_value": "Use tf.get_static_value.",
    # Parts that are not.
    "tf.contrib.crf": "It was conditional random fields; its code is in TensorFlow Addons (tfa.text), which has ended.",
    "tf.contrib.cudnn_rnn": "Use tf.keras.layers.LSTM, which uses cuDNN where it can, or tf.nn.rnn_cell.LSTMCell.",
    "tf.contrib.eager": _EAGER,
    "tf.contrib.gan": "It is a package of its own: tensorflow-gan.",
    "tf.contrib.graph_editor": "Modules need no graph editing: hub.export_module and hub.create_module_spec make them.",
    "tf.contrib.image": "tf.image has resizing and cropping; rotations and translations are in tf.keras.layers.",
    "tf.contrib.learn": _LEARN,
    "tf.contrib.learn.datasets": _DATA,
    "tf.contrib.learn.preprocessing": "Use tf.contrib.lookup, or tf.keras.preprocessing.text.",
    "tf.contrib.legacy_seq2seq": "It was sequence-to-sequence models as of 2016; use tf.nn.dynamic_rnn.",
    "tf.contrib.opt": "tf.train has the common optimizers; weight decay is written as an l2_regularizer.",
    "tf.contrib.predictor": "Use tf.saved_model.loader.load in a session, or hub.load.",
    "tf.contrib.quantize": "It was training for quantization; the package tensorflow-model-optimization has that.",
    "tf.contrib.saved_model": "Use tf.saved_model.",
    "tf.contrib.seq2seq": "Its code is in TensorFlow Addons (tfa.seq2seq), which has ended; use tf.nn.dynamic_rnn.",
    "tf.contrib.summary": "Use tf.summary.",
    "tf.contrib.tensor_forest": "The package tensorflow_decision_forests has forests.",
    "tf.contrib.tensorboard": "The projector is in the package tensorboard: from tensorboard.plugins import projector.",
    "tf.contrib.tensorrt": "Use tensorflow.python.compiler.tensorrt.",
    # What was beside contrib.
    "tf.examples": _DATA,
    "tf.models": "It was never part of TensorFlow, but a checkout of its own.",
    "tf.python": "It was a private part of TensorFlow, which has changed since; look for a public name of it.",
    "tf.python.keras": "The Keras that scripts have is tf.keras, which is Keras 2 of the package tf_keras.",
    # Names that were gone before TensorFlow 1.0, or soon after.
    "tf.batch_matmul": "Use tf.matmul.",
    "tf.complex_abs": "Use tf.abs.",
    "tf.concat_v2": "Use tf.concat.",
    "tf.histogram_summary": "Use tf.summary.histogram.",
    "tf.image_summary": "Use tf.summary.image.",
    "tf.merge_all_summaries": "Use tf.summary.merge_all.",
    "tf.merge_summary": "Use tf.summary.merge.",
    "tf.mul": "Use tf.multiply.",
    "tf.neg": "Use tf.negative.",
    "tf.pack": "Use tf.stack.",
    "tf.scalar_summary": "Use tf.summary.scalar.",
    "tf.select": "Use tf.where.",
    "tf.sub": "Use tf.subtract.",
    "tf.unpack": "Use tf.unstack.",
}
