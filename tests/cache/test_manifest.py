from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.cache.manifest import Manifest, new_manifest, read_manifest, write_manifest
from modhub.cache.names import key_of, pinned_key
from modhub.errors import CorruptModuleError
from modhub.format.digests import FileDigest, digest_file
from modhub.format.layout import MANIFEST
from tests.cache.publishing import digest_of, write_files

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"", "assets/\u00e9\n\\.txt": b"x"}


def made(directory: Path, files: dict[str, bytes] | None = None, **more: Any) -> Manifest:
    files = FILES if files is None else files
    write_files(directory, files)
    digests = {name: digest_file(directory / name) for name in files}
    return new_manifest(directory, digests, **({"handle": "https://example.com/1"} | more))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    archive = FileDigest(size=7, sha256="0" * 64)
    manifest = made(tmp_path, source="https://example.com/x", archive=archive, origin="1 2")
    write_manifest(tmp_path, manifest, ".new")
    assert read_manifest(tmp_path) == manifest
    assert manifest.sha256 == digest_of(FILES)
    assert manifest.size() == sum(map(len, FILES.values()))
    assert manifest.has_digest("0" * 64)
    assert manifest.has_digest(digest_of(FILES))
    assert not manifest.has_digest("")
    assert set(os.listdir(tmp_path)) == {MANIFEST, "saved_model.pb", "variables", "assets"}


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    manifest = made(tmp_path, {"assets/\udcff\udc80": b"1"}, handle="file:///srv/\udcff")
    write_manifest(tmp_path, manifest, ".new")
    assert read_manifest(tmp_path) == manifest


def test_ten_thousand_files(tmp_path: Path) -> None:
    manifest = made(tmp_path, {f"assets/{i % 7}/{i}": b"%d" % i for i in range(10_000)})
    write_manifest(tmp_path, manifest, ".new")
    assert read_manifest(tmp_path) == manifest


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    handle = "https://example.com/1?a=b&X-Amz-Signature=hidden&token=hidden"
    manifest = made(tmp_path, handle=handle, source=f"{handle}&sig=hidden")
    write_manifest(tmp_path, manifest, ".new")
    assert manifest.handle == "https://example.com/1?a=b&X-Amz-Signature=***&token=***"
    assert manifest.key == key_of(handle)
    assert "hidden" not in (tmp_path / MANIFEST).read_text()


def test_names_that_an_entry_may_have(tmp_path: Path) -> None:
    handle = "https://example.com/1?token=hidden"
    manifest = made(tmp_path, handle=handle, archive=FileDigest(size=7, sha256="0" * 64))
    assert manifest.may_be_named(key_of(handle))
    assert manifest.may_be_named(pinned_key(handle, manifest.sha256))
    assert manifest.may_be_named(pinned_key(handle, "0" * 64))
    assert not manifest.may_be_named(pinned_key(handle, "1" * 64))
    assert not manifest.may_be_named(pinned_key(f"{handle}2", "0" * 64))
    assert not manifest.may_be_named(key_of("https://example.com/1?token=another"))


@pytest.mark.parametrize("key", ["", "../" + "0" * 37, "0" * 39, "0" * 40 + "\n", "A" * 40])
def test_a_key_that_is_none(tmp_path: Path, key: str) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(document(tmp_path) | {"key": key}))
    with pytest.raises(CorruptModuleError, match="is no key"):
        read_manifest(tmp_path)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "nowhere") is None


def document(directory: Path) -> dict[str, Any]:
    write_manifest(directory, made(directory), ".new")
    return json.loads((directory / MANIFEST).read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "name", ["version", "handle", "key", "source", "downloaded", "archive", "origin", "sha256", "files"]
)
@pytest.mark.parametrize("value", [None, 1.5, [], {"": None}, True, "\ud800"])
def test_a_value_of_the_wrong_kind(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(document(tmp_path) | {name: value}))
    if (name, value) == ("archive", None) or (
        isinstance(value, str) and name in ("handle", "source", "downloaded", "origin")
    ):
        assert read_manifest(tmp_path) is not None
    else:
        with pytest.raises(CorruptModuleError, match=MANIFEST):
            read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["version", "handle", "key", "files", "sha256", "archive"])
def test_a_value_that_is_missing(tmp_path: Path, name: str) -> None:
    value = document(tmp_path)
    del value[name]
    (tmp_path / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(CorruptModuleError, match=MANIFEST):
        read_manifest(tmp_path)


@pytest.mark.parametrize("value", [2, 0, 10**30])
def test_another_version(tmp_path: Path, value: object) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(document(tmp_path) | {"version": value}))
    with pytest.raises(CorruptModuleError, match="version"):
        read_manifest(tmp_path)


def test_a_file_with_another_digest(tmp_path: Path) -> None:
    value = document(tmp_path)
    value["files"]["saved_model.pb"]["sha256"] = "0" * 64
    (tmp_path / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(CorruptModuleError, match="digest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"version": ' + b"9" * 5000 + b"}", b"NaN"],
    ids=["empty", "cut", "null", "list", "bytes", "deep", "long number", "NaN"],
)
def test_what_is_no_manifest(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(CorruptModuleError, match="damaged"):
        read_manifest(tmp_path)


@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / MANIFEST).write_bytes(data)
    with pytest.raises(CorruptModuleError):
        read_manifest(directory)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_something_else_in_its_place(tmp_path: Path, make: Any) -> None:
    make(tmp_path / MANIFEST)
    with pytest.raises(CorruptModuleError):
        read_manifest(tmp_path)


def test_one_that_is_longer_than_any(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).touch()
    os.truncate(tmp_path / MANIFEST, 2**40)
    with pytest.raises(CorruptModuleError, match="longer"):
        read_manifest(tmp_path)


def test_one_that_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = made(tmp_path)
    write_manifest(tmp_path, manifest, ".new")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        write_manifest(tmp_path, made(tmp_path, handle="another"), ".new")
    assert read_manifest(tmp_path) == manifest
    assert ".new" not in os.listdir(tmp_path)
