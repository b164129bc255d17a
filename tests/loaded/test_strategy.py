"""A module under a distribution strategy trains as on one device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.loaded.replicas import IMAGES, RATE, loss_of

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def path(shared_modules: Path) -> Path:
    return shared_modules / "genuine" / "resnet_like" / "module"


@pytest.fixture(scope="module")
def replicas(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the process with two replicas wrote."""
    folder = tmp_path_factory.mktemp("replicas")
    script = Path(__file__).with_name("replicas.py")
    done = subprocess.run([sys.executable, script, path, folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def trained(path: Path) -> tuple[hub.LoadedModule, float]:
    """The module after the same step on one device, and its loss."""
    module = hub.load(path)
    variables = module.trainable_variables
    with tf.GradientTape() as tape:
        loss = loss_of(module, tf.constant(IMAGES)) + tf.add_n([each() for each in module.regularization_losses])
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if gradient is not None:
            variable.assign_sub(RATE * gradient)
    return module, float(loss)


def test_a_step_is_that_of_one_device(replicas: Path, trained: tuple[hub.LoadedModule, float]) -> None:
    module, loss = trained
    with np.load(replicas / "found.npz") as found:
        np.testing.assert_allclose(found["loss"], loss, **TOLERANCE)
        for key, variable in module.variable_map.items():
            for replica in range(2):
                value = found[f"variable/{key}/{replica}"]
                np.testing.assert_allclose(value, variable.numpy(), err_msg=key, **TOLERANCE)


@pytest.mark.parametrize("place", ["outside", "in the scope", "in a replica"])
def test_it_is_applied_inside_and_outside(replicas: Path, trained: tuple[hub.LoadedModule, float], place: str) -> None:
    with np.load(replicas / "found.npz") as found:
        np.testing.assert_allclose(found[place], trained[0](IMAGES).numpy(), rtol=1e-5, atol=1e-5)


def test_updates_outside_of_the_replicas_are_refused(replicas: Path) -> None:
    with np.load(replicas / "found.npz") as found:
        assert "strategy.run()" in str(found["refused"])


def test_it_is_saved_in_both_formats(replicas: Path, trained: tuple[hub.LoadedModule, float]) -> None:
    expected = trained[0](IMAGES).numpy()
    np.testing.assert_allclose(hub.load(replicas / "module")(IMAGES).numpy(), expected, rtol=1e-5, atol=1e-5)
    saved = tf.saved_model.load(str(replicas / "saved_model"))
    np.testing.assert_allclose(saved(IMAGES).numpy(), expected, rtol=1e-5, atol=1e-5)
