"""Under eager execution the shared modules give what TensorFlow 1.15, or tensorflow_hub on 2.15, computed with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
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

WRAPPED = [pytest.param(lambda function: function, id="plain"), pytest.param(tf.function, id="tf.function")]


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_genuine_modules(shared_modules: Path, name: str, variant: str, wrap: Callable[..., Any]) -> None:
    folder = shared_modules / "genuine" / name
    arrays = golden(folder / "golden.npz")
    module = hub.load(folder / "module", tags=tags_of(variant))
    for signature in module.get_signature_names():
        call = wrap(lambda inputs, signature=signature: module(inputs, signature=signature, as_dict=True))
        outputs = call(inputs_of(arrays, signature))
        expected = outputs_of(arrays, f"out/{variant}/{signature}/")
        assert set(outputs) == set(expected)
        for output, value in outputs.items():
            value = getattr(value, "values", value).numpy()
            compare(value, expected[output], f"{signature}/{output}", *LOOSER.get((name, variant), ()))


def test_training_takes_the_train_variant(shared_modules: Path) -> None:
    folder = shared_modules / "genuine" / "resnet_like"
    arrays = golden(folder / "golden.npz")
    module = hub.load(folder / "module")
    outputs = module(inputs_of(arrays, "default"), training=True, as_dict=True)
    expected = outputs_of(arrays, "out/train/default/")
    for output, value in outputs.items():
        compare(value.numpy(), expected[output], output, *LOOSER["resnet_like", "train"])


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("name", GENUINE)
def test_fine_tuning(shared_modules: Path, name: str, wrap: Callable[..., Any]) -> None:
    folder = shared_modules / "genuine" / name
    arrays = golden(folder / "golden.npz")
    how = json.loads((folder / "golden.json").read_text())
    module = hub.load(folder / "module", trainable=True)
    signature = how["train_signature"]
    inputs = inputs_of(arrays, signature)
    trained = {variable.name.removesuffix(":0") for variable in module.trainable_variables}
    assert trained == {name.removeprefix("module/") for name in how["facts"]["trainable"]}
    assert len(module.regularization_losses) == how["facts"]["regularization_losses"]

    @wrap
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = module(inputs, training=True, signature=signature, as_dict=True)
            penalties = [penalty() for penalty in module.regularization_losses]
            loss = tf.add_n([tf.reduce_mean(tf.square(outputs[how["train_output"]])), *penalties])
        for variable, gradient in zip(
            module.trainable_variables, tape.gradient(loss, module.trainable_variables), strict=True
        ):
            if gradient is not None:
                variable.assign_sub(0.1 * tf.convert_to_tensor(gradient))
        return loss

    losses = [step().numpy() for _ in range(3)]
    np.testing.assert_allclose(losses, arrays["tune/losses"], rtol=RTOL, atol=ATOL)
    expected = outputs_of(arrays, "tune/after/")
    assert set(module.variable_map) == set(expected)
    for key, variable in module.variable_map.items():
        value = np.concatenate([part.numpy() for part in variable]) if isinstance(variable, list) else variable.numpy()
        np.testing.assert_allclose(value, expected[key], rtol=RTOL, atol=ATOL, err_msg=key)


@pytest.mark.parametrize(("name", "signature"), [(name, one) for name, all_ in PUBLISHED.items() for one in all_])
def test_published_modules(shared_modules: Path, name: str, signature: str) -> None:
    arrays = golden(shared_modules / "published" / f"{name}.golden.npz")
    module = hub.load(shared_modules / "published" / name)
    outputs = module(inputs_of(arrays, signature), signature=signature, as_dict=True)
    expected = outputs_of(arrays, f"out/{signature}/")
    assert set(outputs) == set(expected) | set(RANDOM.get(name, []))
    for output, value in expected.items():
        compare(outputs[output].numpy(), value, output)


def test_half_plus_two(shared_modules: Path) -> None:
    module = hub.load(shared_modules / "published" / "half_plus_two_v1")
    assert module([1.0, 2.0, 10.0]).numpy().tolist() == [2.5, 3.0, 7.0]


def test_half_plus_two_as_a_plain_saved_model(shared_modules: Path) -> None:
    module = hub.load(shared_modules / "published" / "saved_model_half_plus_two_cpu" / "00000123")
    assert module.tags == {"serve"}
    outputs = module({"x": [[1.0], [2.0], [10.0]]}, signature="serving_default", as_dict=True)
    assert outputs["y"].numpy().tolist() == [[2.5], [3.0], [7.0]]
