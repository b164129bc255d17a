"""Columns give what those of tensorflow_hub 0.15.0 give, with variables of the same names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tf_keras

from modhub import columns
from tests.columns import observed
from tests.columns.modules import pooled, published
from tests.peer.peer import needs_peer, run_peer

pytestmark = [
    needs_peer,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tf_keras"),
]


def test_columns_are_those_of_tensorflow_hub(tmp_path: Path) -> None:
    paths = published(tmp_path / "text"), published(tmp_path / "images", pooled())
    run_peer(observed.__file__, *paths, str(tmp_path / "peer.npz"))
    ours = observed.observe(columns, tf_keras.layers.DenseFeatures, *paths)
    with np.load(tmp_path / "peer.npz") as theirs:
        assert set(theirs.files) == set(ours)
        for name, value in ours.items():
            if ": " in name:
                np.testing.assert_array_equal(value, theirs[name], err_msg=name)
            else:
                np.testing.assert_allclose(value, theirs[name], rtol=1e-6, err_msg=name)
