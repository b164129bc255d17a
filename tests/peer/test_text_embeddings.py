"""Modules that export_text_embeddings wrote serve users of tensorflow_hub 0.15.0, and equal the ones that it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub.export.text.exporting import export_text_embeddings
from tests.export.text.module_fns import MATRIX, SENTENCES, VOCABULARY, embedded
from tests.peer.peer import needs_peer, run_peer

pytestmark = needs_peer

OPTIONS = {
    "sentences": {"num_oov_buckets": 3},
    "words": {"preprocess": False},
    "no_buckets": {"num_oov_buckets": 0, "combiner": "mean", "lowercase": True},
    "float16": {"dtype": "float16", "combiner": "sum"},
}
WORDS = ["cat", "", "unknown"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of modules, among them the peer's own, and of what the peer saw of them."""
    folder = tmp_path_factory.mktemp("text_embeddings")
    for name, options in OPTIONS.items():
        export_text_embeddings((VOCABULARY, MATRIX), folder / name, **options)
    export_text_embeddings((["cat", "the"], np.eye(2)), folder / "few", combiner="sum")
    run_peer("text_embeddings.py", str(folder))
    return folder


@pytest.mark.parametrize("name", OPTIONS)
def test_outputs_are_equal_there_and_here(folder: Path, name: str) -> None:
    texts = WORDS if name == "words" else SENTENCES
    expected = embedded(hub, tf, str(folder / name), "default", texts)
    assert np.abs(expected).max() > 0.1
    with np.load(folder / "seen.npz") as seen:
        for way in ("module", "load", "layer"):
            np.testing.assert_allclose(seen[f"{name} {way}"], expected, rtol=1e-6, atol=1e-6, err_msg=way)


def test_the_module_that_the_peer_makes_gives_the_same(folder: Path) -> None:
    with np.load(folder / "seen.npz") as seen:
        for way in ("module", "load", "layer", "gradient"):
            np.testing.assert_array_equal(seen[f"peer {way}"], seen[f"sentences {way}"])
    found = [embedded(hub, tf, str(folder / name), "default", SENTENCES) for name in ("peer", "sentences")]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_reach_the_table_there(folder: Path, name: str) -> None:
    with np.load(folder / "seen.npz") as seen:
        found = seen[f"{name} gradient"]
    (variable,) = hub.inspect(folder / name).variables
    assert found.shape == tuple(variable.shape)
    reached = set(np.flatnonzero(np.abs(found).max(axis=1)))
    assert {1} <= reached
    if OPTIONS[name].get("num_oov_buckets", 1):
        assert reached & set(range(len(VOCABULARY), len(found)))


def test_tokens_and_modules_side_by_side(folder: Path) -> None:
    with np.load(folder / "seen.npz") as seen:
        np.testing.assert_array_equal(seen["sentences tokens"], [MATRIX[1], np.zeros(5), np.zeros(5)])
        np.testing.assert_allclose(seen["beside many"], [(MATRIX[0] + MATRIX[1]) / np.sqrt(2)], rtol=1e-6)
        np.testing.assert_array_equal(seen["beside few"], [[1.0, 1.0]])
        np.testing.assert_array_equal(seen["beside again"], [[1.0, 1.0]])
