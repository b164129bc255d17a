# -*- coding: utf-8 -*-
"""Word pieces of a BERT vocabulary."""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import re
import unicodedata

import six
import tensorflow as tf

UNKNOWN = u'[UNK]'


class WordPieces(object):
  """Turns sentences into numbers of word pieces."""

  def __init__(self, vocab_file, lower_case):
    with tf.gfile.GFile(vocab_file, 'r') as f:
      lines = [tf.compat.as_text(line).rstrip(u'\n') for line in f]
    self._number = dict((piece, n) for n, piece in enumerate(lines))
    self._lower_case = bool(lower_case)

  def __len__(self):
    return len(self._number)

  def pieces(self, sentence):
    """E.g. u"It's singing" -> [u"it", u"'", u"s", u"sing", u"##ing"]."""
    sentence = tf.compat.as_text(sentence)
    if self._lower_case:
      sentence = self._without_accents(sentence.lower())
    found = []
    for word in re.findall(r'\w+|[^\w\s]', sentence, re.UNICODE):
      found += self._pieces_of_word(word)
    return found

  def encode(self, sentence, length):
    """Returns the numbers of [CLS] pieces... [SEP], and a mask; both padded."""
    pieces = [u'[CLS]'] + self.pieces(sentence)[:length - 2] + [u'[SEP]']
    ids = [self._number[piece] for piece in pieces]
    padding = [0] * (length - len(ids))
    return ids + padding, [1] * len(ids) + padding

  def _pieces_of_word(self, word):
    """Takes the longest piece off the front until nothing is left."""
    found = []
    rest = word
    while rest:
      prefix = u'##' if found else u''
      for size in six.moves.range(len(rest), 0, -1):
        if prefix + rest[:size] in self._number:
          found.append(prefix + rest[:size])
          rest = rest[size:]
          break
      else:
        return [UNKNOWN]
    return found

  @staticmethod
  def _without_accents(sentence):
    return u''.join(char for char in unicodedata.normalize('NFD', sentence)
                    if not unicodedata.combining(char))
