"""The same program of Estimator trains the same there and here, and either reads what the other has exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub.compat import estimator as compat
from modhub.compat.latest_module_exporter import LatestModuleExporter
from tests.export.digits import data
from tests.peer import estimator
from tests.peer.peer import needs_peer, run_peer

pytestmark = needs_peer


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Return the folder that both have trained in, and what modhub and the peer saw."""
    work = tmp_path_factory.mktemp("estimator")
    x, y = data()
    np.savez(work / "digits.npz", x=x, y=y)
    ours = estimator.train(hub, tf, compat.install(), LatestModuleExporter, work / "modhub", work / "digits.npz")
    run_peer("estimator.py", str(work))
    with np.load(work / "seen.npz") as arrays:
        return work, {name: np.asarray(value) for name, value in ours.items()}, dict(arrays)


@pytest.mark.parametrize("what", ["name", "variables", "returned", "last", "stamps", "files", "nothing"])
def test_exports_are_laid_out_alike(seen: tuple[Path, dict[str, Any], dict[str, Any]], what: str) -> None:
    _, ours, theirs = seen
    assert ours[what].tolist() == theirs[what].tolist()


def test_training_is_the_same(seen: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    _, ours, theirs = seen
    assert ours["losses"].shape == (estimator.STEPS,)
    assert ours["losses"][-1] < ours["losses"][0] / 2
    for what in ("losses", "accuracy", "weights", "features"):
        np.testing.assert_allclose(ours[what], theirs[what], rtol=1e-4, atol=1e-5, err_msg=what)


def test_either_reads_what_the_other_has_exported(seen: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    work, ours, theirs = seen
    x, _ = data()
    for way in ("graph", "eager"):
        np.testing.assert_allclose(theirs[f"ours {way}"], ours["features"], rtol=1e-5, atol=1e-5)
    for found in estimator.computed(hub, tf, estimator.latest(work / "tensorflow_hub"), x).values():
        np.testing.assert_allclose(found, theirs["features"], rtol=1e-5, atol=1e-5)
