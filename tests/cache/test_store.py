from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import modhub
from modhub.cache.manifest import Manifest, new_manifest, read_manifest
from modhub.cache.names import key_of, pinned_key
from modhub.cache.owner import new_owner
from modhub.cache.store import Cache, Found
from modhub.errors import CacheError
from modhub.format.digests import FileDigest, digest_file
from modhub.format.layout import MANIFEST
from tests.cache.publishing import Publisher, contents, digest_of, made_files, packed, write_files

HANDLE = "https://example.com/module/1"
ONE, TWO = made_files(1), made_files(2)


def install(
    cache: Cache, files: dict[str, bytes] = ONE, *, pin: str | None = None, handle: str = HANDLE, **more: object
) -> Found:
    cache.directory.mkdir(exist_ok=True)
    directory = write_files(cache.new_directory(handle, new_owner()), files)
    is_local = bool(more.pop("is_local", False))
    return cache.install(directory, described(directory, files, handle=handle, **more), pin, is_local=is_local)


def described(directory: Path, files: dict[str, bytes], **more: object) -> Manifest:
    digests = {name: digest_file(directory / name) for name in files}
    return new_manifest(directory, digests, **({"handle": HANDLE} | more))  # type: ignore[arg-type]


def names(cache: Cache) -> set[str]:
    return {name for name in os.listdir(cache.directory) if not name.endswith(".descriptor.txt")}


def test_what_is_installed_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.find(HANDLE) is None
    installed = install(cache)
    found = cache.find(HANDLE)
    assert found == installed
    assert found.is_whole
    assert contents(found.directory) == ONE
    assert names(cache) == {key_of(HANDLE)}
    text = (tmp_path / f"{key_of(HANDLE)}.descriptor.txt").read_text()
    assert text.startswith(f"Module: {HANDLE}\nDownload Time: ")


def test_one_that_is_whole_stays_where_another_comes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    install(cache)
    assert contents(install(cache, TWO).directory) == ONE
    assert names(cache) == {key_of(HANDLE)}


def test_two_versions_side_by_side(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    install(cache, ONE, pin=digest_of(ONE))
    second = install(cache, TWO, pin=digest_of(TWO))
    assert second.directory.name == pinned_key(HANDLE, digest_of(TWO))
    for pin, files in ((None, ONE), (digest_of(ONE), ONE), (digest_of(TWO), TWO)):
        found = cache.find(HANDLE, pin)
        assert found is not None
        assert contents(found.directory) == files
    assert cache.find(HANDLE, "0" * 64) is None


def test_the_digest_of_an_archive_pins_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    archive = FileDigest(size=1, sha256="a" * 64)
    install(cache, archive=archive)
    assert cache.find(HANDLE, "a" * 64) is not None
    assert cache.find(HANDLE, "b" * 64) is None


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_damaged_one_is_replaced(tmp_path: Path, is_seen: bool) -> None:
    """Also where only the digests tell: the one that is there must not be taken for the one that was just fetched."""
    cache = Cache(tmp_path)
    path = install(cache).directory / "saved_model.pb"
    times = path.stat()
    path.write_bytes(b"!" + ONE["saved_model.pb"][1:])
    if not is_seen:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = cache.find(HANDLE, digests=not is_seen)
    assert found is not None
    assert not found.is_whole
    assert contents(install(cache).directory) == ONE
    assert names(cache) == {key_of(HANDLE)}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("a file"),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to("/dev"),
        Path.mkdir,
        lambda path: write_files(path, {"saved_model.pb": b"", ".x": b""}),
        lambda path: write_files(path, {MANIFEST: b"{"}),
        lambda path: (path.mkdir(), (path / MANIFEST).mkdir()),
        lambda path: (path.mkdir(), (path / MANIFEST).symlink_to(MANIFEST)),
        os.mkfifo,
    ],
)
def test_what_is_in_the_place_of_an_entry_goes(tmp_path: Path, make: Callable[[Path], object]) -> None:
    cache = Cache(tmp_path)
    make(tmp_path / key_of(HANDLE))
    found = cache.find(HANDLE)
    assert found is None or not found.is_whole
    assert contents(install(cache).directory) == ONE
    assert names(cache) == {key_of(HANDLE)}


def test_an_entry_that_is_a_link_to_one(tmp_path: Path) -> None:
    """Someone has moved it to another disk; every byte is compared as of any other."""
    cache = Cache(tmp_path)
    directory = install(cache).directory
    shutil.copytree(directory, tmp_path / "elsewhere")
    shutil.rmtree(directory)
    directory.symlink_to("elsewhere")
    found = cache.find(HANDLE)
    assert found is not None
    assert found.is_whole
    cache.remove(key_of(HANDLE))
    assert (tmp_path / "elsewhere").is_dir()
    assert not directory.is_symlink()


