# -*- coding: utf-8 -*-
"""Trains an image classifier, and publishes its features as a Hub module.

  python export_module.py --train=/data/train --eval=/data/eval \
    --model_dir=/tmp/model

/data/train and /data/eval have a folder of PNGs for each class. After every
evaluation the module is in /tmp/model/export/tf_hub/<timestamp>/features; use it
with hub.Module(path).
"""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os

import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib import lookup as contrib_lookup
from tensorflow.contrib.framework import nest
import tensorflow_hub as hub

tf.flags.DEFINE_string('train', None, 'Pictures to train on.')
tf.flags.DEFINE_string('eval', None, 'Pictures to evaluate on.')
tf.flags.DEFINE_string('model_dir', None, 'For checkpoints and exports.')
tf.flags.DEFINE_string('embeddings', None,
                       'Writes the features of the evaluation pictures here.')
tf.flags.DEFINE_integer('size', 32, 'Height and width of the pictures.')
tf.flags.DEFINE_integer('depth', 64, 'Size of the feature vectors.')
tf.flags.DEFINE_integer('batch_size', 32, 'Pictures per step.')
tf.flags.DEFINE_integer('steps', 1000, 'Steps of training.')
tf.flags.DEFINE_integer('eval_every', 200, 'Steps from checkpoint to checkpoint.')
tf.flags.DEFINE_integer('exports_to_keep', 2, 'How many exports stay.')

FLAGS = tf.flags.FLAGS


def module_fn(is_training):
  """Pictures of 0 to 1 -> feature vectors."""
  images = tf.placeholder(tf.float32, [None, FLAGS.size, FLAGS.size, 1])
  batch_norm_params = {'is_training': is_training, 'decay': 0.9, 'scale': True}
  end_points = {}
  with slim.arg_scope([slim.conv2d],
                      normalizer_fn=slim.batch_norm,
                      normalizer_params=batch_norm_params,
                      weights_regularizer=slim.l2_regularizer(1e-4)):
    with slim.arg_scope([slim.conv2d, slim.max_pool2d], padding='SAME'):
      net = slim.avg_pool2d(images * 2.0 - 1.0, [2, 2], scope='pool0')
      net = slim.repeat(net, 2, slim.conv2d, 16, [3, 3], scope='conv1')
      net = slim.max_pool2d(net, [2, 2], scope='pool1')
      end_points['conv1'] = net
      net = slim.conv2d(net, 32, [3, 3], scope='conv2')
      net = slim.max_pool2d(net, [2, 2], scope='pool2')
      end_points['conv2'] = net
  net = slim.flatten(net)
  net = slim.dropout(net, 0.8, is_training=is_training)
  features = slim.fully_connected(net, FLAGS.depth, scope='features')
  hub.add_signature(inputs={'images': images}, outputs={'default': features})
  hub.add_signature('image_feature_vector', inputs={'images': images},
                    outputs=dict(end_points, default=features))
  image_info = hub.ImageModuleInfo()
  image_info.default_image_size.height = FLAGS.size
  image_info.default_image_size.width = FLAGS.size
  hub.attach_image_module_info(image_info)


