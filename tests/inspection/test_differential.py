from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from modhub.inspection.inspect import inspect
from tests.inspection.modules import MODULES, packed
from tests.inspection.tensorflow_side import check_inspection

SHARED = [
    "genuine/control_flow/module",
    "genuine/nnlm_ref/module",
    "genuine/partitioned/module",
    "genuine/resnet_like/module",
    "published/dm21",
    "published/galmodel_likelihood",
    "published/half_plus_two_v1",
    "published/reconstruction_decoder",
    "published/saved_model_half_plus_two_cpu/00000123",
]


@pytest.fixture(scope="module", params=MODULES)
def module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODULES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("name", SHARED)
def test_modules_of_others_are_described_as_tensorflow_does(shared_modules: Path, name: str) -> None:
    check_inspection(inspect(shared_modules / name), shared_modules / name)


def test_every_shared_module_is_among_these(shared_modules: Path) -> None:
    found = {path.parent.relative_to(shared_modules).as_posix() for path in shared_modules.rglob("saved_model.pb")}
    assert found == set(SHARED)


def test_own_modules_are_described_as_tensorflow_does(module: Path) -> None:
    check_inspection(inspect(module), module)


@pytest.mark.parametrize("name", ["module.tar", "module.tar.gz"])
def test_an_archive_is_described_as_its_directory(module: Path, tmp_path: Path, name: str) -> None:
    found, packed_found = inspect(module), inspect(packed(module, tmp_path / name))
    assert packed_found.handle == str(tmp_path / name)
    for part in ("format", "variants", "variables", "assets", "files"):
        assert getattr(packed_found, part) == getattr(found, part)
    for (one, left), (other, right) in zip(found.read_variables(), packed_found.read_variables(), strict=True):
        assert (one, left.dtype, left.tolist()) == (other, right.dtype, right.tolist())


def test_formats_are_told_apart(tmp_path: Path) -> None:
    wanted = {
        "affine": "TF1 Hub module",
        "tf1_saved_model": "TF1 SavedModel",
        "as_text": "TF1 SavedModel",
        "nested_tf2": "TF2 SavedModel",
    }
    for name, kind in wanted.items():
        (tmp_path / name).mkdir()
        assert inspect(MODULES[name](tmp_path / name)).format == kind


def test_trainable_variables_of_nested_objects_are_known(tmp_path: Path) -> None:
    found = inspect(MODULES["nested_tf2"](tmp_path))
    assert {variable.name: variable.trainable for variable in found.variables} == {
        "first/kernel": True,
        "first/steps": False,
        "parts/1": True,
    }


def test_trainable_variables_of_keras_are_those_that_tensorflow_loads(tmp_path: Path) -> None:
    path = MODULES["keras_export"](tmp_path)
    found, loaded = inspect(path), tf.saved_model.load(str(path))
    for is_trainable, variables in ((True, loaded.trainable_variables), (False, loaded.non_trainable_variables)):
        # Keras stores each of them once more, below "_all_variables".
        own = [variable for variable in found.variables if variable.name.startswith("variables/")]
        ours = [variable for variable in own if variable.trainable is is_trainable]
        assert variables
        assert sorted(variable.shape for variable in ours) == sorted(tuple(each.shape) for each in variables)


def test_attachments_are_decoded(tmp_path: Path) -> None:
    image, own = inspect(MODULES["attached"](tmp_path)).variant().attachments
    assert (image.key, image.value) == ("image_module_info", {"default_image_size": {"height": 8, "width": 9}})
    assert (own.key, own.value, own.bytes, own.raw) == ("own", None, 9, b"\n\x03key\x12\x02\xff\x00")


def test_partitions_are_listed(tmp_path: Path) -> None:
    (table,) = inspect(MODULES["partitioned"](tmp_path)).variables
    assert (table.shape, table.bytes, table.elements) == ((10, 2), 80, 20)
    assert table.partitions == (((0, 4), (0, 2)), ((4, 3), (0, 2)), ((7, 3), (0, 2)))