def test_the_entry_of_another_handle_is_not_served(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    directory = install(cache).directory
    directory.rename(tmp_path / key_of("https://example.com/another/1"))
    found = cache.find("https://example.com/another/1")
    assert found is not None
    assert "another handle" in found.damage[0]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/full"), os.mkfifo])
def test_a_description_that_cannot_be_read_does_no_harm(tmp_path: Path, make: Callable[[Path], object]) -> None:
    cache = Cache(tmp_path)
    make(tmp_path / f"{key_of(HANDLE)}.descriptor.txt")
    assert install(cache).is_whole
    assert names(cache) == {key_of(HANDLE)}
    cache.remove(key_of(HANDLE))
    assert os.listdir(tmp_path) == []


def test_a_description_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.replace

    def refuse(source: object, target: object) -> None:
        if str(target).endswith(".descriptor.txt"):
            raise PermissionError(errno.EPERM, "someone else's, in a sticky directory")
        original(source, target)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "replace", refuse)
    assert install(Cache(tmp_path)).is_whole
    assert os.listdir(tmp_path) == [key_of(HANDLE)]


SECRET = "https://example.com/module/1?token=hidden"


def test_a_handle_with_a_secret_is_found_and_the_secret_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert install(cache, handle=SECRET).directory.name == key_of(SECRET)
    install(cache, TWO, handle=SECRET, pin=digest_of(TWO))
    for pin, files in ((None, ONE), (digest_of(ONE), ONE), (digest_of(TWO), TWO)):
        found = cache.find(SECRET, pin)
        assert found is not None
        assert found.is_whole
        assert contents(found.directory) == files
    assert cache.find("https://example.com/module/1?token=another") is None
    assert cache.find("https://example.com/module/1?token=***") is None
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"?token=***" in text for text in texts)
    assert not any(b"hidden" in text for text in texts)