def model_fn(features, labels, mode, params):
  """A softmax layer on the module's features."""
  is_training = mode == tf.estimator.ModeKeys.TRAIN
  module_spec = hub.create_module_spec(
      module_fn,
      tags_and_args=[(set(), {'is_training': False}),
                     ({'train'}, {'is_training': True})],
      drop_collections=[tf.GraphKeys.LOCAL_VARIABLES])
  module = hub.Module(module_spec, trainable=True,
                      tags={'train'} if is_training else None)
  hub.register_module_for_export(module, 'features')
  vectors = module(features['image'])
  logits = tf.layers.dense(vectors, len(params['classes']), name='logits')

  if mode == tf.estimator.ModeKeys.PREDICT:
    names = contrib_lookup.index_to_string_table_from_tensor(params['classes'])
    predictions = {
        'features': vectors,
        'class': names.lookup(tf.argmax(logits, 1)),
    }
    return tf.estimator.EstimatorSpec(
        mode, predictions=predictions,
        export_outputs={'serving_default': tf.estimator.export.PredictOutput(
            predictions)})

  numbers = contrib_lookup.index_table_from_tensor(params['classes'])
  label_ids = numbers.lookup(labels)
  tf.losses.sparse_softmax_cross_entropy(label_ids, logits)
  loss = tf.losses.get_total_loss()
  metrics = {'accuracy': tf.metrics.accuracy(label_ids, tf.argmax(logits, 1))}
  if not is_training:
    return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)

  learning_rate = tf.train.exponential_decay(
      0.003, tf.train.get_global_step(), FLAGS.steps // 2, 0.5)
  # Runs the updates of batch norm as well.
  train_op = slim.learning.create_train_op(
      loss, tf.train.AdamOptimizer(learning_rate),
      global_step=tf.train.get_global_step())
  logging_hook = tf.train.LoggingTensorHook(
      {'batch_accuracy': metrics['accuracy'][1]}, every_n_iter=50)
  return tf.estimator.EstimatorSpec(
      mode, loss=loss, train_op=train_op, training_hooks=[logging_hook])


def read_image(path, label):
  image = tf.image.decode_png(tf.read_file(path), channels=1)
  image.set_shape([FLAGS.size, FLAGS.size, 1])
  return {'image': tf.image.convert_image_dtype(image, tf.float32)}, label


def make_input_fn(folder, training):
  """Reads pictures; their folder's name is their label."""

  def input_fn():
    paths = sorted(tf.gfile.Glob(os.path.join(folder, '*', '*.png')))
    labels = [path.split(os.sep)[-2] for path in paths]
    dataset = tf.data.Dataset.from_tensor_slices((paths, labels))
    if training:
      dataset = dataset.apply(
          tf.contrib.data.shuffle_and_repeat(len(paths), seed=7))
    dataset = dataset.map(read_image, num_parallel_calls=2)
    dataset = dataset.batch(FLAGS.batch_size).prefetch(1)
    return dataset.make_one_shot_iterator().get_next()

  return input_fn


def serving_input_fn():
  """Takes the bytes of a PNG."""
  png = tf.placeholder(tf.string, [None], name='png')

  def decode(one):
    image = tf.image.decode_png(one, channels=1)
    image = tf.image.convert_image_dtype(image, tf.float32)
    return tf.reshape(image, [FLAGS.size, FLAGS.size, 1])

  images = tf.map_fn(decode, png, dtype=tf.float32, back_prop=False)
  return tf.estimator.export.ServingInputReceiver({'image': images},
                                                  {'png': png})


def latest_export():
  base = os.path.join(FLAGS.model_dir, 'export', 'tf_hub')
  stamps = [name.strip('/') for name in tf.gfile.ListDirectory(base)]
  return os.path.join(base, max(stamps), 'features')


def check_export(path, expected):
  """Says how far the module is from what the Estimator has predicted."""
  info = hub.get_expected_image_size(hub.load_module_spec(path))
  with tf.Graph().as_default():
    batch = make_input_fn(FLAGS.eval, training=False)()
    vectors = hub.Module(path, name='published')(batch[0]['image'])
    with tf.train.MonitoredSession() as sess:
      computed = sess.run(vectors)
  difference = np.abs(computed - expected[:len(computed)]).max()
  print('%s for %s pictures, off by %.7f' % (path, 'x'.join(map(str, info)),
                                             difference))


def main(_):
  classes = sorted(os.path.basename(path.rstrip('/')) for path in tf.gfile.Glob(
      os.path.join(FLAGS.train, '*')))
  config = tf.estimator.RunConfig(
      model_dir=FLAGS.model_dir,
      tf_random_seed=3,
      save_checkpoints_steps=FLAGS.eval_every,
      session_config=tf.ConfigProto(allow_soft_placement=True))
  estimator = tf.estimator.Estimator(
      model_fn, config=config, params={'classes': classes})

  exporter = hub.LatestModuleExporter('tf_hub', serving_input_fn,
                                      exports_to_keep=FLAGS.exports_to_keep)
  metrics, _ = tf.estimator.train_and_evaluate(
      estimator,
      tf.estimator.TrainSpec(make_input_fn(FLAGS.train, training=True),
                             max_steps=FLAGS.steps),
      tf.estimator.EvalSpec(make_input_fn(FLAGS.eval, training=False),
                            steps=None, exporters=exporter,
                            start_delay_secs=0, throttle_secs=0))
  print('accuracy: %.4f at step %d' % (metrics['accuracy'],
                                       metrics['global_step']))

  predictions = list(
      estimator.predict(make_input_fn(FLAGS.eval, training=False)))
  vectors = np.stack([p['features'] for p in predictions])
  print('%d predictions of %d values, the first: %s' % (
      len(predictions), len(nest.flatten(predictions)),
      tf.compat.as_str(predictions[0]['class'])))
  check_export(latest_export(), vectors)
  if FLAGS.embeddings:
    with tf.gfile.Open(FLAGS.embeddings, 'wb') as f:
      np.save(f, vectors)


if __name__ == '__main__':
  tf.logging.set_verbosity(tf.logging.INFO)
  tf.flags.mark_flags_as_required(['train', 'eval', 'model_dir'])
  tf.app.run()
