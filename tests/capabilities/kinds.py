"""The kinds of modules that the table has, with what is fed to each and what it is known to give."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.goldens.golden_files import golden, inputs_of, outputs_of

__all__ = ["GENUINE", "NAMES", "PUBLISHED", "TF2", "Kind", "find_kind"]

GENUINE = ("nnlm_ref", "resnet_like", "control_flow", "partitioned")
PUBLISHED = (
    "dm21",
    "galmodel_likelihood",
    "half_plus_two_v1",
    "reconstruction_decoder",
    "saved_model_half_plus_two_cpu",
)
TF2 = "TF2 SavedModel"
NAMES = (*GENUINE, *PUBLISHED, TF2)

# Of the published ones: the signature and the output that are trained.
_TRAINED = {
    "dm21": ("default", "grid_contribution"),
    "galmodel_likelihood": ("default", "loglikelihood"),
    "half_plus_two_v1": ("default", "default"),
    "reconstruction_decoder": ("reconstructions", "images"),
    "saved_model_half_plus_two_cpu": ("serving_default", "y"),
}
_BY_HAND = {
    "half_plus_two_v1": ("default", [1.0, 2.0, 10.0], [2.5, 3.0, 7.0]),
    "saved_model_half_plus_two_cpu": ("x", [[1.0], [2.0], [10.0]], [[2.5], [3.0], [7.0]]),
}

Arrays = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A module.

    Attributes:
      name: in the table.
      path: its directory.
      examples: inputs and outputs by signature.
      signature: the one that is trained; None where the object itself is called.
      output: the output of it that is trained.
      tags: of the variant that is trained.
      losses: what three steps of SGD give, if that is known.
      after: the variables after that, by name.
      rate: the learning rate.
    """

    name: str
    path: Path
    examples: dict[str | None, tuple[Arrays, Arrays]]
    signature: str | None
    output: str
    tags: tuple[str, ...] = ()
    losses: np.ndarray | None = None
    after: Arrays | None = None
    rate: float = 1e-4

    @property
    def inputs(self) -> Arrays:
        return self.examples[self.signature][0]

    @property
    def expected(self) -> np.ndarray:
        return self.examples[self.signature][1][self.output]


def find_kind(name: str, shared: Path, folder: Path) -> Kind:
    """Return a kind; `folder` is for one that is made here."""
    if name == TF2:
        return _make_tf2(folder)
    return _genuine(name, shared / "genuine" / name) if name in GENUINE else _published(name, shared / "published")


def _genuine(name: str, folder: Path) -> Kind:
    arrays = golden(folder / "golden.npz")
    how = json.loads((folder / "golden.json").read_text())
    signatures = {key.split("/")[1] for key in arrays if key.startswith("in/")}
    return Kind(
        name=name,
        path=folder / "module",
        examples={one: (inputs_of(arrays, one), outputs_of(arrays, f"out/-/{one}/")) for one in signatures},
        signature=how["train_signature"],
        output=how["train_output"],
        tags=tuple(how["train_tags"]),
        losses=arrays["tune/losses"],
        after=outputs_of(arrays, "tune/after/"),
        rate=0.1,
    )


def _published(name: str, folder: Path) -> Kind:
    signature, output = _TRAINED[name]
    if name in _BY_HAND:
        key, given, expected = _BY_HAND[name]
        examples = {signature: ({key: np.float32(given)}, {output: np.float32(expected)})}
    else:
        arrays = golden(folder / f"{name}.golden.npz")
        examples = {signature: (inputs_of(arrays, signature), outputs_of(arrays, f"out/{signature}/"))}
    path = folder / name / "00000123" if name == "saved_model_half_plus_two_cpu" else folder / name
    return Kind(name=name, path=path, examples=examples, signature=signature, output=output)


def _make_tf2(folder: Path) -> Kind:
    """Save a dense layer that keeps a moving mean of its inputs, with the interface of Reusable SavedModels."""
    kernel = tf.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), name="kernel")
    mean = tf.Variable(tf.zeros([4]), trainable=False, name="mean")

    @tf.function(autograph=False)
    def call(x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            mean.assign(0.9 * mean + 0.1 * tf.reduce_mean(x, 0))
        return tf.tanh(tf.matmul(x - mean, kernel))

    @tf.function(input_signature=[])
    def loss() -> tf.Tensor:
        return 0.01 * tf.reduce_sum(tf.square(kernel))

    for training in (False, True):
        call.get_concrete_function(tf.TensorSpec([None, 4], tf.float32, name="x"), training=training)
    made = tf.train.Checkpoint()
    made.__call__ = call
    made.variables, made.trainable_variables, made.regularization_losses = [kernel, mean], [kernel], [loss]
    x = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
    expected = call(x).numpy()
    tf.saved_model.save(made, str(folder / "tf2"))
    return Kind(
        name=TF2,
        path=folder / "tf2",
        examples={None: ({"x": x}, {"default": expected})},
        signature=None,
        output="default",
        rate=0.1,
    )
