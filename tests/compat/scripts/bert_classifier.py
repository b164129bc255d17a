# -*- coding: utf-8 -*-
"""Fine-tunes a BERT module on sentences of two classes.

  python bert_classifier.py --data=/tmp/reviews --out=/tmp/reviews_model \
    --module=https://tfhub.dev/google/bert_uncased_L-12_H-768_A-12/1

/tmp/reviews has train.tsv and test.tsv; on each line a label, a tab, a sentence.
The predictions for test.tsv are written to /tmp/reviews_model/predictions.tsv.
"""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import csv
import json
import os
import random

import tensorflow as tf
import tensorflow_hub as hub

import wordpiece

flags = tf.flags
FLAGS = flags.FLAGS

flags.DEFINE_string('data', None, 'Folder with train.tsv and test.tsv.')
flags.DEFINE_string('module', None, 'Handle of the BERT module.')
flags.DEFINE_string('out', None, 'Folder for the model and its predictions.')
flags.DEFINE_integer('max_length', 128, 'Word pieces per sentence.')
flags.DEFINE_integer('batch_size', 32, 'Sentences per step.')
flags.DEFINE_float('epochs', 3.0, 'How often to see each sentence.')
flags.DEFINE_float('learning_rate', 2e-5, 'Learning rate after the warm-up.')
flags.DEFINE_float('warmup', 0.1, 'Which part of the training is warm-up.')
flags.DEFINE_float('weight_decay', 0.01, 'Decay of weights per step.')
flags.DEFINE_float('keep_prob', 0.9, 'For the dropout before the logits.')
flags.DEFINE_bool('train', True, 'Train, or just evaluate and predict?')
flags.DEFINE_bool('use_tpu', False, 'Run on a Cloud TPU?')
flags.DEFINE_string('tpu', None, 'Name of the Cloud TPU.')
flags.DEFINE_integer('num_shards', 8, 'Number of TPU cores.')


def read_sentences(split):
  with tf.gfile.Open(os.path.join(FLAGS.data, split + '.tsv')) as f:
    return [(row[0], row[1])
            for row in csv.reader(f, delimiter='\t', quoting=csv.QUOTE_NONE)]


def load_word_pieces():
  """The module knows its vocabulary."""
  with tf.Graph().as_default():
    info = hub.Module(FLAGS.module)(signature='tokenization_info', as_dict=True)
    with tf.Session() as sess:
      vocab_file, lower_case = sess.run(
          [info['vocab_file'], info['do_lower_case']])
  return wordpiece.WordPieces(vocab_file, lower_case)


def write_records(path, sentences, labels, word_pieces):
  """Writes sentences as tf.Examples."""

  def ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

  with tf.python_io.TFRecordWriter(path) as writer:
    for label, sentence in sentences:
      ids, mask = word_pieces.encode(sentence, FLAGS.max_length)
      example = tf.train.Example(features=tf.train.Features(feature={
          'ids': ints(ids),
          'mask': ints(mask),
          'label': ints([labels.index(label)]),
      }))
      writer.write(example.SerializeToString())
  tf.logging.info('%d sentences in %s', len(sentences), path)


def make_input_fn(path, training):
  """Reads what `write_records` has written."""

  def parse(record):
    parsed = tf.parse_single_example(record, {
        'ids': tf.FixedLenFeature([FLAGS.max_length], tf.int64),
        'mask': tf.FixedLenFeature([FLAGS.max_length], tf.int64),
        'label': tf.FixedLenFeature([], tf.int64),
    })
    # TPUs have no int64.
    parsed = dict((name, tf.to_int32(t)) for name, t in parsed.items())
    return parsed, parsed['label']

  def input_fn(params):
    dataset = tf.data.TFRecordDataset([path])
    if training:
      dataset = dataset.apply(
          tf.contrib.data.shuffle_and_repeat(1000, seed=1))
    return dataset.apply(tf.contrib.data.map_and_batch(
        parse, batch_size=params['batch_size'], drop_remainder=training))

  return input_fn


class AdamWithDecay(tf.train.AdamOptimizer):
  """Adam that also makes weights smaller, but no biases or norms."""

  def __init__(self, learning_rate, decay, **kwargs):
    super(AdamWithDecay, self).__init__(learning_rate, **kwargs)
    self._rate = learning_rate
    self._decay = decay

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    grads_and_vars = [(g, v) for g, v in grads_and_vars if g is not None]
    shrunk = []
    for _, var in grads_and_vars:
      if not any(part in var.op.name for part in ('bias', 'norm', 'LayerNorm')):
        shrunk.append(tf.assign_sub(var, self._rate * self._decay * var))
    with tf.control_dependencies(shrunk):
      return super(AdamWithDecay, self).apply_gradients(
          grads_and_vars, global_step=global_step, name=name)


def learning_rate_at(step, num_steps):
  """Goes up to the learning rate in a straight line, and then down to zero."""
  num_warmup_steps = max(1, int(num_steps * FLAGS.warmup))
  rising = FLAGS.learning_rate * tf.to_float(step) / float(num_warmup_steps)
  falling = tf.train.polynomial_decay(
      FLAGS.learning_rate, step, num_steps, end_learning_rate=0.0, power=1.0)
  return tf.where(tf.less(step, num_warmup_steps), rising, falling)


