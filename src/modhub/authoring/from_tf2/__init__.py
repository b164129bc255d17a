"""Modules made of what TF2 makes: tf.Modules, functions, Keras models."""

from modhub.authoring.from_tf2.publishing import export_module

__all__ = ["export_module"]