def test_the_entry_of_another_secret_is_not_served(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    install(cache, handle=SECRET).directory.rename(tmp_path / key_of(f"{SECRET}2"))
    found = cache.find(f"{SECRET}2")
    assert found is not None
    assert "another handle" in found.damage[0]


def test_a_local_archive_that_was_written_anew_replaces_what_was_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    install(cache, ONE, is_local=True, origin="")
    found = install(cache, TWO, is_local=True, origin="")
    assert contents(found.directory) == TWO
    inode = found.directory.stat().st_ino
    found = install(cache, TWO, is_local=True, origin="later", archive=FileDigest(size=1, sha256="a" * 64))
    assert found.directory.stat().st_ino == inode
    manifest = read_manifest(found.directory)
    assert manifest is not None
    assert (manifest.origin, manifest.archive) == ("later", FileDigest(size=1, sha256="a" * 64))
    assert cache.find(HANDLE, origin="earlier") is None
    assert names(cache) == {key_of(HANDLE)}


def test_a_handle_that_is_no_unicode(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert install(cache, handle="file:///srv/\udcff").is_whole
    assert cache.find("file:///srv/\udcff") is not None


def test_ten_thousand_files(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    files = {f"assets/{i % 100}/{i}": b"%d" % i for i in range(10_000)}
    directory = install(cache, files).directory
    (directory / "assets/7/9907").write_bytes(b"7099")
    found = cache.find(HANDLE)
    assert found is not None
    assert len(found.damage) == 1


def test_removing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    install(cache)
    cache.remove(key_of(HANDLE))
    cache.remove(key_of(HANDLE))
    assert os.listdir(tmp_path) == []
    assert cache.keys() == []
    assert Cache(tmp_path / "nowhere").keys() == []


def test_a_cache_directory_that_is_a_file(cache_dir: Path, publisher: Publisher) -> None:
    publisher.archives["/m"] = packed(ONE)
    cache_dir.write_text("a file")
    with pytest.raises(CacheError, match="TFHUB_CACHE_DIR") as caught:
        modhub.resolve(publisher.url("/m"))
    assert str(cache_dir) in str(caught.value)
    with pytest.raises(CacheError):
        Cache(cache_dir).keys()
    assert publisher.served == {}


# Permissions do not bind root, who runs many a test. A user without rights is bound by them, where there is one.
_AS_NOBODY = """
import os, sys, tempfile
directory, handle, warm = sys.argv[1:]
import modhub
# Everything that is imported on the way: the user without rights may not be able to read Python itself.
with tempfile.TemporaryDirectory() as folder:
    modhub.configure(cache_dir=folder, lock_file="", retries=0)
    modhub.resolve(warm)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
modhub.configure(cache_dir=directory, lock_file="", retries=0)
try:
    print(modhub.resolve(handle))
except modhub.errors.ModhubError as error:
    print(type(error).__name__, error)
"""


def as_nobody(cache: Path, publisher: Publisher, path: str) -> str:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    publisher.archives["/warm"] = packed(TWO)
    environment = os.environ | {"HOME": "/"}
    command = [sys.executable, "-c", _AS_NOBODY, str(cache), publisher.url(path), publisher.url("/warm")]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", env=environment).stdout.strip()


@pytest.fixture
def open_folder(cache_dir: Path) -> Path:
    """A cache that other users can reach."""
    cache_dir.mkdir()
    for above in cache_dir.parents:
        if above.stat().st_uid == os.getuid() and str(above).startswith("/tmp/"):
            above.chmod(0o755)
    return cache_dir


def test_a_cache_that_may_only_be_read_serves_what_it_has(open_folder: Path, publisher: Publisher) -> None:
    publisher.archives |= {"/m": packed(ONE), "/n": packed(TWO)}
    directory = modhub.resolve(publisher.url("/m"))
    for path in Path(directory).rglob("*"):
        os.utime(path)
    assert as_nobody(open_folder, publisher, "/m") == directory
    assert as_nobody(open_folder, publisher, "/n").startswith("CacheError")
    assert publisher.served.keys() == {"/m", "/warm"}
    assert publisher.served["/m"] == 1


def test_a_cache_that_may_not_be_read(open_folder: Path, publisher: Publisher) -> None:
    publisher.archives["/m"] = packed(ONE)
    modhub.resolve(publisher.url("/m"))
    open_folder.chmod(0o700)
    assert as_nobody(open_folder, publisher, "/m").startswith("CacheError")


def test_an_entry_that_may_not_be_read(open_folder: Path, publisher: Publisher) -> None:
    publisher.archives["/m"] = packed(ONE)
    entry = Path(modhub.resolve(publisher.url("/m")))
    (entry / MANIFEST).chmod(0o600)
    open_folder.chmod(0o777)
    entry.chmod(0o700)
    answer = as_nobody(open_folder, publisher, "/m")
    assert answer == str(entry)
    assert contents(entry) == ONE
    assert entry.stat().st_uid == 65534


def test_in_a_shared_cache_it_is_said_whose_a_damaged_entry_is(open_folder: Path, publisher: Publisher) -> None:
    publisher.archives["/m"] = packed(ONE)
    entry = Path(modhub.resolve(publisher.url("/m")))
    (entry / "saved_model.pb").write_bytes(b"")
    open_folder.chmod(0o1777)
    answer = as_nobody(open_folder, publisher, "/m")
    assert answer.startswith("CacheError")
    assert f"{str(entry)!r} belongs to the user 'root'" in answer
    assert sorted(os.listdir(open_folder)) == [entry.name, f"{entry.name}.descriptor.txt"]
    open_folder.chmod(0o777)
    assert as_nobody(open_folder, publisher, "/m") == str(entry)
    assert contents(entry) == ONE


@pytest.mark.parametrize("call", ["mkdir", "rename", "fsync", "replace", "link"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_what_the_system_refuses_is_told_and_leaves_nothing(
    cache_dir: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    publisher.archives["/m"] = packed(ONE)
    cache_dir.mkdir()
    original = getattr(os, call)

    def refuse(path: object, *arguments: object, **more: object) -> object:
        if isinstance(path, int) or str(path).startswith(str(cache_dir) + "/"):
            raise OSError(number, os.strerror(number))
        return original(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(CacheError):
            modhub.resolve(publisher.url("/m"))
    assert os.listdir(cache_dir) in ([], [f"{key_of(publisher.url('/m'))}.lock"])
    assert contents(Path(modhub.resolve(publisher.url("/m")))) == ONE


_WITH_LITTLE_ROOM = """
import resource, signal, sys
directory, handle, most = sys.argv[1:]
import modhub
modhub.configure(cache_dir=directory, lock_file="", retries=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
try:
    print(modhub.resolve(handle))
except modhub.errors.ModhubError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("most", [0, 10, 100, 500, 5_000, 19_000, 30_000])
def test_files_that_cannot_grow(cache_dir: Path, publisher: Publisher, most: int) -> None:
    """A limit on the size of files stands for a disk that is full."""
    publisher.archives["/m"] = packed(ONE)
    command = [sys.executable, "-c", _WITH_LITTLE_ROOM, str(cache_dir), publisher.url("/m"), str(most)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("CacheError"), answer
    assert "TFHUB_CACHE_DIR" in answer or "another cache directory" in answer
    assert cache_dir.is_dir()
    assert [name for name in os.listdir(cache_dir) if not name.endswith(".lock")] == []
    assert contents(Path(modhub.resolve(publisher.url("/m")))) == ONE