def train_op_of(loss, num_steps):
  """Updates all trainable variables, those of the module too."""
  step = tf.train.get_or_create_global_step()
  learning_rate = learning_rate_at(step, num_steps)
  tf.summary.scalar('learning_rate', learning_rate)
  optimizer = AdamWithDecay(learning_rate, FLAGS.weight_decay, epsilon=1e-6)
  if FLAGS.use_tpu:
    optimizer = tf.contrib.tpu.CrossShardOptimizer(optimizer)
  variables = tf.trainable_variables()
  gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), 1.0)
  return optimizer.apply_gradients(zip(gradients, variables), global_step=step)


def make_model_fn(num_classes, num_steps):
  """Returns the model_fn of TPUEstimator."""

  def metric_fn(labels, logits):
    predicted = tf.argmax(logits, 1, output_type=tf.int32)
    metrics = {
        'accuracy': tf.metrics.accuracy(labels, predicted),
        'cross_entropy': tf.metrics.mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=logits)),
    }
    if num_classes == 2:
      metrics['f1'] = tf.contrib.metrics.f1_score(labels, predicted)
      metrics['auc'] = tf.metrics.auc(labels, tf.nn.softmax(logits)[:, 1])
    return metrics

  def model_fn(features, labels, mode, params):
    del params
    training = mode == tf.estimator.ModeKeys.TRAIN
    bert = hub.Module(FLAGS.module, tags={'train'} if training else set(),
                      trainable=True)
    tf.logging.info('%d variables to fine-tune', len(tf.trainable_variables()))
    outputs = bert(
        dict(input_ids=features['ids'],
             input_mask=features['mask'],
             segment_ids=tf.zeros_like(features['ids'])),
        signature='tokens',
        as_dict=True)
    pooled = outputs['pooled_output']
    if training:
      pooled = tf.nn.dropout(pooled, keep_prob=FLAGS.keep_prob)

    with tf.variable_scope('classifier'):
      weights = tf.get_variable(
          'weights', [pooled.shape[-1].value, num_classes],
          initializer=tf.truncated_normal_initializer(stddev=0.02))
      bias = tf.get_variable('bias', [num_classes],
                             initializer=tf.zeros_initializer())
      logits = tf.nn.xw_plus_b(pooled, weights, bias)

    if mode == tf.estimator.ModeKeys.PREDICT:
      return tf.contrib.tpu.TPUEstimatorSpec(
          mode, predictions={'probabilities': tf.nn.softmax(logits),
                             'pooled': pooled})
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    if training:
      return tf.contrib.tpu.TPUEstimatorSpec(
          mode, loss=loss, train_op=train_op_of(loss, num_steps))
    return tf.contrib.tpu.TPUEstimatorSpec(
        mode, loss=loss, eval_metrics=(metric_fn, [labels, logits]))

  return model_fn


def main(unused_argv):
  tf.gfile.MakeDirs(FLAGS.out)
  train, test = read_sentences('train'), read_sentences('test')
  random.Random(0).shuffle(train)
  labels = sorted(set(label for label, _ in train))
  num_steps = int(len(train) * FLAGS.epochs / FLAGS.batch_size)

  word_pieces = load_word_pieces()
  tf.logging.info('%d word pieces; the first sentence: %s', len(word_pieces),
                  ' '.join(word_pieces.pieces(train[0][1])))
  records = {}
  for name, sentences in (('train', train), ('test', test)):
    records[name] = os.path.join(FLAGS.out, name + '.tfrecord')
    write_records(records[name], sentences, labels, word_pieces)

  cluster = None
  if FLAGS.use_tpu:
    cluster = tf.contrib.cluster_resolver.TPUClusterResolver(FLAGS.tpu)
  estimator = tf.contrib.tpu.TPUEstimator(
      model_fn=make_model_fn(len(labels), num_steps),
      use_tpu=FLAGS.use_tpu,
      train_batch_size=FLAGS.batch_size,
      eval_batch_size=FLAGS.batch_size,
      predict_batch_size=FLAGS.batch_size,
      config=tf.contrib.tpu.RunConfig(
          cluster=cluster,
          model_dir=os.path.join(FLAGS.out, 'model'),
          tf_random_seed=1,
          save_checkpoints_steps=500,
          tpu_config=tf.contrib.tpu.TPUConfig(
              iterations_per_loop=100,
              num_shards=FLAGS.num_shards,
              per_host_input_for_training=(
                  tf.contrib.tpu.InputPipelineConfig.PER_HOST_V2))))

  if FLAGS.train:
    estimator.train(make_input_fn(records['train'], True), max_steps=num_steps)

  result = estimator.evaluate(make_input_fn(records['test'], False))
  with tf.gfile.GFile(os.path.join(FLAGS.out, 'eval.json'), 'w') as f:
    json.dump(dict((name, float(x)) for name, x in result.items()), f)
  for name in sorted(result):
    print('%s: %.4f' % (name, result[name]))

  with tf.gfile.GFile(os.path.join(FLAGS.out, 'predictions.tsv'), 'w') as f:
    predictions = estimator.predict(make_input_fn(records['test'], False))
    for (label, sentence), prediction in zip(test, predictions):
      probabilities = prediction['probabilities']
      f.write('%s\t%s\t%.4f\t%s\n' % (label, labels[probabilities.argmax()],
                                      probabilities.max(), sentence))


if __name__ == '__main__':
  tf.logging.set_verbosity(tf.logging.INFO)
  for required in ('data', 'module', 'out'):
    flags.mark_flag_as_required(required)
  tf.app.run()
