from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import (
    CorruptModuleError,
    HandleNotFoundError,
    ModuleFormatError,
    NotAModuleError,
    UnsupportedFormatError,
)
from modhub.format import MODULE_DEF, MODULE_DEF_BYTES, ModuleDef, read_module_def


def _module(directory: Path, marker: bytes) -> Path:
    (directory / MODULE_DEF).write_bytes(marker)
    return directory


def test_the_marker_is_format_3_without_features() -> None:
    assert ModuleDef(format=3).SerializeToString() == MODULE_DEF_BYTES


def test_a_module_passes(tmp_path: Path) -> None:
    read_module_def(_module(tmp_path, MODULE_DEF_BYTES))


def test_the_shared_modules_pass(shared_modules: Path) -> None:
    markers = list(shared_modules.rglob(MODULE_DEF))
    assert len(markers) >= 8
    for marker in markers:
        read_module_def(marker.parent)


@pytest.mark.parametrize("bit", range(16))
def test_a_flipped_bit_is_an_error(tmp_path: Path, bit: int) -> None:
    marker = bytearray(MODULE_DEF_BYTES)
    marker[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ModuleFormatError, match=MODULE_DEF):
        read_module_def(_module(tmp_path, bytes(marker)))


@given(st.binary(max_size=6).filter(lambda marker: marker != MODULE_DEF_BYTES))
def test_any_other_marker_is_an_error(tmp_path_factory: pytest.TempPathFactory, marker: bytes) -> None:
    with pytest.raises(ModuleFormatError):
        read_module_def(_module(tmp_path_factory.mktemp("module"), marker))


@pytest.mark.parametrize(
    ("marker", "error", "message"),
    [
        (b"", CorruptModuleError, "it is empty"),
        (b"\x08", CorruptModuleError, "does not parse"),
        (b"\x00" * 70000, CorruptModuleError, "more than 65536 bytes"),
        (b"\x08\x02", UnsupportedFormatError, "Unsupported module def format: 2. modhub reads format 3"),
        (b"\x08\x03\x12\x03new", UnsupportedFormatError, r"Unsupported features: \['new'\]"),
        (b"\x08\x83\x00", CorruptModuleError, "expected the bytes"),
        (b"\x08\x03\x08\x03", CorruptModuleError, "expected the bytes"),
        (b"\x08\x03\x18\x01", CorruptModuleError, "expected the bytes"),
    ],
)
def test_a_wrong_marker_says_what_is_wrong(tmp_path: Path, marker: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_module_def(_module(tmp_path, marker))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["saved_model.pb"], "modhub.create_module_spec_from_saved_model"),
        (["saved_model.pbtxt"], "tf.saved_model.load"),
        (["model.ckpt.index", "model.ckpt.data-00000-of-00001"], "looks like a checkpoint"),
        (["inner/tfhub_module.pb"], "did you mean '.*inner'"),
        ([], "It is empty"),
        (["a", "b", "c", "d", "e", "f", "g"], "holds 'a', 'b', 'c', 'd', 'e' and 2 more"),
    ],
)
def test_what_is_not_a_module_is_described(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(NotAModuleError, match=message):
        read_module_def(tmp_path)


def test_a_path_that_is_no_directory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(HandleNotFoundError, match=r"'.*missing' does not exist"):
        read_module_def(tmp_path / "missing")
    (tmp_path / "archive.tar.gz").touch()
    with pytest.raises(HandleNotFoundError, match="unpack it"):
        read_module_def(tmp_path / "archive.tar.gz")


def test_a_directory_in_place_of_the_marker_is_an_error(tmp_path: Path) -> None:
    (tmp_path / MODULE_DEF).mkdir()
    with pytest.raises(CorruptModuleError, match="is a directory"):
        read_module_def(tmp_path)
