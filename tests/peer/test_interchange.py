"""What modhub exports tensorflow_hub 0.15.0 loads, and the reverse, with equal outputs, gradients and facts.

The other side runs on TensorFlow 2.15.1 in an environment of its own, which `make test-peer` prepares and names in
MODHUB_PEER_PYTHON. Every construction is exported by both sides and loaded by both; what tensorflow_hub makes of its
own export is what the other three are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.peer.constructions import constructions
from tests.peer.exchange import Observation, compute_as_saved_model, load_observation, observe_all, publish_all
from tests.peer.peer import needs_peer, run_peer

GENUINE = Path(__file__).resolve().parents[3] / "shared" / "modules" / "genuine"
EXCHANGED = constructions(GENUINE if GENUINE.is_dir() else None)

pytestmark = needs_peer


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the exchange, after both sides have taken part in it."""
    work = tmp_path_factory.mktemp("exchange")
    publish_all(hub, tf, EXCHANGED, work)
    run_peer("peer_side.py", str(work), *([str(GENUINE)] if GENUINE.is_dir() else []))
    observe_all(hub, tf, EXCHANGED, work)
    return work


@pytest.mark.parametrize("publisher", ["modhub", "tensorflow_hub"])
@pytest.mark.parametrize("name", EXCHANGED)
def test_export_computes_what_its_session_did(work: Path, name: str, publisher: str) -> None:
    seen = _observation(work, publisher, name, reader=publisher)
    with np.load(work / publisher / name / "session.npz") as session:
        assert session.files
        _assert_equal({key: seen.arrays[key] for key in session.files}, dict(session))


@pytest.mark.parametrize(
    ("publisher", "reader"), [("modhub", "tensorflow_hub"), ("tensorflow_hub", "modhub"), ("modhub", "modhub")]
)
@pytest.mark.parametrize("name", EXCHANGED)
def test_every_pair_agrees(work: Path, name: str, publisher: str, reader: str) -> None:
    expected = _observation(work, "tensorflow_hub", name, reader="tensorflow_hub")
    seen = _observation(work, publisher, name, reader=reader)
    assert seen.facts == expected.facts
    _assert_equal(seen.arrays, expected.arrays)


@pytest.mark.parametrize("name", EXCHANGED)
def test_tensorflow_reads_what_modhub_exported(work: Path, name: str) -> None:
    _observation(work, "modhub", name, reader="modhub")
    folder = work / "modhub" / name
    with np.load(folder / "session.npz") as session:
        _assert_equal(compute_as_saved_model(tf, EXCHANGED[name], folder / "module"), dict(session))


def _observation(work: Path, publisher: str, name: str, *, reader: str) -> Observation:
    """Return what the reader saw in the publisher's module; fail with the traceback of what kept it from that."""
    folder = work / publisher / name
    for note in (folder / "publishing failed.txt", folder / f"seeing by {reader} failed.txt"):
        assert not note.exists(), note.read_text()
    return load_observation(folder / f"seen by {reader}")


def _assert_equal(seen: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert seen.keys() == expected.keys()
    # Gradients cancel: of a bias under batch norm only rounding is left, and that goes with the others' size. Two
    # releases of TensorFlow differ by as much in one and the same graph.
    largest: dict[str, float] = {}
    for key, value in expected.items():
        call, _, name = key.rpartition("|")
        if name.startswith("gradient of"):
            largest[call] = max(largest.get(call, 0.0), float(np.max(np.abs(value), initial=0.0)))
    for key, value in expected.items():
        call, _, name = key.rpartition("|")
        atol = 1e-6 + (1e-6 * largest[call] if name.startswith("gradient of") else 0.0)
        if value.dtype.kind == "f":
            np.testing.assert_allclose(seen[key], value, rtol=1e-5, atol=atol, err_msg=key)
        else:
            np.testing.assert_array_equal(seen[key], value, err_msg=key)
