"""scikit-learn's digits, and a module of features of them that tests train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests import constructions

v1 = tf.compat.v1


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images [300, 64] of 0 to 1, and the digits on them [300]; the test is skipped without scikit-learn."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn: pip install modhub[demo]")
    images, labels = datasets.load_digits(return_X_y=True)
    return images[:300].astype(np.float32) / 16, labels[:300].astype(np.int32)


def features() -> None:
    """x [batch, 64] -> relu(x @ w + b) [batch, 16]."""
    x = v1.placeholder(tf.float32, [None, 64], name="x")
    start = np.random.default_rng(0).normal(scale=0.2, size=[64, 16])
    hub.add_signature(
        inputs=x,
        outputs=tf.nn.relu(tf.matmul(x, constructions.variable("w", start)) + constructions.variable("b", [0.0] * 16)),
    )


def published(folder: Path) -> str:
    """Publish `features`; return the path."""
    return constructions.publish(features, folder / "features")


def computed(path: str | Path, x: np.ndarray) -> list[np.ndarray]:
    """What a published module makes of x: in a graph, and under eager execution."""
    with tf.Graph().as_default():
        in_graph = constructions.evaluated(hub.Module(str(path))(x))
    return [in_graph, hub.load(str(path))(x).numpy()]


def stamps(base: Path) -> list[str]:
    """The names of the exports in a directory, the oldest first, and of everything else that lies there."""
    return sorted(path.name for path in base.iterdir())
