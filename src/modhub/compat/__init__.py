"""What old code expects around modhub: Estimator, the name tensorflow_hub, and TensorFlow as it was in 2018."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modhub.compat import estimator
    from modhub.compat.tensorflow_hub import install_as_tensorflow_hub

__all__ = ["estimator", "install_as_tensorflow_hub"]


# A type checker has the imports above; seeing this too, it would believe in any name.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        if name == "estimator":
            return importlib.import_module("modhub.compat.estimator")
        return getattr(importlib.import_module("modhub.compat.tensorflow_hub"), name)
