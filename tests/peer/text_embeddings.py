"""The peer's side: builds the module of TF1 code, and uses the modules in WORK, with tensorflow_hub 0.15.0.

    python tests/peer/text_embeddings.py WORK

It leaves `WORK/peer`, the module of TF1 code with the values of `WORK/sentences`, and `WORK/seen.npz`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub

from tests.export.text.module_fns import SENTENCES, embedded, text_module

v1 = tf.compat.v1


def build(work: Path) -> None:
    """Export the module of TF1 code, as the example of tensorflow_hub does."""
    values = tf.train.load_checkpoint(str(work / "sentences/variables/variables")).get_tensor("embeddings")
    vocabulary = work / "sentences/assets/tokens.txt"
    spec = text_module(hub, tf, vocabulary, values[:-3], buckets=3, combiner="sqrtn")
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(spec)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        module.variable_map["embeddings"].load(values, session)
        module.export(str(work / "peer"), session)


def observe(work: Path) -> dict[str, Any]:
    """Return what modules give, by name of module and of the way to use it."""
    seen: dict[str, Any] = {}
    for name in ("peer", "sentences", "words", "no_buckets", "float16"):
        path = str(work / name)
        texts = SENTENCES if name != "words" else ["cat", "", "unknown"]
        seen[f"{name} module"] = embedded(hub, tf, path, "default", texts)
        seen[f"{name} load"] = hub.load(path, tags=[]).signatures["default"](tf.constant(texts))["default"]
        seen[f"{name} layer"] = hub.KerasLayer(path, signature="default", output_key="default", tags=[])(
            tf.constant(texts)
        )
        seen[f"{name} gradient"] = gradient(path, texts)
    seen["sentences tokens"] = embedded(hub, tf, str(work / "sentences"), "tokens", ["cat", "", "unknown"])
    seen.update(side_by_side(work))
    return seen


def gradient(path: str, texts: Any) -> Any:
    """Return the gradient of all outputs for the table, as an array."""
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(path, trainable=True)
        (table,) = v1.trainable_variables()
        (found,) = tf.gradients(tf.reduce_sum(module(tf.constant(texts))), table)
        dense = tf.convert_to_tensor(found)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        return session.run(dense)


def side_by_side(work: Path) -> dict[str, Any]:
    """Return what two modules of different words give in one graph, one of them twice."""
    with tf.Graph().as_default(), v1.Session() as session:
        modules = [hub.Module(str(work / name)) for name in ("sentences", "few", "few")]
        results = [module(["the cat"]) for module in modules]
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        return dict(zip(("beside many", "beside few", "beside again"), session.run(results), strict=True))


if __name__ == "__main__":
    v1.logging.set_verbosity(v1.logging.ERROR)
    folder = Path(sys.argv[1])
    build(folder)
    np.savez(folder / "seen.npz", **{name: np.asarray(value) for name, value in observe(folder).items()})
