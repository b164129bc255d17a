from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modhub.errors import CacheError, CorruptModuleError, NotAModuleError
from modhub.format.archive_files import ArchiveFiles
from modhub.format.unpack import unpack
from tests.format.hostile_archives import END, FILES, archive, entry
from tests.format.unpacking import ODD_PIECES, Pieces, there, threads_left, unpack_bytes

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
# The directories that the names in FILES tell of.
DIRECTORIES = {"variables": None, "assets": None}


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("sizes", [(1,), (7,), (512,), ODD_PIECES, (2**20,)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_is_unpacked(tmp_path: Path, form: str, packed: bool, sizes: Sequence[int], sync: bool) -> None:
    unpack_bytes(archive(FILES, FORMATS[form], packed), tmp_path / "target", sizes=sizes, sync=sync)
    assert there(tmp_path / "target") == FILES | DIRECTORIES
    assert threads_left() == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sync", [False, True])
def test_large_files_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, sync: bool) -> None:
    # Around the sizes at which a file is read, and synced, in parts.
    monkeypatch.setattr("modhub.format.unpack_files._SYNC_EVERY", 2**19)
    files = {f"variables/{size}": os.urandom(size) for size in (2**18 - 1, 2**18, 2**18 + 1, 2**19, 5 * 2**20 + 7)}
    data = archive(files)
    data = gzip.compress(data, 1) if packed else data
    unpack_bytes(data, tmp_path / "target", sizes=(2**20, 17), sync=sync)
    assert there(tmp_path / "target") == files | {"variables": None}


@pytest.mark.parametrize("folder", ["", "m/"])
@pytest.mark.parametrize("sync", [False, True])
def test_every_file_and_directory_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, folder: str
) -> None:
    synced = []
    fsync = os.fsync

    def record(fd: int) -> None:
        status = os.fstat(fd)
        synced.append((status.st_ino, status.st_size if stat.S_ISREG(status.st_mode) else None))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", record)
    unpack_bytes(archive({folder + name: data for name, data in FILES.items()}), tmp_path / "target", sync=sync)
    paths = [tmp_path / "target", *(tmp_path / "target").rglob("*")]
    expected = [(path.stat().st_ino, path.stat().st_size if path.is_file() else None) for path in paths]
    assert sorted(synced, key=str) == (sorted(expected, key=str) if sync else [])


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINVAL])
def test_what_cannot_be_synced_is_told_but_where_nothing_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, kind: str
) -> None:
    def fail(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode) == (kind == "directory"):
            raise OSError(error, os.strerror(error))

    # A disk that fails cannot be had here.
    monkeypatch.setattr(os, "fsync", fail)
    if error == errno.EINVAL:
        unpack_bytes(archive(FILES), tmp_path / "target", sync=True)
    else:
        with pytest.raises(CacheError, match=rf"{tmp_path}/target.* cannot be written: \[Errno {error}\]"):
            unpack_bytes(archive(FILES), tmp_path / "target", sync=True)
    assert threads_left() == []


def test_a_pipe_is_read_as_it_is_written(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / "module" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "module" / name).write_bytes(data)
    (tmp_path / "target").mkdir()
    command = ["tar", "-cz", "-C", str(tmp_path / "module"), "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        unpacked = unpack(process.stdout, "a pipe", tmp_path / "target")
    assert process.returncode == 0
    assert list(unpacked.files) == sorted(FILES)
    assert there(tmp_path / "target") == FILES | DIRECTORIES


@pytest.mark.parametrize(
    ("umask", "file", "directory"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o644, 0o755)]
)
def test_modes_are_those_of_the_umask_and_times_are_past_and_even(
    tmp_path: Path, umask: int, file: int, directory: int
) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, mode, kind in [("d", 0o7777, tarfile.DIRTYPE), ("d/run", 0o6777, tarfile.REGTYPE), ("x", 0, b"0")]:
            info = tarfile.TarInfo(name)
            info.mode, info.type, info.mtime, info.uid = mode, kind, 2**33, 12345
            tar.addfile(info)
    before = time.time()
    old = os.umask(umask)
    try:
        unpack_bytes(target.getvalue(), tmp_path / "target", sync=True)
    finally:
        os.umask(old)
    for name, mode in {"d": directory, "d/run": file, "x": file}.items():
        status = (tmp_path / "target" / name).lstat()
        assert stat.S_IMODE(status.st_mode) == mode
        assert status.st_uid == os.getuid()
        if name != "d":
            assert status.st_mtime_ns % (2 * 10**9) == 0
            assert before - 5 < status.st_mtime <= time.time() - 2


