from __future__ import annotations

import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modhub import cache, errors
from modhub.cache.manifest import read_manifest
from modhub.cache.names import key_of, pinned_key
from modhub.cache.store import Cache
from modhub.cache.transfer_index import INDEX
from modhub.format.layout import MANIFEST
from tests.cache.entries import FILES, ONE, TWO, contents, flip, members_of, pack, put, put_foreign
from tests.lint.crafted import PLAIN, Variant, write

DIGEST = "5" * 64
HIDING = f"{ONE}?token=***"
OTHER = {**FILES, "saved_model.pb": b"other graph"}
Members = dict[str, Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the machine that packs."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "here"))
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The cache of the other machine."""
    return tmp_path / "there"


@pytest.fixture
def move(here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Pack modules here, and import them there, which then is the cache; return what was imported."""

    def moved(*handles: str, name: str = "modules.tar", trust: bool = False) -> list[str]:
        cache.export(tmp_path / name, handles or None)
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(there))
        return [entry.handle for entry in cache.import_archive(tmp_path / name, trust=trust)]

    return moved


def served(directory: Path, handle: str, sha256: str | None = None) -> dict[str, bytes] | None:
    """Return the files that a cache has for a handle; None where it has none that may be used."""
    found = Cache(directory).find(handle, sha256, digests=True)
    return contents(found.directory) if found is not None and found.is_whole else None


def nothing_there(there: Path) -> bool:
    return not there.exists() or os.listdir(there) == []


@pytest.mark.parametrize("name", ["modules.tar", "modules.tar.gz", "modules.TGZ"])
def test_what_was_packed_is_found_on_another_machine(
    here: Path, there: Path, tmp_path: Path, move: Callable[..., list[str]], name: str
) -> None:
    put(here, ONE)
    put(here, TWO, OTHER)
    assert move(name=name) == [ONE, TWO]
    assert (served(there, ONE), served(there, TWO)) == (FILES, OTHER)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == (name != "modules.tar")
    before, after = (read_manifest(place / key_of(ONE)) for place in (here, there))
    assert before is not None
    assert after is not None
    assert (after.source, after.downloaded, after.by) == (before.source, before.downloaded, before.by)
    assert sorted(path.name for path in there.iterdir() if path.is_dir()) == sorted([key_of(ONE), key_of(TWO)])


def test_only_what_was_named_is_packed_and_once(here: Path, tmp_path: Path) -> None:
    put(here, ONE)
    put(here, TWO)
    packed = cache.export(tmp_path / "modules.tar", [TWO, key_of(TWO), TWO])
    assert [entry.handle for entry in packed] == [TWO]
    assert {name.partition("/")[0] for name in members_of(tmp_path / "modules.tar")} == {INDEX, key_of(TWO)}


@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
def test_the_same_entries_make_the_same_bytes(here: Path, tmp_path: Path, suffix: str) -> None:
    for handle in (TWO, ONE):
        put(here, handle)
    for name, handles in [("a", [ONE, TWO]), ("b", [TWO, ONE]), ("c", None)]:
        cache.export(tmp_path / f"{name}{suffix}", handles)
    assert len({(tmp_path / f"{name}{suffix}").read_bytes() for name in "abc"}) == 1


def test_names_that_are_long_or_not_ascii(here: Path, there: Path, move: Callable[..., list[str]]) -> None:
    handle = "https://example.com/größe/" + "x" * 300
    files = {"assets/" + "n" * 200 + "ä": b"", f"{'d/' * 30}file with spaces": b"1" * 3_000_000}
    put(here, handle, files)
    assert move() == [handle]
    assert served(there, handle) == files


def test_a_module_of_tensorflow_hub_is_packed_with_a_manifest(
    here: Path, there: Path, tmp_path: Path, move: Callable[..., list[str]]
) -> None:
    module = Path(write(tmp_path / "module", Variant(signatures=PLAIN, variables=["v"])))
    put_foreign(here, ONE, contents(module), described=ONE)
    assert move() == [ONE]
    assert served(there, ONE) == contents(module)


