"""A module_fn may use other modules; what it publishes stands on its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import (
    affine,
    collected,
    evaluated,
    lookup,
    loops_of_v1,
    normalizing_spec,
    partitioned,
    publish,
    started,
    summing_loop,
    variable,
)

v1 = tf.compat.v1


@pytest.fixture
def embedder(tmp_path: Path) -> Path:
    """A published module that looks words up in a vocabulary and gives rows of a table."""
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")

    def module_fn() -> None:
        words = v1.placeholder(tf.string, [None])
        ids = hub.Module(hub.create_module_spec(lookup(vocabulary)), name="ids")(words) + 1
        hub.add_signature(inputs=words, outputs=tf.gather(variable("table", [[0.0], [10.0], [20.0]]), ids))

    path = tmp_path / "inner" / "module"
    path.parent.mkdir()
    publish(module_fn, path)
    vocabulary.unlink()
    return path


def scaling(inner: Path, trainable: bool = False) -> Callable[[], None]:
    """Three times what the inner module gives."""

    def module_fn() -> None:
        words = v1.placeholder(tf.string, [None])
        rows = hub.Module(str(inner), trainable=trainable, name="inner")(words)
        hub.add_signature(inputs=words, outputs=rows * variable("scale", 3.0))

    return module_fn


def test_the_inner_module_is_loaded_by_path(graph: tf.Graph, embedder: Path) -> None:
    module = hub.Module(hub.create_module_spec(scaling(embedder)))
    assert sorted(module.variable_map) == ["inner/table", "scale"]
    assert evaluated(module(["b", "z", "a"])).tolist() == [[60.0], [0.0], [30.0]]


def test_the_inner_values_come_from_its_disk(graph: tf.Graph, tmp_path: Path) -> None:
    inner = publish(affine, tmp_path / "inner", {"b": [100.0, 200.0]})

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs=x, outputs=hub.Module(inner)(x))

    module = hub.Module(hub.create_module_spec(module_fn))
    assert sorted(module.variable_map) == ["module/b", "module/w"]
    assert evaluated(module([[0.0, 0.0]])).tolist() == [[100.0, 200.0]]


def test_the_published_module_stands_on_its_own(graph: tf.Graph, embedder: Path, tmp_path: Path) -> None:
    path = publish(scaling(embedder), tmp_path / "outer")
    assert [file.name for file in (tmp_path / "outer" / "assets").iterdir()] == ["words.txt"]
    shutil.rmtree(embedder.parent)
    assert evaluated(hub.Module(path)(["b", "z", "a"])).tolist() == [[60.0], [0.0], [30.0]]


def test_the_published_module_can_move(graph: tf.Graph, embedder: Path, tmp_path: Path) -> None:
    publish(scaling(embedder), tmp_path / "outer")
    moved = shutil.move(tmp_path / "outer", tmp_path / "elsewhere")
    assert evaluated(hub.Module(str(moved))(["b"])).tolist() == [[60.0]]


def test_the_published_module_names_no_directory(embedder: Path, tmp_path: Path) -> None:
    publish(scaling(embedder), tmp_path / "outer")
    for file in (tmp_path / "outer").rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file


@pytest.mark.parametrize("trainable", [False, True])
def test_trainable_variables_of_the_inner_module(graph: tf.Graph, embedder: Path, trainable: bool) -> None:
    module = hub.Module(hub.create_module_spec(scaling(embedder, trainable)), trainable=True)
    inner = ["module/inner/table"] if trainable else []
    assert collected(v1.GraphKeys.TRAINABLE_VARIABLES) == [*inner, "module/scale"]
    assert len(module.variables) == 2


def test_update_ops_and_losses_of_the_inner_module(graph: tf.Graph, tmp_path: Path) -> None:
    inner = publish(normalizing_spec(), tmp_path / "inner")

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs=x, outputs=hub.Module(inner, trainable=True, tags={"train"}, name="inner")(x))

    module = hub.Module(publish(module_fn, tmp_path / "outer"), trainable=True)
    module([[2.0, 4.0]])
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    assert len(updates) == 1
    with started() as session:
        assert session.run(v1.losses.get_regularization_loss()) == 2.5
        session.run(updates)
        assert session.run(module.variable_map["inner/mean"]).tolist() == [1.0, 2.0]


def test_parts_and_loops_of_the_inner_module(graph: tf.Graph, tmp_path: Path) -> None:
    parts = publish(partitioned, tmp_path / "parts")
    with loops_of_v1():
        loop = publish(summing_loop, tmp_path / "loop")

    def module_fn() -> None:
        ids = v1.placeholder(tf.int64, [None])
        hub.add_signature(inputs=ids, outputs=hub.Module(loop, name="loop")(hub.Module(parts, name="rows")(ids)))

    path = publish(module_fn, tmp_path / "outer")
    shutil.rmtree(parts)
    shutil.rmtree(loop)
    module = hub.Module(path)
    assert len(module.variable_map["rows/part/table"]) == 3
    assert evaluated(module([9])).tolist() == [[21.0, 49.0]]


def test_three_levels(graph: tf.Graph, embedder: Path, tmp_path: Path) -> None:
    path: Path = embedder
    for level in range(2):
        path = Path(publish(scaling(path), tmp_path / f"level_{level}"))
    module = hub.Module(str(path))
    assert sorted(module.variable_map) == ["inner/inner/table", "inner/scale", "scale"]
    assert evaluated(module(["b"])).tolist() == [[180.0]]


def test_one_inner_module_applied_twice(graph: tf.Graph, tmp_path: Path) -> None:
    inner = publish(affine, tmp_path / "inner")

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        module = hub.Module(inner)
        hub.add_signature(inputs=x, outputs=module(module(x)))

    module = hub.Module(publish(module_fn, tmp_path / "outer"))
    assert evaluated(module([[1.0, 0.0]])).tolist() == [[6.5, 8.5]]


@pytest.mark.parametrize("control_flow", ["v1", "v2"])
def test_gradients_through_a_loop_of_the_inner_module(
    graph: tf.Graph, request: pytest.FixtureRequest, tmp_path: Path, control_flow: str
) -> None:
    with loops_of_v1():
        loop = publish(summing_loop, tmp_path / "loop")

        def module_fn() -> None:
            x = v1.placeholder(tf.float32, [None, 2])
            hub.add_signature(inputs=x, outputs=2.0 * hub.Module(loop, trainable=True, name="loop")(x))

        path = publish(module_fn, tmp_path / "outer")
    if control_flow == "v1":
        request.getfixturevalue("control_flow_v1")
    module = hub.Module(path)
    x = tf.constant([[1.0, 2.0]])
    y = module(x)
    gradients = tf.gradients(y, [module.variable_map["loop/w"], x])
    with started() as session:
        assert session.run(y).tolist() == [[8.0, 64.0]]
        to_w, to_x = session.run(gradients)
    assert to_w.tolist() == [6.0, 6.0]
    assert to_x.tolist() == [[2.0, 2.0]]
