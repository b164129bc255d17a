"""What the reference stack computed with the shared modules, and how results are compared with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

GENUINE = ["nnlm_ref", "resnet_like", "control_flow", "partitioned"]
VARIANTS = [(name, "-") for name in GENUINE] + [("resnet_like", "train")]
PUBLISHED = {"dm21": ["default"], "galmodel_likelihood": ["default"], "reconstruction_decoder": ["reconstructions"]}
RANDOM = {"galmodel_likelihood": ["sample"]}

RTOL, ATOL = 1e-5, 1e-6
# Batch statistics over three images divide by small deviations, which enlarges the rounding of the convolutions before
# them; that depends on the kernel (oneDNN or not, which instruction set): up to 1.2 times the tolerance was measured.
LOOSER = {("resnet_like", "train"): (5e-5, 5e-6)}


def golden(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a golden file."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def inputs_of(arrays: dict[str, np.ndarray], signature: str) -> dict[str, Any]:
    """Return the inputs that a golden file has for a signature, sparse ones put together."""
    prefix = f"in/{signature}/"
    found: dict[str, Any] = {}
    for key, array in arrays.items():
        name, _, part = key.removeprefix(prefix).partition("#")
        if not key.startswith(prefix):
            continue
        if part:
            parts = (arrays[f"{prefix}{name}#{field}"] for field in ("indices", "values", "dense_shape"))
            found[name] = tf.SparseTensor(*parts)
        else:
            found[name] = array
    return found


def outputs_of(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the outputs that a golden file has below a prefix."""
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def tags_of(variant: str) -> set[str]:
    """Return the tag set behind a variant's name in a golden file."""
    return set() if variant == "-" else set(variant.split("+"))


def compare(found: Any, expected: np.ndarray, what: str, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Compare an output with its golden, of a SparseTensor the values."""
    found = getattr(found, "values", found)
    assert found.dtype == expected.dtype, what
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=what)
