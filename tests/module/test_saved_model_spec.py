"""hub.create_module_spec_from_saved_model: a plain TF1 SavedModel as a module."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import evaluated, op_types, publish, started, variable

v1 = tf.compat.v1


def write_saved_model(path: Path, collection: str | None = None) -> str:
    """Write what TF1 programs wrote for serving: a scaled vocabulary, with tags, an init op and an asset."""
    vocabulary = path.parent / "words.txt"
    vocabulary.write_text("a\nb\n")
    with tf.Graph().as_default():
        words = v1.placeholder(tf.string, [None])
        lines = tf.lookup.TextFileInitializer(
            str(vocabulary),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        ids = tf.lookup.StaticHashTable(lines, -1).lookup(words)
        w = variable("w", 10.0)
        v1.train.get_or_create_global_step()
        if collection:
            v1.add_to_collection(collection, w)
        rows = tf.cast(ids, tf.float32) * w
        signature = v1.saved_model.predict_signature_def({"words": words}, {"rows": rows})
        with started() as session:
            session.run(w.assign(20.0))
            builder = v1.saved_model.Builder(str(path))
            builder.add_meta_graph_and_variables(
                session,
                [v1.saved_model.tag_constants.SERVING],
                {"serving_default": signature},
                assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                main_op=v1.tables_initializer(),
            )
            builder.save()
    vocabulary.unlink()
    return str(path)


@pytest.fixture
def saved_model(tmp_path: Path) -> str:
    return write_saved_model(tmp_path / "saved_model")


def test_it_is_a_module(graph: tf.Graph, saved_model: str) -> None:
    spec = hub.create_module_spec_from_saved_model(saved_model)
    assert spec.get_tags() == [frozenset({"serve"})]
    module = hub.Module(spec, tags=["serve"])
    assert module.get_signature_names() == ["serving_default"]
    rows = module(["b", "a", "z"], signature="serving_default", as_dict=True)["rows"]
    assert evaluated(rows).tolist() == [20.0, 0.0, -20.0]


def test_save_and_restore_nodes_are_left_behind(graph: tf.Graph, saved_model: str) -> None:
    hub.Module(hub.create_module_spec_from_saved_model(saved_model), tags=["serve"])
    assert op_types(graph).count("RestoreV2") == 1
    assert "SaveV2" not in op_types(graph)


def test_the_global_step_and_the_init_op_are_not_taken_over(graph: tf.Graph, saved_model: str) -> None:
    hub.Module(hub.create_module_spec_from_saved_model(saved_model), tags=["serve"])
    for key in (v1.GraphKeys.GLOBAL_STEP, "saved_model_main_op", "legacy_init_op"):
        assert v1.get_collection(key) == []


def test_it_is_published_as_a_module(graph: tf.Graph, saved_model: str, tmp_path: Path) -> None:
    spec = hub.create_module_spec_from_saved_model(saved_model)
    module = hub.Module(spec, tags=["serve"])
    path = str(tmp_path / "module")
    with started() as session:
        session.run(module.variable_map["w"].assign(30.0))
        module.export(path, session)
    assert (tmp_path / "module" / "tfhub_module.pb").read_bytes() == b"\x08\x03"
    assert (tmp_path / "module" / "assets" / "words.txt").read_text() == "a\nb\n"
    again = hub.Module(path, tags=["serve"], name="again")
    assert evaluated(again(["b"], signature="serving_default", as_dict=True)["rows"]).tolist() == [30.0]


def test_the_published_module_stands_on_its_own(graph: tf.Graph, saved_model: str, tmp_path: Path) -> None:
    spec = hub.create_module_spec_from_saved_model(saved_model)
    path = tmp_path / "module"
    spec.export(str(path), checkpoint_path=f"{saved_model}/variables/variables")
    for file in path.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file


def test_unsupported_collections_are_refused_unless_dropped(graph: tf.Graph, tmp_path: Path) -> None:
    path = write_saved_model(tmp_path / "saved_model", "my_collection")
    with pytest.raises(errors.ModuleDefinitionError, match="my_collection") as caught:
        hub.create_module_spec_from_saved_model(path)
    assert "drop_collections" in str(caught.value)
    spec = hub.create_module_spec_from_saved_model(path, drop_collections=["my_collection"])
    rows = hub.Module(spec, tags=["serve"])(["b"], signature="serving_default", as_dict=True)["rows"]
    assert evaluated(rows).tolist() == [20.0]
    assert v1.get_collection("my_collection") == []


def test_a_published_module_is_no_other_thing(graph: tf.Graph, tmp_path: Path) -> None:
    # Its graph is a SavedModel too; read as one it gives the same module.
    def module_fn() -> None:
        hub.add_signature(outputs=2.0 * variable("w", 3.0))

    spec = hub.create_module_spec_from_saved_model(publish(module_fn, tmp_path / "module"))
    assert evaluated(hub.Module(spec)()) == 6.0
