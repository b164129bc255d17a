# -*- coding: utf-8 -*-
"""Teaches an image module new classes.

Each class has a folder of JPEGs, named like the class:

  python retrain.py --images ~/flowers --out ~/flowers_model \
    --module https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/2

The module itself is not changed. Since it would compute the same for a picture
again and again, its feature vectors are kept ("bottlenecks"), and only a layer on
top of them is trained. In the end there are

  graph.pb       a frozen graph, from "images:0" to "probabilities:0"
  labels.txt     the classes, in the order of the probabilities
  saved_model/   the same for TensorFlow Serving
  logs/          for TensorBoard
"""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import argparse
import collections
import os
import sys
import time
import zlib

import numpy as np
from six.moves import xrange  # pylint: disable=redefined-builtin
import tensorflow as tf
import tensorflow_hub as hub
from tensorflow.python.platform import gfile

FLAGS = None

Picture = collections.namedtuple('Picture', ['path', 'label'])


def find_pictures():
  """Returns the classes, and the pictures of each of the three splits."""
  classes = sorted(name.strip('/') for name in gfile.ListDirectory(FLAGS.images)
                   if gfile.IsDirectory(os.path.join(FLAGS.images, name)))
  splits = collections.defaultdict(list)
  for label, name in enumerate(classes):
    paths = gfile.Glob(os.path.join(FLAGS.images, name, '*.jp*g'))
    if len(paths) < 10:
      tf.logging.warn('Only %d pictures of %s', len(paths), name)
    for path in sorted(paths):
      # The split of a picture stays the same when others are added.
      short = os.path.join(name, os.path.basename(path))
      percent = zlib.crc32(tf.compat.as_bytes(short)) % 100
      if percent < FLAGS.test_percent:
        split = 'test'
      elif percent < FLAGS.test_percent + FLAGS.validation_percent:
        split = 'validation'
      else:
        split = 'train'
      splits[split].append(Picture(path, label))
  return classes, splits


class FeatureExtractor(object):
  """Runs pictures through the module, each only once."""

  def __init__(self, module_spec, cache_dir):
    self._cache_dir = cache_dir
    self.num_computed = 0
    with tf.Graph().as_default() as graph:
      height, width = hub.get_expected_image_size(module_spec)
      channels = hub.get_num_image_channels(module_spec)
      self._jpeg = tf.placeholder(tf.string, name='jpeg')
      pixels = tf.image.decode_jpeg(self._jpeg, channels=channels)
      pixels = tf.image.convert_image_dtype(pixels, tf.float32)
      pixels = tf.image.resize_bilinear(tf.expand_dims(pixels, 0),
                                        [height, width])
      self._features = hub.Module(module_spec, name='extractor')(pixels)
      init = tf.global_variables_initializer()
    self._session = tf.Session(graph=graph)
    self._session.run(init)

  def __enter__(self):
    return self

  def __exit__(self, *unused_args):
    self._session.close()

  def features(self, picture):
    name = '%s_%s.txt' % (os.path.basename(os.path.dirname(picture.path)),
                          os.path.basename(picture.path))
    cached = os.path.join(self._cache_dir, name)
    if not gfile.Exists(cached):
      with gfile.FastGFile(picture.path, 'rb') as f:
        features = self._session.run(self._features, {self._jpeg: f.read()})
      np.savetxt(cached, features[0])
      self.num_computed += 1
      if self.num_computed % 100 == 0:
        tf.logging.info('%d feature vectors', self.num_computed)
    return np.loadtxt(cached, dtype=np.float32)

  def batch(self, pictures):
    return (np.stack([self.features(picture) for picture in pictures]),
            np.array([picture.label for picture in pictures]))


class Classifier(object):
  """The module with a layer on top, in a graph of its own."""

  def __init__(self, module_spec, num_classes, training):
    self.graph = tf.Graph()
    with self.graph.as_default():
      tf.set_random_seed(1)
      height, width = hub.get_expected_image_size(module_spec)
      self.images = tf.placeholder(tf.float32, [None, height, width, 3],
                                   name='images')
      module = hub.Module(module_spec)
      computed = module(self.images)
      # Features that were kept are fed; otherwise those of the images.
      self.features = tf.placeholder_with_default(
          computed, [None, computed.get_shape().as_list()[1]], name='features')
      self.labels = tf.placeholder(tf.int64, [None], name='labels')

      logits = tf.layers.dense(
          self.features, num_classes, name='top',
          kernel_initializer=tf.contrib.layers.xavier_initializer(),
          kernel_regularizer=tf.contrib.layers.l2_regularizer(1e-4))
      self.probabilities = tf.nn.softmax(logits, name='probabilities')
      self.predicted = tf.argmax(logits, axis=1)
      self.accuracy = tf.reduce_mean(
          tf.to_float(tf.equal(self.predicted, self.labels)))
      self.confusion = tf.confusion_matrix(self.labels, self.predicted,
                                           num_classes=num_classes)
      self.saver = tf.train.Saver()
      if training:
        self._add_training(logits)

  def _add_training(self, logits):
    """Only the layer's variables are trained."""
    tf.losses.sparse_softmax_cross_entropy(labels=self.labels, logits=logits)
    self.loss = tf.losses.get_total_loss()
    self.global_step = tf.train.create_global_step()
    with tf.name_scope('train'):
      optimizer = tf.train.MomentumOptimizer(FLAGS.learning_rate, 0.9)
      self.train_op = optimizer.minimize(self.loss,
                                         global_step=self.global_step)
    with tf.name_scope('summaries'):
      tf.summary.scalar('loss', self.loss)
      tf.summary.scalar('accuracy', self.accuracy)
      for variable in tf.trainable_variables():
        tf.summary.histogram(variable.op.name, variable)
      self.summary = tf.summary.merge_all()
    self.init = tf.global_variables_initializer()


