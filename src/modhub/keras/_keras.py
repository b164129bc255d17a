"""The private Keras symbols that modhub needs, each with its reason.

Tried on Keras 3.15 and tf_keras 2.18 and 2.21. Nothing else in modhub imports from `keras.src`.
"""

from __future__ import annotations

from keras.src.saving import serialization_lib

__all__ = ["is_loading_unsafely"]


def is_loading_unsafely() -> bool:
    """Tell whether a model is being loaded by someone who said safe_mode=False."""
    return serialization_lib.in_safe_mode() is False
