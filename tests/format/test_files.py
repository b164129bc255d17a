from __future__ import annotations

import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from modhub.errors import (
    CorruptModuleError,
    HandleNotFoundError,
    ModuleFormatError,
    NotAModuleError,
    UnsupportedFormatError,
)
from modhub.format import archive_files, files
from modhub.format.archive import Limits
from modhub.format.archive_files import ArchiveFiles
from modhub.format.files import ModuleFiles, open_files
from modhub.format.layout import MANIFEST
from tests.format.hostile_archives import END, FILES, REFUSED, archive, entry, header, write_bomb

KINDS = ["directory", "tar", "tar.gz", "tar with a folder"]
MORE = FILES | {"variables/variables.data-00000-of-00001": bytes(range(256)) * 5000, "assets.extra/note": b"hello"}


def fill(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def put(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


@pytest.fixture(params=KINDS)
def module(request: pytest.FixtureRequest, tmp_path: Path) -> ModuleFiles:
    """The files of MORE, wherever they lie."""
    if request.param == "directory":
        return open_files(fill(tmp_path, MORE))
    prefix = "name/" if request.param == "tar with a folder" else ""
    packed = request.param == "tar.gz"
    return open_files(put(tmp_path, archive({prefix + name: data for name, data in MORE.items()}, packed=packed)))


def test_what_the_cache_keeps_beside_a_module_is_no_file_of_it(tmp_path: Path) -> None:
    fill(tmp_path, FILES | {MANIFEST: b"{}", f"assets/{MANIFEST}": b"{}"})
    assert list(open_files(tmp_path).sizes) == sorted([*FILES, f"assets/{MANIFEST}"])


def test_files_are_listed_and_read(module: ModuleFiles) -> None:
    assert list(module.sizes.items()) == sorted((name, len(data)) for name, data in MORE.items())
    for name, data in MORE.items():
        assert module.read(name, len(data)) == data
        assert module.mapped(name) == data
        assert module.read_range(name, 0, len(data)) == data
        assert module.read_range(name, len(data), 0) == b""


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (255, 3), (500_000, 700_000), (1_279_999, 1)])
def test_a_part_of_a_file_is_read(module: ModuleFiles, offset: int, size: int) -> None:
    name = "variables/variables.data-00000-of-00001"
    assert module.read_range(name, offset, size) == MORE[name][offset:][:size]


@pytest.mark.parametrize("name", ["variables/variables.data-00000-of-00001", "saved_model.pb"])
@pytest.mark.parametrize(("offset", "size"), [(0, 2**62), (2**62, 0), (-1, 1), (1, -1), (5, -6)])
def test_a_part_outside_the_file_is_refused(module: ModuleFiles, name: str, offset: int, size: int) -> None:
    with pytest.raises(CorruptModuleError, match=f"{name}' has {len(MORE[name])} bytes, and {size} from {offset} on"):
        module.read_range(name, offset, size)


@pytest.mark.parametrize("name", ["missing", "variables/missing", "saved_model.pb/below", "Saved_Model.pb"])
def test_a_missing_file_is_named(module: ModuleFiles, name: str) -> None:
    where = f"{module.where}/{name}"
    for act in (lambda: module.read(name, 10), lambda: module.mapped(name), lambda: module.read_range(name, 0, 0)):
        with pytest.raises(NotAModuleError) as caught:
            act()
        assert str(caught.value) == f"{where!r} does not exist."


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "variables/../saved_model.pb", "./saved_model.pb", "", "a\0b"]
)
def test_a_name_that_leads_elsewhere_is_refused(module: ModuleFiles, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "outside").write_bytes(b"secret")
    with pytest.raises(ModuleFormatError):
        module.read(name, 10)


@pytest.mark.parametrize("name", ["saved_model.pb", "assets.extra/note"])
def test_a_file_over_its_limit_is_refused_with_its_size(module: ModuleFiles, name: str) -> None:
    size = len(MORE[name])
    with pytest.raises(CorruptModuleError, match=f"{name}' has {size} bytes; at most {size - 1} are read"):
        module.read(name, size - 1)


def test_a_directory_in_place_of_a_file_is_told(module: ModuleFiles) -> None:
    with pytest.raises(CorruptModuleError, match="/variables' is a directory; a module has a file there"):
        module.read("variables", 10)


@pytest.mark.parametrize("path", ["missing", "file/below", "a\0b"])
def test_a_path_to_nothing_is_not_found(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HandleNotFoundError, match="does not exist"):
        open_files(tmp_path / path)


