"""What KerasLayer refuses, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.keras.modules import published, reusable, scaled

MODULE: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"signature": "no"}, errors.UnknownSignatureError, "'no'"),
    ({"output_key": "no"}, errors.UnknownOutputError, "does not contain the output key 'no'.*Known outputs: 'default'"),
    ({"output_key": "default", "signature_outputs_as_dict": True}, errors.InvalidArgumentError, "either output_key or"),
    ({"arguments": {"no": 1}}, errors.InvalidArgumentError, "not all inputs of.*Known inputs"),
    ({"arguments": [1]}, errors.InvalidArgumentError, "not a dict"),
    ({"tags": {"no"}}, errors.UnknownVariantError, "no"),
    ({"trainable": "w"}, errors.InvalidArgumentError, "neither True nor False"),
    ({"signature": 1}, errors.InvalidArgumentError, "signature=1 is not a string"),
    ({"_sentinel": "x"}, errors.InvalidArgumentError, "by keyword"),
    ({"output_shape": "no"}, errors.InvalidArgumentError, "output_shape='no'"),
    ({"load_options": {"no": 1}}, errors.InvalidArgumentError, "Known options"),
    ({"no": 1}, ValueError, "no"),
]
SAVED_MODEL: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"signature": "no"}, errors.UnknownSignatureError, "Unknown signature 'no' in .*'serving_default'"),
    ({"signature": "serving_default"}, errors.InvalidArgumentError, "When using a signature, either output_key or"),
    ({"signature_outputs_as_dict": True}, errors.InvalidArgumentError, "only valid if specifying a signature"),
]


@pytest.mark.parametrize(("given", "error", "match"), MODULE)
def test_of_a_module(tmp_path: Path, given: dict[str, Any], error: type[Exception], match: str) -> None:
    path = published(tmp_path, scaled)
    with pytest.raises(error, match=match):
        hub.KerasLayer(path, **given)


@pytest.mark.parametrize(("given", "error", "match"), SAVED_MODEL)
def test_of_a_saved_model(tmp_path: Path, given: dict[str, Any], error: type[Exception], match: str) -> None:
    path = reusable(tmp_path)
    with pytest.raises(error, match=match):
        hub.KerasLayer(path, **given)


def test_an_output_key_that_is_not_there(tmp_path: Path) -> None:
    path = reusable(tmp_path)
    with pytest.raises(errors.UnknownOutputError, match="does not contain the output key 'no'"):
        hub.KerasLayer(path, output_key="no")(tf.ones([1, 2]))
    with pytest.raises(errors.InvalidArgumentError, match="outputs by name"):
        hub.KerasLayer(tf.identity, output_key="no")(tf.ones([1, 2]))


def test_objects(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="object already"):
        hub.KerasLayer(tf.identity, tags={"train"})
    with pytest.raises(errors.InvalidArgumentError, match="not callable and has no signatures"):
        hub.KerasLayer(3)
    model = tf.Module()
    tf.saved_model.save(model, str(tmp_path / "empty"))
    with pytest.raises(errors.InvalidArgumentError, match="not callable and has no signatures"):
        hub.KerasLayer(tmp_path / "empty")
    model.regularization_losses = [3.0]
    callable_model = type("CallableModel", (tf.Module,), {"__call__": lambda self, x: x})()
    callable_model.regularization_losses = [3.0]
    with pytest.raises(errors.InvalidArgumentError, match="must be functions"):
        hub.KerasLayer(callable_model)


@pytest.mark.parametrize("make", [str, Path])
def test_no_such_handle(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    with pytest.raises(errors.HandleNotFoundError):
        hub.KerasLayer(make(tmp_path / "no"))