# What is in the archive, and whether what is in its one folder goes up to the root.
ONE_FOLDER: dict[str, tuple[dict[str, bytes | None], bool]] = {
    "a marker": ({"m/tfhub_module.pb": b"1", "m/variables/x": b"2"}, True),
    "a graph": ({"m/saved_model.pb": b"1", "m/variables/x": b"2"}, True),
    "a graph as text": ({"m/saved_model.pbtxt": b"1"}, True),
    "a folder of its own name in it": ({"m/m/m": b"1", "m/saved_model.pb": b"2"}, True),
    "a file of its own name in it": ({"m/m": b"1", "m/saved_model.pb": b"2"}, True),
    "an empty folder in it": ({"m": None, "m/saved_model.pb": b"1", "m/assets": None}, True),
    "a folder named like a marker": ({"saved_model.pb/saved_model.pb": b"1"}, True),
    "names that hide": ({".m/saved_model.pb": b"1", ".m/.n": b"2"}, True),
    "two levels": ({"m/n/saved_model.pb": b"1"}, False),
    "no marker": ({"m/variables/x": b"1"}, False),
    "another file": ({"m/saved_model.pb": b"1", "README": b"2"}, False),
    "another folder": ({"m/saved_model.pb": b"1", "n/saved_model.pb": b"2"}, False),
    "another folder, empty": ({"m/saved_model.pb": b"1", "n": None}, False),
    "a folder in place of a marker": ({"m/saved_model.pb/x": b"1"}, False),
    "the root": ({"saved_model.pb": b"1", "variables/x": b"2"}, False),
}


@pytest.mark.parametrize("name", ONE_FOLDER)
def test_the_one_folder_is_the_root_where_a_packed_module_has_it_too(tmp_path: Path, name: str) -> None:
    contents, moves = ONE_FOLDER[name]
    data = b"".join(
        entry(file.encode(), text or b"", b"5" if text is None else b"0") for file, text in contents.items()
    )
    (tmp_path / "archive").write_bytes(data + END)
    packed = ArchiveFiles(tmp_path / "archive")
    unpacked = unpack_bytes(data + END, tmp_path / "target", sync=True)
    assert {file: digest.size for file, digest in unpacked.files.items()} == dict(packed.sizes)
    files = {file.partition("/")[2] if moves else file: text for file, text in contents.items()}
    directories = {str(parent): None for file in files for parent in Path(file).parents}
    assert there(tmp_path / "target") == {
        file: text for file, text in (directories | files).items() if file not in ("", ".")
    }


def test_empty_directories_are_kept(tmp_path: Path) -> None:
    data = entry(b"./", kind=b"5") + entry(b"a/b", kind=b"5") + entry(b"f") + entry(b"a", kind=b"5") + END
    unpack_bytes(data, tmp_path / "target", sync=True)
    assert there(tmp_path / "target") == {"a": None, "a/b": None, "f": b""}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("data", [END, bytes(10240), entry(b"./", kind=b"5") + END, entry(b"d", kind=b"5") + END])
def test_an_archive_without_a_file_is_no_module(tmp_path: Path, data: bytes, packed: bool) -> None:
    with pytest.raises(NotAModuleError, match="'an archive' holds no file"):
        unpack_bytes(gzip.compress(data) if packed else data, tmp_path / "target")


@pytest.mark.parametrize("sizes", [(1,), (2**16,)])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "It is empty"),
        (b"\x1f", "Accepted are .tar and .tar.gz"),
        (b"hello", "Accepted are .tar and .tar.gz"),
        (b"PK\x03\x04" + bytes(600), "a zip file"),
        (b"\n <!DOCTYPE html><html>" + b"text" * 200, "an HTML page"),
        (b"<HTML>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "an XML document"),
        (b'{"error": 404}', "a JSON document"),
        (gzip.compress(b"hello" * 1000), "packed by gzip, but holds no tar archive"),
    ],
)
def test_what_is_not_an_archive_is_told(tmp_path: Path, data: bytes, message: str, sizes: Sequence[int]) -> None:
    with pytest.raises(NotAModuleError, match=message) as caught:
        unpack_bytes(data, tmp_path / "target", sizes=sizes)
    assert "'an archive'" in str(caught.value)
    assert there(tmp_path / "target") == {}
    assert threads_left() == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("change", [-1, 1, 10**9])
def test_an_announced_size_has_to_be_true(tmp_path: Path, packed: bool, change: int) -> None:
    data = archive({"a": os.urandom(200_000)}, packed=packed)
    for size in (len(data), len(data) + change):
        target = tmp_path / f"{size}"
        target.mkdir()
        if size == len(data):
            unpack(Pieces(data), "it", target, packed_size=size)
        else:
            with pytest.raises(CorruptModuleError, match=rf"in place of the {size} that were announced"):
                unpack(Pieces(data), "it", target, packed_size=size)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.from_regex(r"[a-c]{1,2}(/[a-d.]{1,3}){0,3}", fullmatch=True), st.binary(max_size=1500)),
    st.sampled_from(list(FORMATS)),
    st.booleans(),
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
)
def test_any_tree_comes_out_as_it_went_in(
    tmp_path: Path, files: dict[str, bytes], form: str, packed: bool, sizes: list[int]
) -> None:
    target = tmp_path / os.urandom(8).hex()
    names = {os.path.normpath(name): data for name, data in files.items()}
    try:
        unpack_bytes(archive(files, FORMATS[form], packed), target, sizes=sizes)
    except (CorruptModuleError, NotAModuleError):
        parts = {part for name in files for part in name.split("/")}
        above = {str(parent) for name in names for parent in Path(name).parents}
        ends = any(name.endswith("/.") for name in files)
        assert ".." in parts or ends or above & names.keys() or len(names) < len(files) or not files
    else:
        assert {name: data for name, data in there(target).items() if data is not None} == names
