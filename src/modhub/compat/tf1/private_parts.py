"""private_parts: `tensorflow.python` as scripts have it, with the names that they take from it and that have moved."""

from __future__ import annotations

import importlib
from types import ModuleType

from modhub.compat.estimator.view import View
from modhub.compat.tf1._tensorflow import names_of_2018

__all__ = ["private_parts"]


def private_parts(name: str = "tensorflow.python") -> ModuleType:
    """Return a module of TensorFlow's private part, in which those below it have the names that they had, too.

    Args:
      name: of the module.
    """
    missed = names_of_2018()
    below = {known.removeprefix(f"{name}.").partition(".")[0] for known in missed if known.startswith(f"{name}.")}
    instead = {part: lambda part=part: private_parts(f"{name}.{part}") for part in below}
    return View(importlib.import_module(name), {**missed.get(name, {}), **instead})
