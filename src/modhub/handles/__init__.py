"""From a handle to a local directory. No TensorFlow."""

from modhub.handles.handle import find_directory, resolve

__all__ = ["find_directory", "resolve"]
