"""What `modhub run` gives a script of 2018 as `tensorflow`: the v1 API, layers, Estimator, and a part of contrib."""

from __future__ import annotations

from modhub.compat.tf1.importing import install
from modhub.compat.tf1.running import run_module, run_script

__all__ = ["install", "run_module", "run_script"]
