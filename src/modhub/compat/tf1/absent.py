"""Errors for names of TensorFlow 1 that scripts cannot have: what each was, and what does its work now."""

from __future__ import annotations

import re

from modhub import errors
from modhub.compat.tf1.advice import ADVICE

__all__ = ["not_a_module", "not_an_attribute"]

# A part of contrib, and the folder in which its files were.
_IN_FILES = re.compile(r"^(tf\.contrib\.\w+)\.python\.\w+")


def not_an_attribute(module: str, name: str) -> AttributeError:
    """Return the error for `module.name`, such as `tensorflow.contrib` and `rnn`."""
    if name.startswith("__"):  # Python asks for such names itself, and reads no message
        return AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
    error = errors.NotCoveredNameError(_message(f"{module}.{name}"))
    error.name = name
    return error


def not_a_module(name: str) -> errors.NotCoveredImportError:
    """Return the error for an import of a name, such as "tensorflow.contrib.rnn"."""
    error = errors.NotCoveredImportError(_message(name))
    error.name = name
    return error


def _message(name: str) -> str:
    """Say of a name what to do; the longest beginning of it that is in the table tells most."""
    short = name.replace("tensorflow", "tf", 1)
    parts = _IN_FILES.sub(r"\1", short).split(".")
    beginnings = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    advice = next((ADVICE[beginning] for beginning in beginnings if beginning in ADVICE), None)
    if advice is None:
        advice = "It is in neither TensorFlow 1.15 nor what became of that in today's TensorFlow (tf.compat.v1)."
    return f"{short} is not there under `modhub run`. {advice}"