def test_what_is_neither_directory_nor_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAModuleError, match=r"Accepted are .tar and .tar.gz"):
        open_files(put(tmp_path, b"text"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotAModuleError, match="neither a file nor a directory"):
        open_files(tmp_path / "pipe")
    with pytest.raises(CorruptModuleError, match="cannot be read"):
        open_files(tmp_path / ("n" * 300))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "saved_model.pb")
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most some 100 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    (tmp_path / "device").symlink_to("/dev/zero")
    module = open_files(tmp_path)
    assert dict(module.sizes) == {}
    for name in ("saved_model.pb", "socket", "device"):
        with pytest.raises(CorruptModuleError, match=f"{name}' (is not a regular file|cannot be read)"):
            module.read(name, 10)


def test_links_are_followed(tmp_path: Path) -> None:
    """Caches keep the contents elsewhere, under the names of their checksums."""
    blobs = fill(tmp_path / "blobs", {"1a": b"graph", "folder/words": b"words"})
    module = tmp_path / "module"
    module.mkdir()
    (module / "saved_model.pb").symlink_to("../blobs/1a")
    (module / "assets").symlink_to(blobs / "folder")
    files = open_files(module)
    assert dict(files.sizes) == {"assets/words": 5, "saved_model.pb": 5}
    assert files.read("saved_model.pb", 5) == b"graph"
    assert files.mapped("assets/words") == b"words"
    (tmp_path / "link").symlink_to(module)
    assert dict(open_files(tmp_path / "link").sizes) == dict(files.sizes)


def test_links_that_lead_nowhere_or_round_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, {"a/x": b"1", "b/y": b"2"})
    for name, target in {"dangling": "nothing", "self": "self", "up": ".", "a/b": "../b", "b/a": "../a"}.items():
        (tmp_path / name).symlink_to(target)
    module = open_files(tmp_path)
    assert dict(module.sizes) == {"a/x": 1, "a/b/y": 1, "b/y": 1, "b/a/x": 1}
    with pytest.raises(NotAModuleError, match="dangling' does not exist"):
        module.read("dangling", 1)
    with pytest.raises(CorruptModuleError, match="self' cannot be read"):
        module.read("self", 1)


def test_links_that_multiply_are_bounded(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}").mkdir()
        for name in "ab":
            (tmp_path / f"{number}" / name).symlink_to(f"../{number + 1}")
    (tmp_path / "30").mkdir()
    with pytest.raises(CorruptModuleError, match="more than 100000 entries"):
        len(open_files(tmp_path / "0").sizes)


def test_a_directory_is_listed_to_a_depth(tmp_path: Path) -> None:
    deep = "/".join("d" * 31)
    assert list(open_files(fill(tmp_path, {f"{deep}/file": b""})).sizes) == [f"{deep}/file"]
    fill(tmp_path, {f"{deep}/d/file": b""})
    with pytest.raises(CorruptModuleError, match="deeper than 32"):
        len(open_files(tmp_path).sizes)


def test_a_directory_of_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MOST_ENTRIES", 3)
    module = open_files(fill(tmp_path, {"a": b"", "b/c": b""}))
    assert len(module.sizes) == 2
    fill(tmp_path, {"b/d": b""})
    assert len(module.sizes) == 2  # listed once
    with pytest.raises(CorruptModuleError, match="more than 3 entries"):
        len(open_files(tmp_path).sizes)


def test_a_directory_that_has_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    module = open_files(tmp_path / "module")
    (tmp_path / "module").rmdir()
    with pytest.raises(HandleNotFoundError, match="does not exist, or changes"):
        len(module.sizes)


def test_a_large_file_of_a_directory_is_mapped(tmp_path: Path) -> None:
    """It is larger than the address space that is in use, and a thousand times what may be read."""
    with (tmp_path / "data").open("wb") as file:
        file.truncate(2**40)
        file.seek(2**39)
        file.write(b"here")
    module = open_files(tmp_path)
    assert module.read_range("data", 2**39, 4) == b"here"
    assert len(module.mapped("data")) == 2**40
    with pytest.raises(CorruptModuleError, match="at most 1048576 are read"):
        module.read("data", 2**20)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["m/saved_model.pb", "m/assets/a"], ["assets/a", "saved_model.pb"]),
        (["m/saved_model.pbtxt"], ["saved_model.pbtxt"]),
        (["m/tfhub_module.pb"], ["tfhub_module.pb"]),
        (["saved_model.pb", "m/saved_model.pb"], ["m/saved_model.pb", "saved_model.pb"]),
        (["m/saved_model.pb", "README"], ["README", "m/saved_model.pb"]),
        (["m/saved_model.pb", "n/saved_model.pb"], ["m/saved_model.pb", "n/saved_model.pb"]),
        (["a/m/saved_model.pb"], ["a/m/saved_model.pb"]),
        (["variables/variables.index"], ["variables/variables.index"]),
        (["m/keras_metadata.pb"], ["m/keras_metadata.pb"]),
        (["m/m/saved_model.pb", "m/saved_model.pb"], ["m/saved_model.pb", "saved_model.pb"]),
    ],
)
def test_one_folder_around_a_module_is_taken_off(tmp_path: Path, names: list[str], found: list[str]) -> None:
    for order in (names, names[::-1]):
        module = open_files(put(tmp_path, archive({name: name.encode() for name in order})))
        assert list(module.sizes) == found
        for name in found:
            assert module.read(name, 100).decode().endswith(name)


