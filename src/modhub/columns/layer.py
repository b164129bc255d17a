"""A module as the layer that a column keeps, under eager execution."""

from __future__ import annotations

from typing import Any

__all__ = ["keep", "keras_layer"]


def keras_layer(owner: Any, handle: Any, **options: Any) -> Any:
    """Return a KerasLayer of the Keras that a layer is of.

    Args:
      owner: the layer, or None.
      handle: what the KerasLayer is made of.
      **options: its other arguments.
    """
    # Imported here: Keras takes a second, and columns in v1 graphs do without it.
    if any(base.__module__.startswith("tf_keras.") for base in type(owner).__mro__):
        from modhub.keras.keras2 import KerasLayer as OfKeras2

        return OfKeras2(handle, **options)
    from modhub.keras import KerasLayer

    return KerasLayer(handle, **options)


def keep(kept: Any, name: str, owner: Any) -> None:
    """Make a layer, or a list of variables, an attribute of the layer that has the column: they are its own then.

    A StateManager puts what it is given into a mapping of TensorFlow's. Checkpoints find it there, and neither files
    of Keras nor those who train the layer's variables do, as the canned estimators of the v2 API.
    """
    if owner is not None:
        setattr(owner, f"_modhub_{name}", kept)
