"""hub.load and hub.resolve: which handles give what."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import affine, doubling, normalizing_spec, publish, v1, variable
from tests.refusals import refused


class Doubling(tf.Module):
    """A TF2 SavedModel."""

    @tf.function(input_signature=[tf.TensorSpec([None])])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return 2.0 * x


def test_paths_of_both_kinds(tmp_path: Path) -> None:
    path = publish(doubling, tmp_path / "m")
    assert isinstance(hub.load(path), hub.LoadedModule)
    assert isinstance(hub.load(Path(path)), hub.LoadedModule)
    assert hub.resolve(path) == hub.resolve(Path(path)) == str(tmp_path / "m")


@pytest.mark.parametrize("tags", [None, (), ["serve"], {"serve"}])
def test_a_tf2_saved_model_is_what_tensorflow_makes_of_it(tmp_path: Path, tags: Any) -> None:
    tf.saved_model.save(Doubling(), str(tmp_path / "saved"))
    loaded = hub.load(tmp_path / "saved", tags=tags, options=tf.saved_model.LoadOptions())
    assert not isinstance(loaded, hub.LoadedModule)
    assert loaded([1.0]).numpy().tolist() == [2.0]


def test_options_reach_tensorflow(tmp_path: Path) -> None:
    model = tf.Module()
    model.w = tf.Variable(1.0)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    assert hub.load(tmp_path / "saved").w.numpy() == 1.0
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="nowhere"):
        hub.load(tmp_path / "saved", options=tf.saved_model.LoadOptions(experimental_io_device="/job:nowhere"))


def test_trainable_is_for_modules(tmp_path: Path) -> None:
    tf.saved_model.save(Doubling(), str(tmp_path / "saved"))
    with refused(hub.errors.InvalidArgumentError, says=("TF2 SavedModel", "trainable=True")):
        hub.load(tmp_path / "saved", trainable=True)


def tf1_saved_model(path: Path, vocabulary: Path, *, collected: bool) -> None:
    """Write a plain TF1 SavedModel with a table that its init op fills, and that a collection names, or not."""
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None])
        lines = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, 0, tf.int64, -1, delimiter=" ")
        ids = tf.lookup.StaticHashTable(lines, -1).lookup(words) * variable("w", 10, tf.int64)
        v1.add_to_collection("mine", tf.constant(1))
        init = v1.tables_initializer()
        session.run([v1.global_variables_initializer(), init])
        if not collected:
            v1.get_default_graph().clear_collection(v1.GraphKeys.TABLE_INITIALIZERS)
        builder = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def({"words": words}, {"ids": ids})
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            main_op=init,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )
        builder.save()


@pytest.mark.parametrize("collected", [True, False])
def test_a_tf1_saved_model(tmp_path: Path, collected: bool) -> None:
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    tf1_saved_model(tmp_path / "saved", tmp_path / "words.txt", collected=collected)
    module = hub.load(tmp_path / "saved")
    assert module.tags == {"serve"}
    assert module.get_signature_names() == ["serving_default"]
    outputs = module(["dog", "cow"], signature="serving_default", as_dict=True)
    assert outputs["ids"].numpy().tolist() == [10, -10]
    assert hub.load(tmp_path / "saved", tags={"serve"}).tags == {"serve"}
    module.export(tmp_path / "module")
    again = hub.load(tmp_path / "module")
    assert again(["cat"], signature="serving_default", as_dict=True)["ids"].numpy().tolist() == [0]


@pytest.mark.parametrize(
    ("handle", "error", "says"),
    [
        ("no/such/module", hub.errors.HandleNotFoundError, ("'no/such/module'",)),
        ("", hub.errors.HandleNotFoundError, ("empty",)),
        (3, hub.errors.InvalidArgumentError, ("3",)),
        (None, hub.errors.InvalidArgumentError, ("None",)),
    ],
)
def test_handles_that_name_nothing(handle: Any, error: type[Exception], says: tuple[str, ...]) -> None:
    with refused(error, says=says):
        hub.load(handle)


def test_directories_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with refused(hub.errors.NotAModuleError, FileNotFoundError, tf.errors.NotFoundError, says=("It is empty",)):
        hub.load(tmp_path / "empty")
    path = publish(affine, tmp_path / "m")
    with refused(hub.errors.NotAModuleError, says=(f"did you mean '{path}'?",)):
        hub.load(tmp_path)
    shutil.rmtree(tmp_path / "m" / "variables")
    with refused(hub.errors.ModuleFormatError, says=("variables",)):
        hub.load(tmp_path / "m")


def test_tags_that_no_variant_has(tmp_path: Path) -> None:
    path = publish(normalizing_spec(), tmp_path / "m")
    with refused(hub.errors.UnknownVariantError, ValueError, says=("{'trains'}", "{'train'}")):
        hub.load(path, tags={"trains"})
    with refused(hub.errors.InvalidArgumentError, says=("'train'",)):
        hub.load(path, tags="train")


def test_damaged_weights(tmp_path: Path) -> None:
    path = Path(publish(affine, tmp_path / "m"))
    (data,) = (path / "variables").glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[3] ^= 1
    data.write_bytes(content)
    with refused(hub.errors.CorruptModuleError, OSError, tf.errors.DataLossError, says=(str(path),)):
        hub.load(path)


def test_state_is_apart_for_each_load(tmp_path: Path) -> None:
    path = publish(affine, tmp_path / "m")
    one, other = hub.load(path), hub.load(path)
    one.variable_map["b"].assign([9.0, 9.0])
    np.testing.assert_allclose(other.variable_map["b"].numpy(), [0.5, -0.5])