def test_entries_for_folders_do_not_matter(tmp_path: Path) -> None:
    data = entry(b"./", kind=b"5") + entry(b"./m", kind=b"5") + entry(b"m/saved_model.pb", b"graph")
    assert dict(open_files(put(tmp_path, data + END)).sizes) == {"saved_model.pb": 5}
    # Another folder, though empty, makes it two.
    data += entry(b"other", kind=b"5")
    assert dict(open_files(put(tmp_path, data + END)).sizes) == {"m/saved_model.pb": 5}


def test_a_folder_of_the_markers_name_is_no_marker(tmp_path: Path) -> None:
    data = entry(b"m/saved_model.pb/x", b"graph") + END
    assert dict(open_files(put(tmp_path, data)).sizes) == {"m/saved_model.pb/x": 5}


def test_what_describes_a_module_is_kept(tmp_path: Path) -> None:
    names = ["tfhub_module.pb", "saved_model.pb", "keras_metadata.pb", "variables/variables.index"]
    module = open_files(put(tmp_path, archive({f"m/{name}": b"kept" for name in names} | {"m/assets/a": b"not"})))
    (tmp_path / "archive").unlink()
    for name in names:
        assert module.read(name, 10) == module.mapped(name) == b"kept"
        assert module.read_range(name, 1, 2) == b"ep"
    with pytest.raises(CorruptModuleError, match="has changed since it was opened"):
        module.read("assets/a", 10)


def test_an_archive_that_changes_is_told(tmp_path: Path) -> None:
    path = put(tmp_path, archive({"saved_model.pb": b"graph", "a": b"1"}))
    module = open_files(path)
    assert module.read("a", 1) == b"1"
    put(tmp_path, archive({"saved_model.pb": b"graph", "a": b"2" * 20000}))
    with pytest.raises(CorruptModuleError, match="has changed since it was opened"):
        module.read("a", 1)


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_files, "MOST_KEPT_BYTES", 10)
    path = put(tmp_path, archive({"saved_model.pb": b"12345", "variables/v.index": b"12345", "a": b"1" * 11}))
    module = open_files(path)
    assert module.read("a", 11) == b"1" * 11
    with pytest.raises(UnsupportedFormatError, match=r"has 11 bytes; .* at most 10 are held in memory. Unpack"):
        module.mapped("a")
    # In another folder they are not the module's, and are let go.
    contents = {"n/saved_model.pb": b"1234567", "m/saved_model.pb": b"1234567", "saved_model.pb": b"1234567"}
    assert len(open_files(put(tmp_path, archive(contents))).sizes) == 3
    with pytest.raises(UnsupportedFormatError, match=r"have more than 10 bytes, .* Unpack the archive"):
        open_files(put(tmp_path, archive({"saved_model.pb": b"123456", "variables/v.index": b"12345"})))


def test_a_graph_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    write_bomb(tmp_path / "archive", 2**20, header(b"saved_model.pb", 2**30))
    with pytest.raises(UnsupportedFormatError, match="more than 268435456 bytes"):
        ArchiveFiles(tmp_path / "archive", Limits(ratio=10**9))


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorruptModuleError):
        open_files(put(tmp_path, entry(b"saved_model.pb", b"graph") + REFUSED[name][0] + END))


def test_a_shared_module_is_the_same_in_an_archive(tmp_path: Path, shared_modules: Path) -> None:
    directory = shared_modules / "published" / "half_plus_two_v1"
    with tarfile.open(tmp_path / "archive", "w:gz") as tar:
        tar.add(directory, "module")
    packed, plain = open_files(tmp_path / "archive"), open_files(directory)
    assert len(plain.sizes) >= 3
    assert dict(packed.sizes) == dict(plain.sizes)
    for name, size in plain.sizes.items():
        assert packed.read(name, size) == plain.read(name, size)


def test_a_directory_pays_nothing_for_archives(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from modhub.format.files import open_files\n"
        "len(open_files(Path(sys.argv[1])).sizes); print(*sys.modules)"
    )
    run = [sys.executable, "-c", script, str(tmp_path)]
    imported = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
    assert "modhub.format.files" in imported
    assert {"modhub.format.archive_files", "tarfile", "gzip"}.isdisjoint(imported)
