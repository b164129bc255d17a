"""tf.contrib.slim: tf_slim 1.1.0, the same code in a package of its own, given what it misses on this TensorFlow."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from modhub import errors
from modhub.compat.estimator.view import View
from modhub.compat.tf1._tensorflow import names_of_2018
from modhub.compat.tf1.contrib.names import names_from

__all__: list[str] = []

_PACKAGE = "tf_slim"
# Of its parts, those that nothing else of it imports.
_MORE = ("nets", "nets.alexnet", "nets.inception", "nets.overfeat", "nets.resnet_v1", "nets.resnet_v2", "nets.vgg")


def _tf_slim() -> ModuleType:
    """Return tf_slim, in which each reference to a module of TensorFlow leads to one with the names that it had."""
    try:
        slim = importlib.import_module(_PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != _PACKAGE:
            raise
        raise errors.MissingDependencyError(
            "tf.contrib.slim, layers, framework, training and metrics are made of tf_slim, which is not installed: "
            "pip install 'modhub[tf1]'"
        ) from None
    for part in _MORE:
        importlib.import_module(f"{_PACKAGE}.{part}")
    missed = names_of_2018()
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] == _PACKAGE:
            for name, value in vars(module).items():
                if type(value) is ModuleType and value.__name__ in missed:
                    module.__dict__[name] = View(value, missed[value.__name__])
    return slim


tf_slim = _tf_slim()

__getattr__ = names_from("slim", tf_slim, modules=tuple(vars(tf_slim)))
