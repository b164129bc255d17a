"""The peer's side of the exchange: tensorflow_hub 0.15.0 on TensorFlow 2.15, in an environment of its own.

    python tests/peer/peer_side.py WORK [GENUINE]

exports every construction to `WORK/tensorflow_hub/<name>`, then loads those and the ones that modhub left in
`WORK/modhub/<name>`. `exchange.take_part` says what lies where.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import tensorflow as tf
import tensorflow_hub as hub

from tests.peer.constructions import constructions
from tests.peer.exchange import observe_all, publish_all

if __name__ == "__main__":
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    work, *genuine = map(Path, sys.argv[1:])
    exchanged = constructions(genuine[0] if genuine else None)
    publish_all(hub, tf, exchanged, work)
    observe_all(hub, tf, exchanged, work)
