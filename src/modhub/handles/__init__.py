"""From a handle to a local directory. No TensorFlow."""

from modhub.handles.handle import is_url
from modhub.handles.resolving import find_directory, find_path, resolve

__all__ = ["find_directory", "find_path", "is_url", "resolve"]
