"""KerasLayer where something else runs: two replicas, tf_keras, another backend, no Keras at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tf_keras

import modhub as hub
from modhub.keras import keras2
from tests.keras.modules import published

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("construction", ["affine", "normalizing_spec", "reusable"])
def test_replicas(tmp_path: Path, construction: str) -> None:
    done = run("-m", "tests.keras.replicas", construction, str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["saved"]
    if construction == "affine":  # its gradients do not depend on which examples are beside each other
        for one, two in zip(found["mirrored"], found["alone"], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5)


def test_with_tf_keras(tmp_path: Path) -> None:
    done = run("-m", "tests.keras.legacy", str(tmp_path), TF_USE_LEGACY_KERAS="1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, passed in found.items() if not passed} == set()
    assert len(found) >= 30


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tf_keras")
def test_layers_in_models_of_the_other_keras(tmp_path: Path) -> None:
    path = published(tmp_path)
    new, old = hub.KerasLayer(path), keras2.KerasLayer(path)
    with pytest.raises(TypeError, match=r"for Keras 3.*TF_USE_LEGACY_KERAS=1"):
        tf_keras.Sequential([new])
    with pytest.raises(ValueError, match=r"for tf_keras.*TF_USE_LEGACY_KERAS was not set"):
        keras.Sequential([old])
    with pytest.raises(hub.errors.GraphError, match="tensor of tf_keras"):
        new(tf_keras.Input([2]))
    with pytest.raises(hub.errors.GraphError, match="tensor of keras"):
        old(keras.Input([2]))


def test_the_class_is_one_name() -> None:
    assert isinstance(hub.KerasLayer(lambda x: x), hub.KerasLayer)
    assert issubclass(hub.KerasLayer, keras.layers.Layer)


def test_another_backend() -> None:
    done = run("-c", "import modhub; modhub.KerasLayer(lambda x: x)", KERAS_BACKEND="numpy")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("modhub.errors.GraphError: Keras ")
    assert "KERAS_BACKEND=tensorflow" in done.stderr


def test_without_keras() -> None:
    hide = "import sys; sys.modules['keras'] = None; import modhub; modhub.KerasLayer"
    done = run("-c", hide)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: modhub.KerasLayer needs Keras, which is not installed")
    assert "pip install keras" in done.stderr
