"""Which Estimator is there, and on which TensorFlow: what was tried goes on, anything else is refused."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata

import tensorflow as tf

from modhub import errors

__all__ = ["check_versions"]

_ESTIMATOR = "2.15.0"
_FIRST, _LAST = (2, 16), (2, 21)
# tf.io.write_graph passes what protobuf 7 no longer takes; 2.21 does not.
_WITH_OLD_PROTOBUF = (2, 20)
_GET_IT = "pip install 'modhub[estimator]'"


def check_versions() -> None:
    """Raise unless Estimator can be made importable here.

    Raises:
      MissingDependencyError: a package is not installed, or of a version that was not tried.
    """
    if importlib.util.find_spec("tensorflow_estimator") is None:
        raise errors.MissingDependencyError(
            f"Estimator is not installed (there is no tensorflow_estimator). Install it with {_GET_IT}."
        )
    found = _version_of_estimator()
    if found != _ESTIMATOR:
        raise errors.MissingDependencyError(
            f"Estimator has version {found}, and modhub knows what tensorflow-estimator {_ESTIMATOR} lacks on a newer "
            f"TensorFlow, no other: {_GET_IT} brings that version."
        )
    numbers = re.match(r"(\d+)\.(\d+)", tf.__version__)
    if numbers is None or not _FIRST <= (int(numbers[1]), int(numbers[2])) <= _LAST:
        raise errors.MissingDependencyError(
            f"This is TensorFlow {tf.__version__}, and Estimator was tried on {_dotted(_FIRST)} to {_dotted(_LAST)}. "
            f"{_advice(numbers)}"
        )
    protobuf = metadata.version("protobuf")
    if (int(numbers[1]), int(numbers[2])) == _WITH_OLD_PROTOBUF and int(protobuf.partition(".")[0]) >= 7:
        raise errors.MissingDependencyError(
            f"TensorFlow {tf.__version__} fails with protobuf {protobuf} when it writes a graph as text, as it does "
            "for Estimator at the start of each training: pip install 'protobuf<7'."
        )
    if importlib.util.find_spec("tf_keras") is None:
        raise errors.MissingDependencyError(
            "Estimator is made with Keras 2, which is called tf_keras today and is not installed. Install it with "
            f"{_GET_IT}."
        )


def _version_of_estimator() -> str:
    try:
        return metadata.version("tensorflow-estimator")
    except metadata.PackageNotFoundError:
        return "unknown (nothing says which: it was not installed by pip)"


def _advice(numbers: re.Match[str] | None) -> str:
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < _FIRST:
        return "An earlier one has Estimator itself, as tf.estimator."
    return f"Install one of those, or a modhub that knows this one: pip install 'tensorflow<={_dotted(_LAST)}.*'."


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
