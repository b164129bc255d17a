"""From a handle to a local directory. No TensorFlow."""

from modhub.resolve.handle import resolve

__all__ = ["resolve"]
