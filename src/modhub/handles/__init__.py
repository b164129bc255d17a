"""From a handle to a local directory. No TensorFlow."""

from modhub.handles.handle import find_directory, find_path, is_url, resolve

__all__ = ["find_directory", "find_path", "is_url", "resolve"]
