"""A TF2 model around a loaded module is published as a module of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

import modhub as hub
from tests.constructions import affine, evaluated, lookup, publish


class Around(tf.Module):
    """Three times what a module gives."""

    def __init__(self, module: hub.LoadedModule, spec: tf.TensorSpec) -> None:
        super().__init__()
        self.module = module
        self.triple = tf.function(lambda x: 3 * self.module(x), input_signature=[spec], autograph=False)


def test_with_variables(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"))
    around = Around(module, tf.TensorSpec([None, 2]))
    hub.export_module(around, tmp_path / "around", signatures=around.triple)
    x = np.array([[1.0, 2.0]], np.float32)
    np.testing.assert_allclose(hub.load(tmp_path / "around")(x).numpy(), 3 * module(x).numpy(), rtol=1e-6)


def test_with_a_table(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    around = Around(hub.load(publish(lookup(tmp_path / "words.txt"), tmp_path / "m")), tf.TensorSpec([None], tf.string))
    hub.export_module(around, tmp_path / "around", signatures=around.triple)
    assert hub.load(tmp_path / "around")(["dog", "cow"]).numpy().tolist() == [3, -3]
    with tf.Graph().as_default():
        assert evaluated(hub.Module(str(tmp_path / "around"))(["dog", "cow"])).tolist() == [3, -3]
