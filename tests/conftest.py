"""Fixtures that the whole suite shares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import tensorflow as tf

ROOT = Path(__file__).resolve().parents[1]
SHARED_MODULES = ROOT.parent / "shared" / "modules"
_OF_THE_SUITE = ("MODHUB_FUZZ_EXAMPLES", "MODHUB_PEER_PYTHON")

# Tests are imported by path (importlib mode), and what they share as `tests.constructions`.
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def shared_modules() -> Path:
    """The folder of modules that others wrote; it lies beside the checkout, not in it."""
    if not SHARED_MODULES.is_dir():
        pytest.skip("../shared/modules is not here")
    return SHARED_MODULES


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests, and the processes that they start, away from the cache and the settings of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("MODHUB_", "TFHUB_"))]:
            if name not in _OF_THE_SUITE:
                patch.delenv(name)
        patch.setenv("TFHUB_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MODHUB_CONFIG", "")
        yield


# TensorFlow is imported inside the fixtures: the tests that do without it must stay quick to start.
@pytest.fixture
def graph() -> Iterator[tf.Graph]:
    """A new graph, the default one for the length of the test."""
    import tensorflow as tf

    with tf.Graph().as_default() as new:
        yield new


@pytest.fixture
def control_flow_v1() -> Iterator[None]:
    """Build loops and conditionals as TF1 did (Enter, Exit, Switch, Merge) for the length of the test."""
    import tensorflow as tf

    tf.compat.v1.disable_control_flow_v2()
    yield
    tf.compat.v1.enable_control_flow_v2()
