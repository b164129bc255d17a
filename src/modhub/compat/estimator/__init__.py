"""Estimator on a TensorFlow that came after it: `install` makes it importable, `attach` gives it its old name."""

from __future__ import annotations

from modhub.compat.estimator.attaching import attach
from modhub.compat.estimator.installing import install

__all__ = ["attach", "install"]
