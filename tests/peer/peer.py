"""The other interpreter: tensorflow_hub 0.15.0 on TensorFlow 2.15, which MODHUB_PEER_PYTHON names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

__all__ = ["needs_peer", "run_peer", "start_peer"]

_PYTHON = os.environ.get("MODHUB_PEER_PYTHON")

needs_peer = pytest.mark.skipif(
    not _PYTHON, reason="MODHUB_PEER_PYTHON names no interpreter with tensorflow-hub 0.15.0: run make test-peer"
)


def start_peer(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script, by its path or by the name that it has in this folder."""
    assert _PYTHON
    # Our own packages must not reach the other interpreter.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.Popen(
        [_PYTHON, "-W", "ignore", str(Path(__file__).parent / script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_peer(script: str, *arguments: str) -> str:
    """Run a script to its end, and return what it prints."""
    with start_peer(script, *arguments) as peer:
        try:
            out, err = peer.communicate(timeout=600)
        except BaseException:
            peer.kill()
            raise
    assert peer.returncode == 0, err
    return out
