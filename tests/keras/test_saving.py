"""Models with a KerasLayer are saved, loaded, copied and exported."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests import constructions
from tests.keras.modules import X, Y, published, reusable, scaled, words

# Keras asks NumPy 2 for arrays of variables in a way that TensorFlow's variables do not know.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

GENUINE = {
    "nnlm_ref": tf.constant(["hello world", "", "?"]),
    "resnet_like": np.random.default_rng(0).random([3, 32, 32, 3], np.float32),
    "partitioned": np.array([0, 5, 9]),
}


def tuned(layer: keras.Layer) -> keras.Model:
    model = keras.Sequential([layer, keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(X, Y, verbose=0)
    return model


def equal_weights(one: keras.Model, two: keras.Model) -> bool:
    pairs = zip(one.variables + one.optimizer.variables, two.variables + two.optimizer.variables, strict=True)
    return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize("trainable", [True, False])
def test_a_file_brings_all_back(tmp_path: Path, trainable: bool) -> None:
    model = tuned(hub.KerasLayer(published(tmp_path, constructions.normalizing_spec), trainable=trainable, name="it"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert equal_weights(model, loaded)
    assert [each.trainable for each in loaded.layers] == [trainable, True]
    assert len(loaded.losses) == len(model.losses) == int(trainable)
    np.testing.assert_array_equal(model(X), loaded(X))
    for each in (model, loaded):
        each.fit(X, Y, verbose=0, shuffle=False)
    assert equal_weights(model, loaded)


def test_the_config_has_all_arguments(tmp_path: Path, shared_modules: Path) -> None:
    given = {
        "handle": str(shared_modules / "genuine" / "resnet_like" / "module"),
        "trainable": True,
        "arguments": {"batch_norm_momentum": np.float32(0.5)},
        "tags": ["train"],
        "signature": "image_feature_vector_with_bn_hparams",
        "output_key": "default",
        "output_shape": (32,),
        "name": "it",
    }
    config = hub.KerasLayer(**given).get_config()
    assert {key: config[key] for key in given} == given
    x = keras.Input([32, 32, 3])
    model = keras.Model(x, hub.KerasLayer(**given)(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").get_layer("it")
    assert loaded.get_config() == config
    assert loaded.resolved_object.tags == {"train"}
    as_dict = hub.KerasLayer(given["handle"], signature_outputs_as_dict=True).get_config()
    assert as_dict["signature_outputs_as_dict"] is True


def test_load_options_are_kept(tmp_path: Path) -> None:
    options = tf.saved_model.LoadOptions(
        experimental_io_device="/job:localhost", experimental_variable_policy="save_variable_devices"
    )
    layer = hub.KerasLayer(reusable(tmp_path), load_options=options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert layer.get_config()["load_options"]["experimental_io_device"] == "/job:localhost"


def test_weights_alone(tmp_path: Path) -> None:
    path = published(tmp_path)
    model, other = tuned(hub.KerasLayer(path, trainable=True)), tuned(hub.KerasLayer(path, trainable=True))
    assert not equal_weights(model, other)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(model(X), other(X))


def test_weights_of_another_module(tmp_path: Path) -> None:
    layer, other = hub.KerasLayer(published(tmp_path)), hub.KerasLayer(published(tmp_path, scaled))
    store: dict[str, np.ndarray] = {}
    layer.save_own_variables(store)
    with pytest.raises(hub.errors.CheckpointError, match=r"missing \['scope%2Fw'\], extra \['b', 'w'\]"):
        other.load_own_variables(store)
    with pytest.raises(hub.errors.CheckpointError, match="'b' has shape"):
        layer.load_own_variables({**store, "b": np.zeros([3])})
    assert layer.get_weights()[0].tolist() == constructions.BIAS.tolist()


def test_a_clone_starts_from_the_module(tmp_path: Path) -> None:
    model = tuned(hub.KerasLayer(published(tmp_path), trainable=True))
    clone = keras.models.clone_model(model)
    np.testing.assert_array_equal(clone.layers[0].get_weights()[1], constructions.WEIGHTS)
    assert clone.layers[0].trainable


@pytest.mark.parametrize("name", GENUINE)
def test_the_file_has_the_module_in_it(tmp_path: Path, shared_modules: Path, name: str) -> None:
    shutil.copytree(shared_modules / "genuine" / name / "module", tmp_path / "module")
    model = keras.Sequential([hub.KerasLayer(tmp_path / "module", trainable=True), keras.layers.Dense(2)])
    expected = model(GENUINE[name])
    model.layers[0].weights[0].assign_add(model.layers[0].weights[0])
    expected = model(GENUINE[name])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert not [file for file in archive.namelist() if "/variables" in file]
    shutil.rmtree(tmp_path / "module")
    with pytest.raises(hub.errors.HandleNotFoundError, match="safe_mode=False"):
        keras.models.load_model(tmp_path / "model.keras")
    # Twice, since what was loaded like this is saved like this too.
    for number in range(2):
        loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=False)
        np.testing.assert_array_equal(loaded(GENUINE[name]), expected)
        assert len(loaded.losses) == len(model.losses)
        loaded.save(tmp_path / "model.keras")
        loaded.export(str(tmp_path / f"{number}"), verbose=False)
        served = tf.saved_model.load(str(tmp_path / f"{number}"))
        np.testing.assert_allclose(served.serve(tf.constant(GENUINE[name])), expected, rtol=1e-6)


def test_training_goes_on_from_the_file_alone(tmp_path: Path) -> None:
    path = published(tmp_path, constructions.normalizing_spec)
    model = tuned(hub.KerasLayer(path, trainable=True))
    model.save(tmp_path / "model.keras")
    shutil.rmtree(path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=False)
    assert equal_weights(model, loaded)
    for each in (model, loaded):
        each.fit(X, Y, verbose=0, shuffle=False)
    assert equal_weights(model, loaded)
    loaded.layers[0].trainable = False
    assert len(loaded.trainable_weights) == 2


def test_a_config_whose_handle_is_gone(tmp_path: Path) -> None:
    path = published(tmp_path)
    config = hub.KerasLayer(path).get_config()
    shutil.rmtree(path)
    layer = hub.KerasLayer.from_config(config)
    with pytest.raises(hub.errors.HandleNotFoundError, match="does not exist"):
        layer(X)


def test_a_tf1_saved_model_in_the_file(tmp_path: Path, shared_modules: Path) -> None:
    path = tmp_path / "plain"
    shutil.copytree(shared_modules / "published" / "saved_model_half_plus_two_cpu" / "00000123", path)
    layer = hub.KerasLayer(path, signature="serving_default", output_key="y")
    model = keras.Sequential([keras.Input([1]), layer])
    assert model(np.array([[2.0]])).numpy().tolist() == [[3.0]]
    model.save(tmp_path / "model.keras")
    shutil.rmtree(path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=False)
    assert loaded(np.array([[2.0]])).numpy().tolist() == [[3.0]]


@pytest.mark.parametrize("save", ["export", "saved_model"])
def test_export(tmp_path: Path, save: str) -> None:
    model = tuned(hub.KerasLayer(published(tmp_path, constructions.normalizing_spec), trainable=True))
    texts = keras.Sequential([keras.Input([], dtype="string"), hub.KerasLayer(words(tmp_path))])
    for name, each, given in (("model", model, X), ("texts", texts, tf.constant(["c", "?"]))):
        path = str(tmp_path / f"{name}.saved")
        expected = each(given)
        if save == "export":
            each.export(path, verbose=False)
        else:
            tf.saved_model.save(each, path)
        served = tf.saved_model.load(path)
        (found,) = served.signatures["serving_default"](tf.constant(given)).values()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["b", "w"])
@pytest.mark.parametrize("handle", ["path", "module"])
@pytest.mark.parametrize("trainable", [True, False])
def test_what_is_frozen_stays_so(tmp_path: Path, name: str, handle: str, trainable: bool) -> None:
    path = published(tmp_path)
    if handle == "path":
        layer = hub.KerasLayer(path, trainable=trainable)
        layer.resolved_object.freeze({"b": "w", "w": "b"}[name])
    else:
        layer = hub.KerasLayer(hub.load(path, trainable=name), trainable=trainable)
    model = keras.Sequential([keras.Input([2]), layer])
    model.save(tmp_path / "model.keras")
    copies = [keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)]
    shutil.rmtree(path)
    copies.append(keras.models.load_model(tmp_path / "model.keras", safe_mode=False))
    copies[-1].save(tmp_path / "again.keras")
    copies.append(keras.models.load_model(tmp_path / "again.keras", safe_mode=False))
    for copy in copies:
        assert [weight.name for weight in copy.trainable_weights] == [name] * trainable
        pairs = zip(copy.get_weights(), model.get_weights(), strict=True)
        assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
        copy.layers[0].trainable = True
        assert [weight.name for weight in copy.trainable_weights] == [name]
        with tf.GradientTape() as tape:
            copy(X)
        assert [variable.name for variable in tape.watched_variables()] == [f"{name}:0"]


def test_export_of_a_frozen_layer_and_of_a_shared_module(tmp_path: Path) -> None:
    module = hub.load(published(tmp_path))
    x = keras.Input([2])
    layers = [hub.KerasLayer(module, trainable=trainable) for trainable in (True, True, False)]
    model = keras.Model(x, keras.layers.Average()([layer(x) for layer in layers]))
    model.export(str(tmp_path / "exported"), verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.serve(tf.constant(X)), model(X))
    tf.saved_model.save(model, str(tmp_path / "saved"))
    restored = tf.saved_model.load(str(tmp_path / "saved"))
    (found,) = restored.signatures["serving_default"](tf.constant(X)).values()
    np.testing.assert_allclose(found, model(X))
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(X), model(X))


def test_a_clone_of_what_was_in_the_file(tmp_path: Path) -> None:
    path = published(tmp_path)
    model = keras.Sequential([keras.Input([2]), hub.KerasLayer(path, trainable=True)])
    model.save(tmp_path / "model.keras")
    shutil.rmtree(path)
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=False)
    with pytest.raises(hub.errors.HandleNotFoundError, match=r"cloned once .*\.export\(path\) writes it"):
        keras.models.clone_model(loaded)
    loaded.layers[0].resolved_object.export(path)
    np.testing.assert_array_equal(keras.models.clone_model(loaded)(X), loaded(X))
