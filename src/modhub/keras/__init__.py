"""KerasLayer: a module as a layer of Keras 3, or of tf_keras where that is what `tf.keras` is."""

from modhub.keras.family import KerasLayer

__all__ = ["KerasLayer"]
