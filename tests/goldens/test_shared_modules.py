"""Modules that others wrote give what TensorFlow 1.15, or tensorflow_hub on 2.15, computed with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import names, started
from tests.goldens.golden_files import (
    ATOL,
    GENUINE,
    LOOSER,
    PUBLISHED,
    RANDOM,
    RTOL,
    VARIANTS,
    compare,
    golden,
    inputs_of,
    outputs_of,
    tags_of,
)

v1 = tf.compat.v1


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_genuine_modules(graph: tf.Graph, shared_modules: Path, name: str, variant: str) -> None:
    folder = shared_modules / "genuine" / name
    arrays = golden(folder / "golden.npz")
    tags = tags_of(variant)
    module = hub.Module(str(folder / "module"), tags=tags)
    results = {
        signature: module(inputs_of(arrays, signature), signature=signature, as_dict=True)
        for signature in module.get_signature_names()
    }
    with started() as session:
        values = session.run(results)
    for signature, outputs in values.items():
        expected = outputs_of(arrays, f"out/{variant}/{signature}/")
        assert set(outputs) == set(expected)
        for output, value in outputs.items():
            compare(value, expected[output], f"{signature}/{output}", *LOOSER.get((name, variant), ()))


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_modules_have_these_variants(shared_modules: Path, name: str) -> None:
    folder = shared_modules / "genuine" / name
    facts = json.loads((folder / "golden.json").read_text())
    assert set(hub.load_module_spec(str(folder / "module")).get_tags()) == {
        frozenset(tags) for tags in facts["variants"].values()
    }


def after(session: v1.Session, variable: Any) -> np.ndarray:
    """Return the value of an entry of a variable_map; parts are joined along their first axis."""
    value = session.run(variable)
    return np.concatenate(value) if isinstance(value, list) else value


@pytest.mark.parametrize("name", GENUINE)
def test_fine_tuning(graph: tf.Graph, shared_modules: Path, name: str) -> None:
    folder = shared_modules / "genuine" / name
    arrays = golden(folder / "golden.npz")
    how = json.loads((folder / "golden.json").read_text())
    module = hub.Module(str(folder / "module"), trainable=True, tags=set(how["train_tags"]))
    assert v1.get_collection(v1.GraphKeys.UPDATE_OPS) == []
    signature = how["train_signature"]
    outputs = module(inputs_of(arrays, signature), signature=signature, as_dict=True)

    facts = how["facts"]
    assert names(v1.global_variables()) == facts["variables"]
    assert names(v1.trainable_variables()) == facts["trainable"]
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    assert len(updates) == facts["update_ops"]
    penalties = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
    assert len(penalties) == facts["regularization_losses"]

    loss = tf.add_n([tf.reduce_mean(tf.square(outputs[how["train_output"]])), *penalties])
    with tf.control_dependencies(updates):
        step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
    with started() as session:
        losses = [session.run([loss, step])[0] for _ in range(3)]
        values = {variable: after(session, found) for variable, found in module.variable_map.items()}
    np.testing.assert_allclose(losses, arrays["tune/losses"], rtol=RTOL, atol=ATOL)
    expected = outputs_of(arrays, "tune/after/")
    assert set(values) == set(expected)
    for variable, value in values.items():
        np.testing.assert_allclose(value, expected[variable], rtol=RTOL, atol=ATOL, err_msg=variable)


@pytest.mark.parametrize(("name", "signature"), [(name, one) for name, all_ in PUBLISHED.items() for one in all_])
def test_published_modules(graph: tf.Graph, shared_modules: Path, name: str, signature: str) -> None:
    arrays = golden(shared_modules / "published" / f"{name}.golden.npz")
    module = hub.Module(str(shared_modules / "published" / name))
    assert signature in module.get_signature_names()
    results = module(inputs_of(arrays, signature), signature=signature, as_dict=True)
    with started() as session:
        values = session.run(results)
    expected = outputs_of(arrays, f"out/{signature}/")
    assert set(values) == set(expected) | set(RANDOM.get(name, []))
    for output, value in expected.items():
        compare(values[output], value, output)
    for output in RANDOM.get(name, []):
        # What it samples differs in every run; its shape is that of the likelihood, without the batch.
        assert values[output].shape == expected["loglikelihood"].shape[1:]


@pytest.mark.parametrize("name", [*PUBLISHED, "half_plus_two_v1"])
@pytest.mark.parametrize("trainable", [False, True])
def test_every_variant_and_signature_of_published_modules_can_be_built(
    shared_modules: Path, name: str, trainable: bool
) -> None:
    spec = hub.load_module_spec(str(shared_modules / "published" / name))
    for tags in spec.get_tags():
        with tf.Graph().as_default():
            module = hub.Module(spec, tags=tags, trainable=trainable)
            for signature in module.get_signature_names():
                given = {
                    key: v1.placeholder(info.dtype, info.get_shape())
                    for key, info in module.get_input_info_dict(signature).items()
                }
                found = module(given, signature=signature, as_dict=True)
                for key, info in module.get_output_info_dict(signature).items():
                    assert found[key].dtype == info.dtype
                    assert found[key].shape.is_compatible_with(info.get_shape())


@pytest.mark.parametrize("name", [*(f"genuine/{one}/module" for one in GENUINE), "published/dm21"])
def test_published_again_they_are_the_same(shared_modules: Path, tmp_path: Path, name: str) -> None:
    values = []
    for path in (str(shared_modules / name), str(tmp_path / "again")):
        with tf.Graph().as_default():
            module = hub.Module(path)
            with started() as session:
                values.append({key: after(session, found) for key, found in module.variable_map.items()})
                if len(values) == 1:
                    module.export(str(tmp_path / "again"), session)
        spec = hub.load_module_spec(path)
        values.append({tags: set(spec.get_signature_names(tags)) for tags in spec.get_tags()})
    assert values[1] == values[3]
    assert set(values[0]) == set(values[2])
    for variable, value in values[0].items():
        np.testing.assert_array_equal(value, values[2][variable])


def test_half_plus_two(graph: tf.Graph, shared_modules: Path) -> None:
    y = hub.Module(str(shared_modules / "published" / "half_plus_two_v1"))([1.0, 2.0, 10.0])
    with started() as session:
        assert session.run(y).tolist() == [2.5, 3.0, 7.0]


def test_half_plus_two_as_a_plain_saved_model(graph: tf.Graph, shared_modules: Path, tmp_path: Path) -> None:
    path = str(shared_modules / "published" / "saved_model_half_plus_two_cpu" / "00000123")
    spec = hub.create_module_spec_from_saved_model(path)
    assert frozenset({"serve"}) in spec.get_tags()
    module = hub.Module(spec, tags=["serve"])
    given = {"x": [[1.0], [2.0], [10.0]]}
    assert list(module.get_input_info_dict("serving_default")) == ["x"]
    outputs = module(given, signature="serving_default", as_dict=True)
    with started() as session:
        assert session.run(outputs["y"]).tolist() == [[2.5], [3.0], [7.0]]
        module.export(str(tmp_path / "module"), session)
    assert [file.name for file in (tmp_path / "module" / "assets").iterdir()] == ["foo.txt"]
    again = hub.Module(str(tmp_path / "module"), tags=["serve"])(given, signature="serving_default", as_dict=True)
    with started() as session:
        assert session.run(again["y"]).tolist() == [[2.5], [3.0], [7.0]]


def test_the_image_size_of_resnet_like(graph: tf.Graph, shared_modules: Path) -> None:
    path = str(shared_modules / "genuine" / "resnet_like" / "module")
    spec = hub.load_module_spec(path)
    for source in (spec, hub.Module(spec)):
        assert list(hub.get_expected_image_size(source)) == [32, 32]
        assert hub.get_num_image_channels(source) == 3
        info = source.get_attached_message("image_module_info", hub.ImageModuleInfo)
        assert (info.default_image_size.height, info.default_image_size.width) == (32, 32)


class RawMessage:
    """A message class that keeps the bytes it is parsed from."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def ParseFromString(self, content: bytes) -> None:
        self.content = content

    def MergeFromString(self, content: bytes) -> None:
        self.content += content

    @classmethod
    def FromString(cls, content: bytes) -> RawMessage:
        return cls(content)


def test_the_attachment_of_dm21(graph: tf.Graph, shared_modules: Path) -> None:
    spec = hub.load_module_spec(str(shared_modules / "published" / "dm21"))
    content = spec.get_attached_message("signature_info", RawMessage, required=True).content
    assert len(content) > 0
    assert hub.Module(spec).get_attached_message("signature_info", RawMessage).content == content


def test_dm21_has_regularization_losses(graph: tf.Graph, shared_modules: Path) -> None:
    hub.Module(str(shared_modules / "published" / "dm21"), trainable=True)
    assert len(v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)) > 0
    with started() as session:
        assert np.isfinite(session.run(v1.losses.get_regularization_loss()))
