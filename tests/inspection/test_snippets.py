from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import modhub as hub
from modhub.authoring.checks import SUPPORTED_COLLECTIONS as SUPPORTED_BY_SPECS
from modhub.authoring.load import _ALWAYS_DROPPED
from modhub.errors import UnknownSignatureError, UnknownVariantError
from modhub.inspection.inspect import inspect
from modhub.inspection.snippets import SUPPORTED_COLLECTIONS, snippets
from tests.inspection.modules import MODULES, packed

ALL = {"hub.Module", "hub.load", "hub.KerasLayer"}
# Which ways there are for the usual signature of each.
WAYS = dict.fromkeys(MODULES, ALL) | {
    "composite": {"hub.Module", "hub.load"},
    "dtypes": {"hub.Module", "hub.load"},
    "nested_tf2": {"hub.load", "hub.KerasLayer"},
    "plain_tf2": {"hub.load"},
    "keras_export": {"hub.load", "hub.KerasLayer"},
    "as_text": {"hub.load", "hub.KerasLayer"},
}


def run(code: str) -> dict[str, Any]:
    """Run code as a script; return what it defines."""
    found: dict[str, Any] = {}
    try:
        exec(compile(code, "<snippet>", "exec"), found)
    finally:
        tf.keras.backend.clear_session()
    return found


def check(codes: dict[str, str], outputs: Iterable[str]) -> None:
    """Run snippets, and check what they leave."""
    for way, code in codes.items():
        found = run(code)
        if way == "hub.Module":
            assert sorted(found["results"]) == sorted(outputs)
        elif way == "hub.load" and outputs:
            assert sorted(found["outputs"]) == sorted(outputs)
        elif way == "hub.KerasLayer":
            assert found["outputs"].shape.rank is not None
            assert isinstance(found["layer"], hub.KerasLayer)


@pytest.mark.parametrize("name", MODULES)
def test_code_for_the_usual_signature_runs(tmp_path: Path, name: str) -> None:
    found = inspect(MODULES[name](tmp_path))
    codes = dict(snippets(found))
    assert set(codes) == WAYS[name]
    signatures = {signature.name: signature for signature in found.variants[0].signatures}
    usual = signatures.get("default", signatures.get("serving_default"))
    check(codes, [output.name for output in usual.outputs] if usual else [])


@pytest.mark.parametrize("name", ["composite", "normalizing_spec", "attached"])
def test_code_for_every_variant_and_signature_runs(tmp_path: Path, name: str) -> None:
    found = inspect(MODULES[name](tmp_path))
    for variant in found.variants:
        for signature in variant.signatures:
            codes = dict(snippets(found, variant.tags, signature.name))
            assert set(codes) >= {"hub.Module", "hub.load"}
            check(codes, [output.name for output in signature.outputs])


@pytest.mark.parametrize(
    "name",
    [
        "genuine/control_flow/module",
        "genuine/nnlm_ref/module",
        "genuine/partitioned/module",
        "genuine/resnet_like/module",
        "published/dm21",
        "published/half_plus_two_v1",
        "published/saved_model_half_plus_two_cpu/00000123",
    ],
)
def test_code_for_modules_of_others_runs(shared_modules: Path, name: str) -> None:
    found = inspect(shared_modules / name)
    for variant in found.variants[-1:]:  # the test above takes several variants
        for signature in variant.signatures:
            if any(tensor.dtype == "string" for tensor in signature.inputs) and "nnlm" not in name:
                continue  # serialized messages, which no text of ours is
            codes = dict(snippets(found, variant.tags, signature.name))
            assert codes
            check(codes, [output.name for output in signature.outputs])


def test_values_of_images_have_the_size_that_is_attached(tmp_path: Path) -> None:
    codes = snippets(inspect(MODULES["attached"](tmp_path)))
    assert "tf.zeros([1, 8, 9, 3], tf.float32)" in codes["hub.load"]
    assert "tf.keras.Input([None, None, 3]" in codes["hub.KerasLayer"]


def test_the_code_computes_what_the_module_does(tmp_path: Path) -> None:
    found = run(snippets(inspect(MODULES["affine"](tmp_path)))["hub.load"])
    assert np.allclose(found["outputs"]["default"], [[0.5, -0.5]])


def test_there_is_no_code_for_archives(tmp_path: Path) -> None:
    archive = packed(MODULES["affine"](tmp_path), tmp_path / "module.tar")
    assert snippets(inspect(archive)) == {}


def test_handles_are_quoted(tmp_path: Path) -> None:
    name = "a'\"\\ \x1b[31m\U0001f600{x}"
    path = MODULES["doubling"](tmp_path).rename(tmp_path / name)
    codes = snippets(inspect(path))
    assert "\x1b" not in codes["hub.load"]
    check(dict(codes), ["default"])


def test_unknown_variants_and_signatures_are_refused(tmp_path: Path) -> None:
    found = inspect(MODULES["affine"](tmp_path))
    with pytest.raises(UnknownVariantError, match="train"):
        snippets(found, ["train"])
    with pytest.raises(UnknownSignatureError, match="Known signatures: 'default'"):
        snippets(found, signature="defaults")


def test_the_collections_are_those_that_specs_take() -> None:
    assert SUPPORTED_BY_SPECS | set(_ALWAYS_DROPPED) == SUPPORTED_COLLECTIONS
