"""The peer's side of a shared cache: tensorflow_hub 0.15.0 resolves a URL, and computes with what it got.

    python tests/peer/peer_cache.py URL

prints the directory, and what half_plus_two makes of 2 and 10; TFHUB_CACHE_DIR says where the cache is.
"""

from __future__ import annotations

import json
import sys

import tensorflow as tf
import tensorflow_hub as hub

if __name__ == "__main__":
    path = hub.resolve(sys.argv[1])
    tf1 = tf.compat.v1
    with tf.Graph().as_default(), tf1.Session() as session:
        outputs = hub.Module(sys.argv[1])(tf.constant([2.0, 10.0]))
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        print(json.dumps({"path": path, "outputs": session.run(outputs).tolist()}))
