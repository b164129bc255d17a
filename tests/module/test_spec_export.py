"""What a spec publishes where no checkpoint is given: initial values, or those that it was published with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import (
    WEIGHTS,
    affine,
    doubling,
    evaluated,
    lookup,
    normalizing_spec,
    partitioned,
    publish,
    variable,
)

v1 = tf.compat.v1

MODES = {"eager": contextlib.nullcontext, "graph": lambda: tf.Graph().as_default()}


def stored(path: Path | str) -> dict[str, Any]:
    """Return the variables of a published module, by the names in its checkpoint."""
    reader = tf.train.load_checkpoint(f"{path}/variables/variables")
    return {name: reader.get_tensor(name).tolist() for name in reader.get_variable_to_shape_map()}


@pytest.mark.parametrize("mode", MODES)
def test_initial_values_are_published(tmp_path: Path, mode: str) -> None:
    with MODES[mode]():
        hub.create_module_spec(affine).export(tmp_path / "module")
    assert stored(tmp_path / "module")["w"] == WEIGHTS.tolist()
    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "module"))
        np.testing.assert_allclose(evaluated(module([[1.0, 0.0]])), [[1.5, 1.5]])


def test_in_a_function_that_is_being_traced(tmp_path: Path) -> None:
    @tf.function(autograph=False)
    def traced() -> tf.Tensor:
        hub.create_module_spec(affine).export(tmp_path / "module")
        return tf.constant(1)

    traced()
    assert stored(tmp_path / "module")["w"] == WEIGHTS.tolist()


def test_the_users_graph_is_left_alone(graph: tf.Graph, tmp_path: Path) -> None:
    hub.create_module_spec(affine).export(tmp_path / "module")
    assert graph.get_operations() == []
    assert graph.get_all_collection_keys() == []


def test_all_variants_are_published(tmp_path: Path) -> None:
    normalizing_spec().export(tmp_path / "module")
    assert stored(tmp_path / "module") == {"gamma": [1.0, 2.0], "mean": [0.0, 0.0]}
    assert set(hub.load_module_spec(tmp_path / "module").get_tags()) == {frozenset(), frozenset({"train"})}


def test_parts_are_published(tmp_path: Path) -> None:
    hub.create_module_spec(partitioned).export(tmp_path / "module")
    assert stored(tmp_path / "module")["part/table"] == np.arange(20.0).reshape(10, 2).tolist()


def test_random_initializers_run_once(tmp_path: Path) -> None:
    def module_fn() -> None:
        first = v1.get_variable("first", [100])
        second = v1.get_variable("second", initializer=lambda: 2.0 * first.initial_value)
        hub.add_signature(outputs=first + second)

    hub.create_module_spec(module_fn).export(tmp_path / "module")
    values = stored(tmp_path / "module")
    assert np.ptp(values["first"]) > 0.0
    assert values["second"] == (2.0 * np.float32(values["first"])).tolist()


def test_a_module_without_variables_is_published(tmp_path: Path) -> None:
    hub.create_module_spec(doubling).export(tmp_path / "module")
    assert not (tmp_path / "module" / "variables").exists()
    with tf.Graph().as_default():
        assert evaluated(hub.Module(str(tmp_path / "module"))([1.0])).tolist() == [2.0]


def test_assets_are_published(tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("red\ngreen\n")
    hub.create_module_spec(lookup(vocabulary)).export(tmp_path / "module")
    vocabulary.unlink()
    with tf.Graph().as_default():
        assert evaluated(hub.Module(str(tmp_path / "module"))(["green", "blue"])).tolist() == [1, -1]


def test_an_initial_value_may_be_looked_up(tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("red\ngreen\n")

    def module_fn() -> None:
        columns = tf.lookup.TextFileIndex
        lines = tf.lookup.TextFileInitializer(
            str(vocabulary), tf.string, columns.WHOLE_LINE, tf.int64, columns.LINE_NUMBER
        )
        table = tf.lookup.StaticHashTable(lines, -1)
        hub.add_signature(outputs=v1.get_variable("row", initializer=lambda: table.lookup(tf.constant(["green"]))))

    hub.create_module_spec(module_fn).export(tmp_path / "module")
    assert stored(tmp_path / "module") == {"row": [1]}


@pytest.mark.parametrize(
    ("module", "changed"),
    [(affine, {"b": [7.0, 8.0]}), (partitioned, {}), (normalizing_spec, {"mean": [0.5, 0.5]})],
    ids=["affine", "partitioned", "two variants"],
)
def test_a_published_module_keeps_its_values(
    tmp_path: Path, module: Callable[[], Any], changed: dict[str, list[float]]
) -> None:
    first = publish(module() if module is normalizing_spec else module, tmp_path / "first", changed)
    hub.load_module_spec(first).export(tmp_path / "second")
    assert stored(tmp_path / "second") == {**stored(first), **changed}
    assert hub.load_module_spec(tmp_path / "second").get_tags() == hub.load_module_spec(first).get_tags()


def test_a_saved_model_keeps_its_values(tmp_path: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        y = x * variable("w", 3.0)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "saved_model"), {"x": x}, {"default": y})
    spec = hub.create_module_spec_from_saved_model(str(tmp_path / "saved_model"))
    spec.export(tmp_path / "module")
    assert stored(tmp_path / "module") == {"w": 3.0}


def test_damaged_values_are_not_copied(tmp_path: Path) -> None:
    first = Path(publish(affine, tmp_path / "first"))
    data = first / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    with pytest.raises(errors.CorruptModuleError, match="checksum"):
        hub.load_module_spec(first).export(tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_an_initializer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def module_fn() -> None:
        fed = v1.placeholder(tf.float32, [])
        hub.add_signature(outputs=v1.get_variable("v", initializer=fed + 1.0))

    with pytest.raises(errors.ExportError, match="checkpoint_path="):
        hub.create_module_spec(module_fn).export(tmp_path / "new" / "module")
    assert list(tmp_path.iterdir()) == []


def test_a_transformation_of_names_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="pass checkpoint_path"):
        hub.create_module_spec(affine).export(tmp_path / "module", name_transform_fn=str.upper)


def test_an_existing_target_is_refused(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    with pytest.raises(errors.ExportExistsError):
        hub.create_module_spec(affine).export(tmp_path / "module")
    assert list((tmp_path / "module").iterdir()) == []
