"""Which variables are trained: freeze, unfreeze, and trainable= of hub.load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import doubling, normalizing_spec, publish, v1, variable
from tests.refusals import refused


def blocks() -> None:
    """x -> ((x * a) * b) * c, with weights block1/a, block1/b, block2/c."""
    x = v1.placeholder(tf.float32, [None])
    y = x * variable("block1/a", 1.0) * variable("block1/b", 2.0) * variable("block2/c", 3.0)
    hub.add_signature(inputs=x, outputs=y)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return publish(blocks, tmp_path / "m")


def trained(module: hub.LoadedModule) -> list[str]:
    return [variable.name.removesuffix(":0") for variable in module.trainable_variables]


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        (None, ["block1/a", "block1/b", "block2/c"]),
        (True, ["block1/a", "block1/b", "block2/c"]),
        (False, []),
        ("block2/*", ["block2/c"]),
        ("*/[ac]", ["block1/a", "block2/c"]),
        (["block1/a", "block2/*"], ["block1/a", "block2/c"]),
    ],
)
def test_trainable_chooses(path: str, trainable: Any, expected: list[str]) -> None:
    module = hub.load(path, trainable=trainable)
    assert trained(module) == expected
    with tf.GradientTape() as tape:
        module([1.0])
    assert sorted(variable.name.removesuffix(":0") for variable in tape.watched_variables()) == expected


def test_freeze_and_unfreeze(path: str) -> None:
    module = hub.load(path)
    module.freeze("block1/*")
    assert trained(module) == ["block2/c"]
    with tf.GradientTape() as tape:
        module([1.0])
    assert [variable.name for variable in tape.watched_variables()] == ["block2/c:0"]
    module.unfreeze("block1/a")
    assert trained(module) == ["block1/a", "block2/c"]
    module.freeze()
    assert trained(module) == []
    module.unfreeze()
    assert trained(module) == ["block1/a", "block1/b", "block2/c"]


def test_statistics_are_never_trained(tmp_path: Path) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"))
    module.unfreeze("*")
    assert trained(module) == ["gamma"]


def test_patterns_that_match_nothing(path: str) -> None:
    module = hub.load(path)
    with refused(hub.errors.InvalidArgumentError, says=("'blok1/*'", "block1/a")):
        module.freeze("blok1/*")
    assert len(module.trainable_variables) == 3
    with refused(hub.errors.InvalidArgumentError, ValueError, says=("'blok1/*'", "block1/a")):
        hub.load(path, trainable="blok1/*")
    with refused(hub.errors.InvalidArgumentError, says=("blockx",)):
        hub.load(path, trainable=["block1/*", "blockx"])
    with refused(hub.errors.InvalidArgumentError, says=("3",)):
        hub.load(path, trainable=[3])


def test_nothing_to_train(tmp_path: Path) -> None:
    path = publish(doubling, tmp_path / "m")
    with refused(hub.errors.InvalidArgumentError, says=("trainable=True", "no trainable variables")):
        hub.load(path, trainable=True)
    assert hub.load(path).trainable_variables == ()