def test_versions_that_were_pinned_are_all_found(here: Path, there: Path, move: Callable[..., list[str]]) -> None:
    put(here, ONE)
    other = put(here, ONE, OTHER, pin=True).manifest
    assert other is not None
    assert move() == [ONE, ONE]
    assert served(there, ONE) == FILES
    assert served(there, ONE, other.sha256) == OTHER


def test_a_version_that_was_pinned_may_come_alone(here: Path, there: Path, move: Callable[..., list[str]]) -> None:
    put(here, ONE)
    other = put(here, ONE, OTHER, pin=True).manifest
    assert other is not None
    assert move(f"{ONE}#sha256={other.sha256}") == [ONE]
    assert served(there, ONE, other.sha256) == OTHER


def test_secrets_are_not_packed_and_the_modules_are_found(
    here: Path, there: Path, tmp_path: Path, move: Callable[..., list[str]]
) -> None:
    handle, shown = f"{ONE}?token=hidden", f"{ONE}?token=***"
    put(here, handle)
    other = put(here, handle, OTHER, pin=True).manifest
    assert other is not None
    assert move() == [shown, shown]
    assert b"hidden" not in (tmp_path / "modules.tar").read_bytes()
    assert (served(there, handle), served(there, handle, other.sha256)) == (FILES, OTHER)
    assert served(there, shown) is None


def test_a_handle_of_which_a_part_was_not_kept_is_not_packed(here: Path, tmp_path: Path) -> None:
    put(here, "sftp://me@example.com/one/1")
    with pytest.raises(errors.InvalidArgumentError, match="user name"):
        cache.export(tmp_path / "modules.tar", ["sftp://me@example.com/one/1"])
    assert os.listdir(tmp_path) == ["here"]
    put(here, ONE)
    assert [entry.handle for entry in cache.export(tmp_path / "modules.tar")] == [ONE]


@pytest.mark.parametrize("trust", [False, True])
def test_the_digest_of_an_archive_is_only_believed_on_demand(
    here: Path, there: Path, move: Callable[..., list[str]], trust: bool
) -> None:
    put(here, ONE, archive=DIGEST)
    assert served(here, ONE, DIGEST) == FILES
    move(trust=trust)
    assert served(there, ONE, DIGEST) == (FILES if trust else None)
    assert served(there, ONE) == FILES


def test_what_is_there_and_whole_stays(here: Path, there: Path, move: Callable[..., list[str]]) -> None:
    put(there, ONE, OTHER)
    put(here, ONE)
    put(here, TWO)
    assert move() == [ONE, TWO]
    assert (served(there, ONE), served(there, TWO)) == (OTHER, FILES)


def test_what_is_there_and_damaged_is_replaced(here: Path, there: Path, move: Callable[..., list[str]]) -> None:
    damaged = put(there, ONE)
    (damaged.directory / "saved_model.pb").unlink()
    put(here, ONE)
    assert move() == [ONE]
    assert served(there, ONE) == FILES


