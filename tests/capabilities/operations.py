"""The operations of the table: each really does it with a loaded module, and checks what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.capabilities.keras_operations import keras_fit, keras_round_trip
from tests.capabilities.kinds import Kind
from tests.capabilities.libraries import Library
from tests.capabilities.training import (
    check,
    check_changed,
    check_equal,
    gradients_of,
    step,
    trained,
    values_of,
)

__all__ = ["OPERATIONS"]


def load(library: Library, kind: Kind, _folder: Path) -> None:
    """Its variables can be read, and are those of the checkpoint."""
    loaded = library.load(kind.path)
    reader = tf.train.load_checkpoint(str(kind.path / "variables" / "variables"))
    # What a TF2 checkpoint holds beside values are strings and a counter.
    stored = [np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()]
    wanted = sorted(float(np.abs(value).sum()) for value in stored if value.dtype.kind == "f")
    held = sorted(float(np.abs(value).sum()) for value in _whole(kind, values_of(loaded.variables)))
    check_equal(held, wanted, "its variables are not those of the checkpoint")


def infer(library: Library, kind: Kind, _folder: Path) -> None:
    """Every output of every signature is what the publisher's own TensorFlow gave."""
    loaded = library.load(kind.path)
    for signature, (inputs, expected) in kind.examples.items():
        _check_outputs(library.call(loaded, inputs, signature), expected)


def fine_tune(library: Library, kind: Kind, _folder: Path) -> None:
    """Three steps of SGD, with the module's regularization losses, change its weights.

    Where TF1's results are known (the genuine modules), losses and variables are those of TF1.
    """
    loaded = library.load(kind.path, kind.tags)
    before = values_of(trained(loaded))
    losses = [step(library, loaded, kind) for _ in range(3)]
    check_changed(before, values_of(trained(loaded)), changed=True, what="the weights")
    if kind.losses is None:
        return
    for number, (found, expected) in enumerate(zip(losses, kind.losses, strict=True), 1):
        check_equal(found, expected, f"the loss of step {number} is not that of TF1")
    found = sorted(float(np.abs(value).sum()) for value in _whole(kind, values_of(loaded.variables)))
    expected = sorted(float(np.abs(value).sum()) for value in kind.after.values())
    check_equal(found, expected, "the variables are not those of TF1")


def _whole(kind: Kind, values: list[np.ndarray]) -> list[np.ndarray]:
    return [np.concatenate(values)] if kind.name == "partitioned" else values


