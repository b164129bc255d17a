"""From a handle to a local directory. No TensorFlow."""

from modhub.handles.handle import resolve

__all__ = ["resolve"]
