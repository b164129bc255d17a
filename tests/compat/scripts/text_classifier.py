"""Classifies sentences with a text embedding module and a DNNClassifier.

The data are two files of tab-separated values, train.tsv and test.tsv, whose
first line is "label<TAB>sentence".

  python text_classifier.py --data_dir=/tmp/sentences \
    --module=https://tfhub.dev/google/nnlm-en-dim128/1 --train_module
"""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import csv
import io
import os

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

tf.app.flags.DEFINE_string('data_dir', None, 'Where train.tsv and test.tsv are.')
tf.app.flags.DEFINE_string(
    'module', 'https://tfhub.dev/google/nnlm-en-dim128/1',
    'The text embedding module.')
tf.app.flags.DEFINE_boolean('train_module', False,
                            'Whether to fine-tune the embeddings.')
tf.app.flags.DEFINE_string('model_dir', '/tmp/text_classifier',
                           'Where checkpoints and summaries go.')
tf.app.flags.DEFINE_string('export_dir', '', 'Where a SavedModel goes, if any.')
tf.app.flags.DEFINE_string('predictions', '', 'Where predictions go, if any.')
tf.app.flags.DEFINE_string('hparams', '', 'Comma-separated "name=value" pairs.')
tf.app.flags.DEFINE_integer('max_steps', 1000, 'Number of training steps.')

FLAGS = tf.app.flags.FLAGS


def default_hparams():
  return tf.contrib.training.HParams(
      batch_size=128,
      hidden_units=[128, 64],
      learning_rate=0.01,
      dropout=0.1)


def load_tsv(path):
  """Returns the labels and sentences of a file, as two lists."""
  labels, sentences = [], []
  with tf.gfile.GFile(path, 'rb') as f:
    text = io.StringIO(f.read().decode('utf-8'))
  for row in csv.DictReader(text, delimiter='\t', quoting=csv.QUOTE_NONE):
    labels.append(row['label'])
    sentences.append(row['sentence'])
  return labels, sentences


def make_input_fn(labels, sentences, batch_size=128, num_epochs=1,
                  shuffle=False):
  return tf.estimator.inputs.numpy_input_fn(
      x={'sentence': np.array(sentences, dtype=np.object_)},
      y=np.array(labels, dtype=np.object_),
      batch_size=batch_size,
      num_epochs=num_epochs,
      shuffle=shuffle)


def train_and_evaluate(hparams):
  """Trains a classifier; returns it, the metrics and the data of the test."""
  train_labels, train_sentences = load_tsv(
      os.path.join(FLAGS.data_dir, 'train.tsv'))
  test_labels, test_sentences = load_tsv(
      os.path.join(FLAGS.data_dir, 'test.tsv'))
  classes = sorted(set(train_labels))
  tf.logging.info('%d sentences, classes: %s', len(train_labels),
                  ', '.join(classes))

  sentence_column = hub.text_embedding_column(
      key='sentence', module_spec=FLAGS.module, trainable=FLAGS.train_module)

  estimator = tf.estimator.DNNClassifier(
      hidden_units=hparams.hidden_units,
      feature_columns=[sentence_column],
      n_classes=len(classes),
      label_vocabulary=classes,
      dropout=hparams.dropout,
      optimizer=tf.train.AdagradOptimizer(learning_rate=hparams.learning_rate),
      model_dir=FLAGS.model_dir,
      config=tf.estimator.RunConfig(tf_random_seed=42,
                                    save_summary_steps=50))

  # Whole epochs, shuffled; the number of steps ends it.
  estimator.train(
      input_fn=make_input_fn(train_labels, train_sentences,
                             batch_size=hparams.batch_size, num_epochs=None,
                             shuffle=True),
      max_steps=FLAGS.max_steps)

  for name, labels, sentences in (('train', train_labels, train_sentences),
                                  ('test', test_labels, test_sentences)):
    metrics = estimator.evaluate(make_input_fn(labels, sentences), name=name)
    print('%s: accuracy %.4f, loss %.4f' % (name, metrics['accuracy'],
                                            metrics['average_loss']))

  if FLAGS.export_dir:
    feature_spec = tf.feature_column.make_parse_example_spec(
        [sentence_column])
    receiver_fn = tf.estimator.export.build_parsing_serving_input_receiver_fn(
        feature_spec)
    export_dir = estimator.export_savedmodel(FLAGS.export_dir, receiver_fn)
    print('Exported to', tf.compat.as_str_any(export_dir))
  return estimator, classes, test_labels, test_sentences


def show_confusion(estimator, classes, labels, sentences):
  """Prints which classes are taken for which, and writes the predictions."""
  predictions = list(
      estimator.predict(make_input_fn(labels, sentences)))
  predicted = [p['class_ids'][0] for p in predictions]
  with tf.Graph().as_default():
    table = tf.contrib.lookup.index_table_from_tensor(
        mapping=tf.constant(classes))
    counts = tf.to_float(
        tf.confusion_matrix(table.lookup(tf.constant(labels)), predicted))
    shares = counts / tf.reduce_sum(counts, axis=1, keep_dims=True)
    with tf.Session() as session:
      session.run(tf.tables_initializer())
      rows = session.run(shares)
  for name, row in zip(classes, rows):
    print('%12s %s' % (name, ' '.join('%.2f' % x for x in row)))

  if FLAGS.predictions:
    with tf.gfile.Open(FLAGS.predictions, 'w') as f:
      for label, sentence, p in zip(labels, sentences, predictions):
        f.write('%s\t%s\t%.6f\t%s\n' % (
            label, tf.compat.as_text(p['classes'][0]),
            max(p['probabilities']), sentence))


def main(unused_argv):
  hparams = default_hparams().parse(FLAGS.hparams)
  tf.logging.info('Hyperparameters: %s', hparams.values())
  estimator, classes, labels, sentences = train_and_evaluate(hparams)
  show_confusion(estimator, classes, labels, sentences)


if __name__ == '__main__':
  tf.logging.set_verbosity(tf.logging.INFO)
  tf.app.flags.mark_flag_as_required('data_dir')
  tf.app.run()