class _Doubled(tf.Module):
    """A new module made of one that was loaded: its output, times two."""

    def __init__(self, library: Library, loaded: Any, kind: Kind) -> None:
        super().__init__()
        self.loaded = loaded
        self.two = tf.Variable(2.0, name="two")
        specs = {
            name: tf.TensorSpec([None, *np.shape(value)[1:]] if np.ndim(value) else [], _dtype(value))
            for name, value in kind.inputs.items()
        }

        @tf.function(input_signature=[specs], autograph=False)
        def call(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return {"doubled": self.two * library.call(loaded, inputs, kind.signature)[kind.output]}

        self.doubled = call


def _dtype(value: Any) -> tf.DType:
    return tf.string if np.asarray(value).dtype.kind in "SO" else tf.dtypes.as_dtype(np.asarray(value).dtype)


def create(library: Library, kind: Kind, folder: Path) -> None:
    """A new `tf.Module` that doubles its output is published, and loaded again.

    By `hub.export_module` of modhub; of tensorflow_hub, which writes no modules any more, as a TF2 SavedModel.
    """
    made = _Doubled(library, library.load(kind.path), kind)
    library.publish(made, made.doubled, folder / "made")
    found = library.call_published(library.load(folder / "made"), kind.inputs)["doubled"]
    check_equal(found, 2 * kind.expected, "what was published gives other outputs")


def export(library: Library, kind: Kind, folder: Path) -> None:
    """Published again in the TF1 Hub format with changed weights, and loaded, it gives what it gave before."""
    loaded = library.load(kind.path, kind.tags)
    _move(loaded)
    library.export(loaded, folder / "exported")
    check((folder / "exported" / "tfhub_module.pb").is_file(), "the directory is no module")
    again = library.load(folder / "exported", kind.tags)
    signature = kind.signature or "default"
    found = library.call(again, _keyed(kind, again, signature), signature)
    check_equal(
        found[kind.output],
        library.call(loaded, kind.inputs, kind.signature)[kind.output],
        "what was exported gives other outputs",
    )


def _keyed(kind: Kind, again: Any, signature: str) -> dict[str, Any]:
    """Return the inputs by the names that they have in an exported module."""
    names = again.get_input_info_dict(signature)
    return dict(zip(names, kind.inputs.values(), strict=True)) if len(names) == 1 else kind.inputs


def _move(loaded: Any) -> None:
    """Change the weights a little."""
    for variable in trained(loaded):
        variable.assign(0.9 * tf.convert_to_tensor(variable))


def saved_model(library: Library, kind: Kind, folder: Path) -> None:
    """`tf.saved_model.save` of it, with changed weights, gives the same to plain TensorFlow: by its signatures, or by a
    call of it where TensorFlow refuses to save signatures with such names of inputs ("tensor_dict$rho").
    """
    loaded = library.load(kind.path)
    _move(loaded)
    legal = all(name.isidentifier() for name in kind.inputs)
    signatures = loaded.signatures if kind.signature and (legal or not callable(loaded)) else None
    tf.saved_model.save(loaded, str(folder / "saved"), signatures=signatures)
    plain = tf.saved_model.load(str(folder / "saved"))
    inputs = {key: tf.constant(value) for key, value in kind.inputs.items()}
    if signatures is not None:
        found = plain.signatures[kind.signature](**inputs)
    else:
        given = plain(next(iter(inputs.values())) if len(inputs) == 1 else inputs)
        found = given if isinstance(given, dict) else {"default": given}
    expected = library.call(loaded, kind.inputs, kind.signature)
    check_equal(found[kind.output], expected[kind.output], "what was saved gives other outputs")


def function(library: Library, kind: Kind, _folder: Path) -> None:
    """Outputs and gradients in a tf.function are those outside of it."""
    loaded = _load_to_train(library, kind)

    @tf.function(autograph=False)
    def traced(inputs: Any) -> Any:
        return library.call(loaded, inputs, kind.signature), gradients_of(library, loaded, kind, inputs, training=False)

    outputs, (_, gradients) = traced(_tensors(kind))
    _check_outputs(outputs, kind.examples[kind.signature][1])
    _check_gradients(library, loaded, kind, gradients, factor=1)


def dataset_map(library: Library, kind: Kind, _folder: Path) -> None:
    """Outputs in Dataset.map are the known ones."""
    loaded = library.load(kind.path)
    dataset = tf.data.Dataset.from_tensors(_tensors(kind)).map(
        lambda inputs: library.call(loaded, inputs, kind.signature), num_parallel_calls=2
    )
    (outputs,) = dataset
    _check_outputs(outputs, kind.examples[kind.signature][1])


def control_flow(library: Library, kind: Kind, _folder: Path) -> None:
    """Outputs and gradients through tf.cond and tf.while_loop in a tf.function are those outside of it."""
    loaded = _load_to_train(library, kind)

    def one(inputs: Any) -> Any:
        return library.call(loaded, inputs, kind.signature)[kind.output]

    @tf.function(autograph=False)
    def traced(inputs: Any, take: Any) -> Any:
        with tf.GradientTape() as tape:
            branch = tf.cond(take, lambda: one(inputs), lambda: tf.zeros(kind.expected.shape))
            _, total = tf.while_loop(
                lambda count, _: count < 2,
                lambda count, total: (count + 1, total + tf.reshape(one(inputs), kind.expected.shape)),
                (0, tf.zeros(kind.expected.shape)),
            )
            loss = tf.reduce_mean(tf.square(branch)) + tf.reduce_mean(tf.square(total))
        gradients = tape.gradient(loss, trained(loaded), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return branch, total, [tf.convert_to_tensor(gradient) for gradient in gradients]

    branch, total, gradients = traced(_tensors(kind), tf.constant(True))
    check_equal(branch, kind.expected, "tf.cond gives other outputs")
    check_equal(total, 2 * kind.expected, "tf.while_loop gives other outputs")
    _check_gradients(library, loaded, kind, gradients, factor=5)


def strategy(library: Library, kind: Kind, _folder: Path) -> None:
    """A step on two replicas that get the same inputs changes the variables as one without a strategy does."""
    alone = _load_to_train(library, kind, kind.tags)
    step(library, alone, kind)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with mirrored.scope():
        loaded = library.load(kind.path, kind.tags)
    inputs = _tensors(kind)

    @tf.function(autograph=False)
    def replicated() -> Any:
        return mirrored.run(lambda: gradients_of(library, loaded, kind, inputs, training=True)[1])

    for variable, gradient in zip(trained(loaded), replicated(), strict=True):
        mean = mirrored.reduce(tf.distribute.ReduceOp.MEAN, gradient, axis=None)
        variable.assign_sub(kind.rate * mean)
    for variable in trained(loaded):
        replicas = mirrored.experimental_local_results(variable)
        check(len(replicas) == 2, "its variables are not mirrored: the replicas share those of one device")
        check_equal(*replicas, "the replicas differ")
    for found, wanted in zip(values_of(loaded.variables), values_of(alone.variables), strict=True):
        check_equal(found, wanted, "the variables are not those of a step without a strategy")


def _load_to_train(library: Library, kind: Kind, tags: Sequence[str] = ()) -> Any:
    loaded = library.load(kind.path, tags)
    values_of(loaded.variables)  # what cannot be read says so here, and in many ways later
    return loaded


def _tensors(kind: Kind) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in kind.inputs.items()}


def _check_outputs(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        check_equal(found[name], value, "outputs are not the known ones")


def _check_gradients(library: Library, loaded: Any, kind: Kind, found: list[Any], factor: float) -> None:
    _, expected = gradients_of(library, loaded, kind, kind.inputs, training=False)
    check(any(np.any(gradient) for gradient in expected), "there are no gradients")
    for one, other in zip(found, expected, strict=True):
        scale = float(np.abs(other).max(initial=0)) * factor
        check_equal(one, factor * other, "gradients are not those outside of it", atol=1e-4 * scale + 1e-6)


OPERATIONS: dict[str, Callable[[Library, Kind, Path], None]] = {
    "load": load,
    "infer": infer,
    "fine-tune": fine_tune,
    "create": create,
    "export": export,
    "save as TF2 SavedModel": saved_model,
    "tf.function": function,
    "Dataset.map": dataset_map,
    "cond/while v2": control_flow,
    "strategy": strategy,
    "Keras 3 fit": keras_fit,
    "`.keras` round trip": keras_round_trip,
}
