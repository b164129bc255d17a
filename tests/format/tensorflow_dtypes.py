"""The numbers of the dtypes that bundles and constants hold, and that the running TensorFlow knows."""

from __future__ import annotations

import pytest

from modhub.format.dtypes import ITEM_BYTES, STRING

tf = pytest.importorskip("tensorflow")

__all__ = ["KNOWN_DTYPES"]


def _is_known(number: int) -> bool:
    # TensorFlow 2.19 to 2.21 added small integers and floats.
    try:
        tf.dtypes.as_dtype(number)
    except TypeError:
        return False
    return True


KNOWN_DTYPES = [number for number in (STRING, *ITEM_BYTES) if _is_known(number)]
