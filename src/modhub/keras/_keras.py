"""The private Keras symbols that modhub needs, each with its reason.

Tried on Keras 3.15 and tf_keras 2.18 and 2.21. Nothing else in modhub imports from `keras.src`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.src.saving import serialization_lib

__all__ = ["LayerWithOwnLosses", "is_loading_unsafely"]


class LayerWithOwnLosses(keras.Layer):
    """A layer whose regularization losses depend on all its weights together.

    Keras knows losses of one variable (`Variable.regularizer`) and losses of one call (`add_loss`); a publisher's are
    neither: a model has each once, however often the layer is called.
    """

    def own_losses(self) -> list[Any]:
        """Return the losses, computed now."""
        raise NotImplementedError

    def _get_own_losses(self) -> list[Any]:
        return [*super()._get_own_losses(), *self.own_losses()]


def is_loading_unsafely() -> bool:
    """Tell whether a model is being loaded by someone who said safe_mode=False."""
    return serialization_lib.in_safe_mode() is False