def test_an_import_can_be_repeated(here: Path, there: Path, tmp_path: Path, move: Callable[..., list[str]]) -> None:
    put(here, ONE)
    first = move()
    assert [entry.handle for entry in cache.import_archive(tmp_path / "modules.tar")] == first


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_module_is_not_packed(here: Path, tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    put(here, ONE)
    damage(put(here, TWO).directory / "saved_model.pb")
    with pytest.raises(errors.CorruptModuleError, match=r"two/2.*'saved_model.pb'.*--repair"):
        cache.export(tmp_path / "modules.tar")
    assert os.listdir(tmp_path) == ["here"]


def test_what_no_other_machine_could_ask_for_is_left_out(here: Path, tmp_path: Path) -> None:
    local = "file:///srv/module.tar"
    put(here, local, origin="1 2 3 4")
    put_foreign(here, TWO, FILES, described=None)
    with pytest.raises(errors.HandleNotFoundError, match="no module that could be packed"):
        cache.export(tmp_path / "modules.tar")
    for handle, problem in [(local, "Copy the archive"), (TWO, "nothing says which handle")]:
        with pytest.raises(errors.InvalidArgumentError, match=problem):
            cache.export(tmp_path / "modules.tar", [handle])
    put(here, ONE)
    assert [entry.handle for entry in cache.export(tmp_path / "modules.tar")] == [ONE]


def test_a_file_is_only_overwritten_on_demand(here: Path, tmp_path: Path) -> None:
    put(here, ONE)
    target = tmp_path / "modules.tar"
    target.write_bytes(b"precious")
    with pytest.raises(errors.ExportExistsError, match="exists"):
        cache.export(target)
    assert target.read_bytes() == b"precious"
    cache.export(target, overwrite=True)
    assert INDEX in members_of(target)


@pytest.mark.parametrize(
    ("name", "error"),
    [("", errors.ExportExistsError), ("none/modules.tar", errors.ExportError), ("x" * 300, errors.ExportError)],
)
def test_a_file_that_cannot_be_written(here: Path, tmp_path: Path, name: str, error: type[Exception]) -> None:
    put(here, ONE)
    with pytest.raises(error):
        cache.export(tmp_path / name, overwrite=True)
    assert os.listdir(tmp_path) == ["here"]


def test_a_full_disk_leaves_nothing(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(here, ONE)

    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises((errors.ExportError, OSError), match="No space left"):
        cache.export(tmp_path / "modules.tar")
    assert os.listdir(tmp_path) == ["here"]


def good(here: Path, tmp_path: Path) -> Members:
    """Return the members of a good file of two modules."""
    put(here, ONE)
    put(here, TWO, OTHER)
    cache.export(tmp_path / "good.tar")
    return members_of(tmp_path / "good.tar")


def in_index(members: Members, **changes: Any) -> Members:
    index = json.loads(members[INDEX])
    index["entries"][0].update(changes)
    return {**members, INDEX: json.dumps(index).encode()}


def in_manifest(members: Members, **changes: Any) -> Members:
    name = f"{key_of(ONE)}/{MANIFEST}"
    return {**members, name: json.dumps({**json.loads(members[name]), **changes}).encode()}


def link(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


HOSTILE: dict[str, Callable[[Members], Members]] = {
    "without an index": lambda m: {name: m[name] for name in m if name != INDEX},
    "an index that is no JSON": lambda m: {**m, INDEX: b"{"},
    "an index of nothing but brackets": lambda m: {**m, INDEX: b"[" * 100_000},
    "an index that is a list": lambda m: {**m, INDEX: b"[]"},
    "an index that is not UTF-8": lambda m: {**m, INDEX: b"\xff\xfe\x00"},
    "an index of numbers": lambda m: {**m, INDEX: b'{"version": 1, "entries": [1, 2]}'},
    "an index of a later version": lambda m: {**m, INDEX: b'{"version": 2, "entries": []}'},
    "an index of no version": lambda m: {**m, INDEX: b'{"version": true, "entries": "x"}'},
    "an empty index": lambda m: {**m, INDEX: b'{"version": 1, "entries": []}'},
    "a module that is listed twice": lambda m: in_index(m, key=key_of(TWO)),
    "a key that is a path": lambda m: in_index(m, key="../" + "0" * 37),
    "a key of another handle": lambda m: in_index(m, handle=TWO),
    "a key that is a number": lambda m: in_index(m, key=5),
    "a handle of a file": lambda m: in_index(m, handle="file:///etc/passwd"),
    "a handle that is a path": lambda m: in_index(m, handle="/etc"),
    "a manifest with another key": lambda m: in_manifest(m, key=key_of(TWO)),
    "a key that is a path, of a handle with a secret": lambda m: in_index(
        in_manifest(m, handle=HIDING, key="../evil"),
        handle=HIDING,
        key=pinned_key(HIDING, json.loads(m[f"{key_of(ONE)}/{MANIFEST}"])["sha256"], "../evil"),
    ),
    "another digest": lambda m: in_index(m, sha256=DIGEST),
    "a manifest of another handle": lambda m: in_manifest(m, handle=TWO),
    "a manifest with another digest": lambda m: in_manifest(m, sha256=DIGEST),
    "a manifest without files": lambda m: in_manifest(m, files={}),
    "a manifest of a later version": lambda m: in_manifest(m, version=2),
    "a manifest that is no object": lambda m: {**m, f"{key_of(ONE)}/{MANIFEST}": b"5"},
    "no manifest": lambda m: {name: m[name] for name in m if name != f"{key_of(ONE)}/{MANIFEST}"},
    "an altered file": lambda m: {**m, f"{key_of(TWO)}/saved_model.pb": b"other grapH"},
    "a missing file": lambda m: {name: m[name] for name in m if name != f"{key_of(ONE)}/saved_model.pb"},
    "a module without its files": lambda m: {name: m[name] for name in m if not name.startswith(key_of(ONE))},
    "a file too many": lambda m: {**m, f"{key_of(ONE)}/more": b"x"},
    "a hidden file too many": lambda m: {**m, f"{key_of(ONE)}/.more": b"x"},
    "a folder too many": lambda m: {**m, f"{'0' * 40}/saved_model.pb": b"x"},
    "a file in the root": lambda m: {**m, "more": b"x"},
    "a manifest in the root": lambda m: {**m, MANIFEST: b"{}"},
    "a file outside": lambda m: {**m, f"{key_of(ONE)}/../../../evil": b"x"},
    "an absolute name": lambda m: {**m, "/tmp/evil": b"x"},
    "a link": lambda m: {**m, "link": link(f"{key_of(ONE)}/link")},
    "a link in the place of a module": lambda m: {**m, "link": link(key_of(ONE))},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_is_taken_of_a_file_that_is_not_right(
    here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    path = pack(tmp_path / "bad.tar", HOSTILE[case](good(here, tmp_path)))
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(there))
    with pytest.raises(errors.ModuleFormatError, match=r"bad\.tar|manifest"):
        cache.import_archive(path)
    assert nothing_there(there)
    assert not (tmp_path / "evil").exists()


def test_every_bit_flip_and_cut_is_found_or_does_no_harm(
    here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(here, tmp_path)
    whole = (tmp_path / "good.tar").read_bytes()
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(there))
    chosen = random.Random(5)
    refused = 0
    for turn in range(150):
        data = bytearray(whole)
        if turn % 5:
            data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        else:
            del data[chosen.randrange(len(data)) :]
        (tmp_path / "bad.tar").write_bytes(data)
        try:
            cache.import_archive(tmp_path / "bad.tar")
        except errors.ModuleFormatError:
            refused += 1
            assert nothing_there(there)
            continue
        # A time or a source may be another one; the files are what they were.
        assert (served(there, ONE), served(there, TWO)) == (FILES, OTHER)
        for entry in cache.entries():
            cache.remove(entry.key)
    assert refused > 100


def test_an_import_that_is_stopped_leaves_whole_modules_only(
    here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(here, tmp_path)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(there))
    install = Cache.install

    def stopped(self: Cache, temporary: Path, *args: Any) -> Any:
        if temporary.name == key_of(TWO):
            raise KeyboardInterrupt
        return install(self, temporary, *args)

    monkeypatch.setattr(Cache, "install", stopped)
    with pytest.raises(KeyboardInterrupt):
        cache.import_archive(tmp_path / "good.tar")
    assert [path.name for path in there.iterdir() if path.is_dir()] == [key_of(ONE)]
    assert served(there, ONE) == FILES


def test_an_archive_of_one_module_is_no_file_of_the_cache(here: Path, tmp_path: Path) -> None:
    path = pack(tmp_path / "module.tar", FILES)
    with pytest.raises(errors.NotAModuleError, match="is a handle by itself"):
        cache.import_archive(path)
    assert nothing_there(here)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, errors.HandleNotFoundError),
        (Path.mkdir, errors.NotAModuleError),
        (os.mkfifo, errors.NotAModuleError),
        (lambda path: path.write_bytes(b""), errors.ModuleFormatError),
        (lambda path: path.write_bytes(b"text" * 1000), errors.ModuleFormatError),
    ],
    ids=["missing", "directory", "pipe", "empty", "text"],
)
def test_what_is_no_archive_is_refused(
    here: Path, tmp_path: Path, make: Callable[[Path], Any], error: type[Exception]
) -> None:
    make(tmp_path / "modules.tar")
    with pytest.raises(error, match=r"modules\.tar"):
        cache.import_archive(tmp_path / "modules.tar")
    assert nothing_there(here)


def test_a_cache_that_is_a_file_cannot_be_imported_to(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(here, tmp_path)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(errors.CacheError, match="TFHUB_CACHE_DIR"):
        cache.import_archive(tmp_path / "good.tar")
