"""Entries that tensorflow_hub has written: served where they are whole, and fetched again where they are not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import modhub
from modhub.cache.foreign import describe_foreign
from modhub.cache.manifest import read_manifest
from modhub.cache.names import key_of
from modhub.cache.store import Cache
from modhub.errors import ModuleFormatError, OfflineError
from modhub.format.layout import MANIFEST
from tests.cache.publishing import Publisher, contents, digest_of, module_files, packed, write_files

MODULE = module_files(1)
HANDLE = "https://example.com/module/1"
DATA = "variables/variables.data-00000-of-00001"


def written(cache: Path, handle: str = HANDLE, files: dict[str, bytes] | None = None) -> Path:
    """What tensorflow_hub leaves in a cache."""
    directory = cache / key_of(handle)
    write_files(directory, MODULE if files is None else files)
    directory.with_name(f"{directory.name}.descriptor.txt").write_text(
        f"Module: {handle}\nDownload Time: 2024-03-01 10:11:12.131415\nDownloader Hostname: x (PID:1)"
    )
    return directory


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no values": lambda entry: (entry / DATA).unlink(),
    "no index": lambda entry: (entry / "variables/variables.index").unlink(),
    "no variables": lambda entry: shutil.rmtree(entry / "variables"),
    "values cut": lambda entry: os.truncate(entry / DATA, 100),
    "values empty": lambda entry: os.truncate(entry / DATA, 0),
    "a value altered": lambda entry: (entry / DATA).write_bytes(b"\1" + MODULE[DATA][1:]),
    "index cut": lambda entry: os.truncate(entry / "variables/variables.index", 30),
    "no graph": lambda entry: (entry / "saved_model.pb").unlink(),
    "graph cut": lambda entry: os.truncate(entry / "saved_model.pb", 40),
    "graph empty": lambda entry: os.truncate(entry / "saved_model.pb", 0),
    "no asset": lambda entry: (entry / "assets/vocab.txt").unlink(),
    "no assets": lambda entry: shutil.rmtree(entry / "assets"),
    "marker cut": lambda entry: os.truncate(entry / "tfhub_module.pb", 1),
    "a link": lambda entry: (entry / "more").symlink_to("/dev/zero"),
    "a pipe": lambda entry: os.mkfifo(entry / "more"),
}


def test_one_that_is_whole_is_served_without_a_network(cache_dir: Path, offline: Callable[[], None]) -> None:
    entry = written(cache_dir)
    offline()
    assert modhub.resolve(HANDLE) == str(entry)
    manifest = read_manifest(entry)
    assert manifest is not None
    assert (manifest.by, manifest.handle, manifest.archive) == ("tensorflow_hub", HANDLE, None)
    assert manifest.downloaded == "2024-03-01 10:11:12.131415"
    assert manifest.sha256 == digest_of(MODULE)
    assert contents(entry) == MODULE
    assert modhub.resolve(f"{HANDLE}#sha256={digest_of(MODULE)}") == str(entry)


@pytest.mark.parametrize("name", DAMAGES)
def test_one_that_is_not_whole_is_refused_in_words(cache_dir: Path, offline: Callable[[], None], name: str) -> None:
    entry = written(cache_dir)
    DAMAGES[name](entry)
    offline()
    with pytest.raises(OfflineError, match="damaged") as caught:
        modhub.resolve(HANDLE)
    assert str(entry) in str(caught.value)
    assert not (entry / MANIFEST).exists()


@pytest.mark.parametrize("name", DAMAGES)
def test_one_that_is_not_whole_is_fetched_again(cache_dir: Path, publisher: Publisher, name: str) -> None:
    publisher.archives["/m/1"] = packed(MODULE)
    handle = publisher.url("/m/1")
    entry = written(cache_dir, handle)
    DAMAGES[name](entry)
    assert modhub.resolve(handle) == str(entry)
    assert contents(entry) == MODULE
    assert publisher.served == {"/m/1": 1}


@pytest.mark.parametrize("length", range(0, len(MODULE["saved_model.pb"]), 7))
def test_a_graph_that_was_cut_anywhere(tmp_path: Path, length: int) -> None:
    entry = written(tmp_path)
    os.truncate(entry / "saved_model.pb", length)
    try:
        describe_foreign(entry, HANDLE)
    except ModuleFormatError:
        return
    # Cut between two fields, it is a graph; what it lacks of this one is the asset.
    assert b"vocab.txt" not in MODULE["saved_model.pb"][:length]


def test_an_empty_directory_is_no_entry(cache_dir: Path, publisher: Publisher) -> None:
    publisher.archives["/m/1"] = packed(MODULE)
    handle = publisher.url("/m/1")
    (cache_dir / key_of(handle)).mkdir(parents=True)
    assert contents(Path(modhub.resolve(handle))) == MODULE


def test_where_nothing_can_be_written_it_is_served_all_the_same(
    cache_dir: Path, offline: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = written(cache_dir)
    offline()

    def refuse(*arguments: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("modhub.cache.store.write_manifest", refuse)
    for _ in range(2):
        assert modhub.resolve(HANDLE) == str(entry)
    assert contents(entry) == MODULE
    assert not (entry / MANIFEST).exists()


def test_many_may_find_it_at_once(tmp_path: Path) -> None:
    def find(_: int) -> tuple[str, ...] | None:
        found = Cache(tmp_path).find(HANDLE)
        return None if found is None else found.damage

    for _ in range(10):
        entry = written(tmp_path)
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(find, range(8))) == [()] * 8
        assert set(json.loads((entry / MANIFEST).read_text())["files"]) == set(MODULE)
        assert sorted(os.listdir(tmp_path)) == [entry.name, f"{entry.name}.descriptor.txt"]
        shutil.rmtree(entry)


def test_a_file_that_was_written_a_moment_ago_shows_when_it_is_written_again(tmp_path: Path) -> None:
    entry = written(tmp_path)
    cache = Cache(tmp_path)
    found = cache.find(HANDLE)
    assert found is not None
    assert found.is_whole
    (entry / "assets/vocab.txt").write_bytes(b"VERSION 1\n")
    found = cache.find(HANDLE)
    assert found is not None
    assert not found.is_whole


def test_a_tf2_saved_model_without_its_variables(tmp_path: Path) -> None:
    from modhub.format.protos import SavedModel

    saved_model = SavedModel()
    meta_graph = saved_model.meta_graphs.add()
    meta_graph.graph_def.node.add(name="w", op="VarHandleOp")
    meta_graph.saver_def.restore_op_name = "StatefulPartitionedCall_1"
    files = {name: data for name, data in MODULE.items() if name.startswith("variables/")}
    entry = written(tmp_path, files={"saved_model.pb": saved_model.SerializeToString(), **files})
    assert set(describe_foreign(entry, HANDLE).files) == {"saved_model.pb", *files}
    shutil.rmtree(entry / "variables")
    with pytest.raises(ModuleFormatError):
        describe_foreign(entry, HANDLE)


@pytest.mark.parametrize("name", ["dm21", "half_plus_two_v1", "saved_model_half_plus_two_cpu/00000123"])
def test_modules_that_others_have_published(shared_modules: Path, tmp_path: Path, name: str) -> None:
    source = shared_modules / "published" / name
    shutil.copytree(source, tmp_path / key_of(HANDLE))
    assert set(describe_foreign(tmp_path / key_of(HANDLE), HANDLE).files) == set(contents(source))
    for path in sorted((tmp_path / key_of(HANDLE)).rglob("variables.*")):
        path.unlink()
        with pytest.raises(ModuleFormatError):
            describe_foreign(tmp_path / key_of(HANDLE), HANDLE)
