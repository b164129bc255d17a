"""How modhub and tensorflow_hub 0.16.1 are used, each in its documented way, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from tests.capabilities.kinds import Kind

__all__ = ["LIBRARIES", "Library"]

Outputs = dict[str, Any]


class Library(Protocol):
    """A library. `loaded` is what its `load` returned for the kind."""

    # The Keras that the documentation of its KerasLayer builds models with.
    keras: str

    def load(self, path: Path, tags: Sequence[str] = ()) -> Any:
        """Load a module."""

    def call(self, loaded: Any, inputs: dict[str, Any], signature: str | None, training: bool = False) -> Outputs:
        """Return all outputs of a signature, or of the object itself, as {"default": ...}, for None."""

    def losses(self, loaded: Any) -> list[Callable[[], Any]]:
        """Return the publisher's regularization losses."""

    def publish(self, made: tf.Module, function: Any, path: Path) -> None:
        """Publish something made in TF2, with one of its tf.functions as the signature "default"."""

    def call_published(self, loaded: Any, inputs: dict[str, Any]) -> Outputs:
        """Call what was published that way."""

    def export(self, loaded: Any, path: Path) -> None:
        """Publish what was loaded in the TF1 Hub format, with the weights of now."""

    def can_train(self, kind: Kind) -> bool:
        """Return whether its KerasLayer says that it can be trained."""

    def layer(self, kind: Kind, arguments: dict[str, Any], *, trainable: bool) -> Any:
        """Return a layer of Keras of the kind's one output."""


def _call_saved_model(loaded: Any, inputs: dict[str, Any], training: bool) -> Outputs:
    (x,) = inputs.values()
    return {"default": loaded(tf.convert_to_tensor(x), training=training)}


def _layer(hub: Any, kind: Kind, arguments: dict[str, Any], trainable: bool) -> Any:
    options: dict[str, Any] = {"arguments": arguments} if arguments else {}
    if kind.signature is not None and (kind.signature, kind.output) != ("default", "default"):
        options |= {"signature": kind.signature, "output_key": kind.output}
    return hub.KerasLayer(str(kind.path), trainable=trainable, output_shape=list(kind.expected.shape[1:]), **options)


class Modhub:
    """modhub."""

    keras = "keras"

    def __init__(self) -> None:
        import modhub

        self._hub = modhub

    def load(self, path: Path, tags: Sequence[str] = ()) -> Any:
        # A call with training=True takes the variant {"train"} by itself.
        return self._hub.load(path, tags=None if tuple(tags) == ("train",) else tags or None)

    def call(self, loaded: Any, inputs: dict[str, Any], signature: str | None, training: bool = False) -> Outputs:
        if signature is None:
            return _call_saved_model(loaded, inputs, training)
        return loaded(inputs, training=training, signature=signature, as_dict=True)

    def losses(self, loaded: Any) -> list[Callable[[], Any]]:
        return list(loaded.regularization_losses)

    def publish(self, made: tf.Module, function: Any, path: Path) -> None:
        self._hub.export_module(made, path, signatures={"default": function})

    def call_published(self, loaded: Any, inputs: dict[str, Any]) -> Outputs:
        return loaded(inputs, as_dict=True)

    def export(self, loaded: Any, path: Path) -> None:
        if isinstance(loaded, self._hub.LoadedModule):
            loaded.export(path)
        else:
            self._hub.export_module(loaded, path)

    def can_train(self, kind: Kind) -> bool:
        return True

    def layer(self, kind: Kind, arguments: dict[str, Any], *, trainable: bool) -> Any:
        return _layer(self._hub, kind, arguments, trainable)


class TensorflowHub:
    """tensorflow_hub 0.16.1."""

    keras = "tf_keras"

    def __init__(self) -> None:
        import tensorflow_hub

        self._hub = tensorflow_hub

    def load(self, path: Path, tags: Sequence[str] = ()) -> Any:
        return self._hub.load(str(path), tags=list(tags) or None)

    def call(self, loaded: Any, inputs: dict[str, Any], signature: str | None, training: bool = False) -> Outputs:
        if signature is None:
            return _call_saved_model(loaded, inputs, training)
        return loaded.signatures[signature](**{name: tf.convert_to_tensor(value) for name, value in inputs.items()})

    def losses(self, loaded: Any) -> list[Callable[[], Any]]:
        return list(getattr(loaded, "regularization_losses", ()))

    def publish(self, made: tf.Module, function: Any, path: Path) -> None:
        tf.saved_model.save(made, str(path))  # as its documentation says, since it writes no modules any more

    def call_published(self, loaded: Any, inputs: dict[str, Any]) -> Outputs:
        return loaded.doubled({name: tf.convert_to_tensor(value) for name, value in inputs.items()})

    def export(self, loaded: Any, path: Path) -> None:
        self._hub.create_module_spec_from_saved_model  # noqa: B018  gone since 0.16, as is Module.export

    def can_train(self, kind: Kind) -> bool:
        return kind.signature is None  # it refuses trainable=True for TF1 modules and for signatures

    def layer(self, kind: Kind, arguments: dict[str, Any], *, trainable: bool) -> Any:
        return _layer(self._hub, kind, arguments, trainable)


LIBRARIES: dict[str, Callable[[], Library]] = {"modhub": Modhub, "tensorflow_hub": TensorflowHub}