def train(classifier, extractor, splits, checkpoint):
  """Trains the layer, and saves all variables."""
  random = np.random.RandomState(0)
  writers = dict(
      (split, tf.summary.FileWriter(os.path.join(FLAGS.out, 'logs', split)))
      for split in ('train', 'validation'))
  writers['train'].add_graph(classifier.graph)
  validation = extractor.batch(splits['validation'])
  with tf.Session(graph=classifier.graph) as sess:
    sess.run(classifier.init)
    for step in xrange(1, FLAGS.steps + 1):
      chosen = random.randint(len(splits['train']), size=FLAGS.batch_size)
      features, labels = extractor.batch([splits['train'][i] for i in chosen])
      feed = {classifier.features: features, classifier.labels: labels}
      sess.run(classifier.train_op, feed)
      if step % FLAGS.eval_every == 0 or step == FLAGS.steps:
        feeds = {
            'train': feed,
            'validation': {classifier.features: validation[0],
                           classifier.labels: validation[1]},
        }
        for split, values in sorted(feeds.items()):
          loss, accuracy, summary = sess.run(
              [classifier.loss, classifier.accuracy, classifier.summary],
              values)
          tf.logging.info('step %d, %s: loss %.3f, accuracy %.1f%%', step,
                          split, loss, 100 * accuracy)
          writers[split].add_summary(summary, step)
    classifier.saver.save(sess, checkpoint)
  for writer in writers.values():
    writer.close()


def final_test(sess, classifier, extractor, pictures, classes):
  """Prints the accuracy and who is taken for whom."""
  features, labels = extractor.batch(pictures)
  accuracy, confusion, predicted = sess.run(
      [classifier.accuracy, classifier.confusion, classifier.predicted],
      feed_dict={classifier.features: features, classifier.labels: labels})
  for picture, guess in zip(pictures, predicted):
    if guess != picture.label:
      tf.logging.info('%s is taken for %s', picture.path, classes[guess])
  print('Confusion (rows are true classes):')
  for name, row in zip(classes, confusion):
    print(name.rjust(20), ' '.join('%4d' % count for count in row))
  print('Final test accuracy = %.1f%% (N=%d)' % (100 * accuracy, len(pictures)))


def export(sess, classifier, classes):
  """Writes the frozen graph, the labels and the SavedModel."""
  with classifier.graph.as_default():
    frozen = tf.graph_util.convert_variables_to_constants(
        sess, classifier.graph.as_graph_def(),
        [classifier.probabilities.op.name])
    with gfile.FastGFile(os.path.join(FLAGS.out, 'graph.pb'), 'wb') as f:
      f.write(frozen.SerializeToString())
    with gfile.FastGFile(os.path.join(FLAGS.out, 'labels.txt'), 'w') as f:
      f.write('\n'.join(classes) + '\n')
    tf.saved_model.simple_save(
        sess, os.path.join(FLAGS.out, 'saved_model'),
        inputs={'images': classifier.images},
        outputs={'probabilities': classifier.probabilities},
        legacy_init_op=tf.tables_initializer())


def main(argv):
  if len(argv) > 1:
    raise ValueError('Unknown arguments: %s' % argv[1:])
  tf.logging.set_verbosity(tf.logging.INFO)
  if not FLAGS.images or not gfile.IsDirectory(FLAGS.images):
    tf.logging.error('--images has to be a folder of folders')
    return 1

  start = time.time()
  cache_dir = os.path.join(FLAGS.out, 'bottlenecks')
  gfile.MakeDirs(cache_dir)
  checkpoint = os.path.join(FLAGS.out, 'model.ckpt')

  classes, splits = find_pictures()
  tf.logging.info('%d classes: %s', len(classes), ', '.join(
      '%d for %s' % (len(splits[split]), split) for split in sorted(splits)))
  module_spec = hub.load_module_spec(FLAGS.module)

  with FeatureExtractor(module_spec, cache_dir) as extractor:
    classifier = Classifier(module_spec, len(classes), training=True)
    train(classifier, extractor, splits, checkpoint)

    classifier = Classifier(module_spec, len(classes), training=False)
    with tf.Session(graph=classifier.graph) as sess:
      classifier.saver.restore(sess, checkpoint)
      final_test(sess, classifier, extractor, splits['test'], classes)
      export(sess, classifier, classes)
    tf.logging.info('%d feature vectors computed, %.1f seconds',
                    extractor.num_computed, time.time() - start)


if __name__ == '__main__':
  parser = argparse.ArgumentParser()
  parser.add_argument('--images', help='A folder with a folder for each class.')
  parser.add_argument('--out', default='/tmp/retrained', help='Where to write.')
  parser.add_argument('--module', help='Handle of the image module.',
                      default='https://tfhub.dev/google/imagenet/'
                              'mobilenet_v2_100_224/feature_vector/2')
  parser.add_argument('--steps', type=int, default=1000)
  parser.add_argument('--batch_size', type=int, default=50)
  parser.add_argument('--learning_rate', type=float, default=0.05)
  parser.add_argument('--eval_every', type=int, default=100, metavar='STEPS')
  parser.add_argument('--test_percent', type=int, default=10)
  parser.add_argument('--validation_percent', type=int, default=10)
  FLAGS, unparsed = parser.parse_known_args()
  tf.app.run(main=main, argv=[sys.argv[0]] + unparsed)
