"""The modules that other tests build: described as TensorFlow does, and none of them refused by a scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import modhub as hub
from modhub.inspection.inspect import inspect
from modhub.inspection.scan.scanning import scan
from tests.inspection.modules import MODULES
from tests.inspection.tensorflow_side import check_inspection
from tests.peer.constructions import constructions
from tests.peer.exchange import publish
from tests.scan.honest_modules import HONEST

EXCHANGED = constructions(None)


@pytest.mark.parametrize("name", EXCHANGED)
def test_what_is_exchanged_with_the_peer(tmp_path: Path, name: str) -> None:
    publish(hub, tf, EXCHANGED[name], tmp_path)
    check_inspection(inspect(tmp_path / "module"), tmp_path / "module")
    assert scan(tmp_path / "module").refused == ()


@pytest.mark.parametrize("name", HONEST)
def test_what_is_scanned_is_described_too(tmp_path: Path, name: str) -> None:
    HONEST[name](tmp_path / "module")
    check_inspection(inspect(tmp_path / "module"), tmp_path / "module")


@pytest.mark.parametrize("build", MODULES.values(), ids=MODULES)
def test_what_is_described_is_not_refused(tmp_path: Path, build: Callable[[Path], Any]) -> None:
    assert scan(build(tmp_path)).refused == ()
