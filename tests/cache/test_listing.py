from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modhub
from modhub import cache, errors
from modhub.cache.listing import matching
from modhub.cache.names import descriptor_name, key_of, temporary_name
from modhub.cache.owner import new_owner
from modhub.format.layout import MANIFEST
from tests.cache.entries import FILES, ONE, TWO, contents, flip, put, put_foreign, write_files
from tests.lint.crafted import PLAIN, Variant, write

OTHER = {"saved_model.pb": b"other", "big": b"0" * 1000}
DIGEST = "5" * 64
DAY = 24 * 3600


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def handles() -> list[str]:
    return [entry.handle for entry in cache.entries()]


def used(directory: Path, days_ago: float) -> None:
    then = time.time() - days_ago * DAY
    os.utime(directory / MANIFEST, (then, then))


def test_a_cache_that_is_not_there_is_empty(place: Path) -> None:
    assert cache.directory() == place
    assert cache.entries() == cache.verify() == []
    assert cache.gc() == cache.Collected(entries=(), leftovers=(), freed=0)
    assert not place.exists()


def test_a_cache_that_is_a_file_is_an_error(place: Path) -> None:
    place.write_bytes(b"")
    for call in (cache.entries, cache.verify, cache.gc):
        with pytest.raises(errors.CacheError, match="cannot be read"):
            call()


def test_an_entry_says_what_its_manifest_says(place: Path) -> None:
    found = put(place, ONE, archive=DIGEST)
    (found.directory / ".hidden").write_bytes(b"of the system")
    (entry,) = cache.entries()
    assert found.manifest is not None
    assert entry == cache.info(ONE) == cache.info(key_of(ONE))
    assert (entry.handle, entry.key, entry.directory) == (ONE, key_of(ONE), place / key_of(ONE))
    assert (entry.sha256, entry.archive_sha256) == (found.manifest.sha256, DIGEST)
    assert (entry.source, entry.downloaded) == (f"{ONE}?source", found.manifest.downloaded)
    assert entry.by == f"modhub {modhub.__version__}"
    assert abs(entry.last_used - time.time()) < 60


def test_sizes_are_those_of_the_files(place: Path) -> None:
    put(place, ONE)
    entry = cache.info(ONE)
    assert (entry.files, entry.size) == (len(FILES), sum(map(len, FILES.values())))


def test_entries_come_by_handle_and_what_is_no_entry_is_passed_over(place: Path) -> None:
    for handle in (TWO, ONE):
        put(place, handle)
    (place / "notes.txt").write_bytes(b"")
    (place / "0123").mkdir()
    (place / ("0" * 40)).mkdir()
    (place / ("1" * 40)).write_bytes(b"a file")
    assert handles() == [ONE, TWO]


@pytest.mark.parametrize(
    ("described", "handle"), [(ONE, ONE), (None, ""), (TWO, "")], ids=["described", "not described", "misdescribed"]
)
def test_an_entry_of_tensorflow_hub(place: Path, described: str | None, handle: str) -> None:
    put_foreign(place, ONE, FILES, described=described)
    (entry,) = cache.entries()
    assert (entry.handle, entry.by, entry.sha256) == (handle, "tensorflow_hub", None)
    assert entry.files == len(FILES)
    assert cache.info(ONE) == entry  # whoever knows the handle finds it
    with pytest.raises(errors.HandleNotFoundError):
        cache.remove("")
    assert entry.downloaded == ("" if described is None else "2026-01-02 03:04:05.678")


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_bytes(f"Module: {ONE}\n".encode() * 2**16),
        lambda path: path.write_bytes(b"\xff\xfe\0"),
    ],
    ids=["directory", "pipe", "device", "long", "bytes"],
)
def test_a_description_that_is_none(place: Path, make: Callable[[Path], Any]) -> None:
    directory = put_foreign(place, ONE, FILES, described=None)
    make(place / descriptor_name(directory.name))
    (entry,) = cache.entries()
    assert (entry.handle, entry.downloaded) == ("", "")
    assert cache.verify()[0].damage


SECRET = "https://example.com/one/1?token=hidden"
MASKED = "https://example.com/one/1?token=***"


def test_secrets_are_not_shown_and_the_entry_is_found(place: Path) -> None:
    put(place, SECRET)
    other = put(place, SECRET, OTHER, pin=True)
    put(place, f"{SECRET}2")
    assert handles() == [MASKED] * 3
    assert not [each for each in cache.entries() if "hidden" in repr(each)]
    assert len(matching(MASKED)) == 3
    assert {entry.key for entry in matching(SECRET)} == {key_of(SECRET), other.key}
    assert other.manifest is not None
    assert [entry.key for entry in matching(f"{SECRET}#sha256={other.manifest.sha256}")] == [other.key]
    assert [found.damage for found in cache.verify()] == [(), (), ()]
    assert [entry.key for entry in cache.remove(f"{SECRET}2")] == [key_of(f"{SECRET}2")]
    with pytest.raises(errors.HandleNotFoundError) as caught:
        cache.info(f"{SECRET}3")
    assert "hidden" not in str(caught.value)


def test_secrets_that_tensorflow_hub_kept_are_not_shown(place: Path, tmp_path: Path) -> None:
    module = Path(write(tmp_path / "module", Variant(signatures=PLAIN, variables=["v"])))
    directory = put_foreign(place, SECRET, contents(module), described=SECRET)
    assert handles() == [MASKED]
    assert [(found.handle, found.damage) for found in cache.verify()] == [(MASKED, ())]
    assert cache.info(SECRET).sha256 is not None
    assert "hidden" not in (directory / MANIFEST).read_text()


def test_an_entry_with_a_damaged_manifest_is_listed(place: Path) -> None:
    directory = put(place, ONE).directory
    (directory / MANIFEST).write_bytes(b"{")
    entry = cache.info(ONE)
    assert (entry.handle, entry.sha256) == (ONE, None)
    (found,) = cache.verify([ONE])
    assert "manifest" in found.damage[0]


def test_a_handle_that_is_not_there_gets_a_suggestion_without_passwords(place: Path) -> None:
    put(place, "https://me:secret@example.com/one/1")
    for call in (cache.info, cache.remove, lambda handle: cache.verify([handle])):
        with pytest.raises(errors.HandleNotFoundError, match=r"Did you mean .*example.com/one/1") as caught:
            call("https://me:hidden@example.com/one/2")
        assert "secret" not in str(caught.value)
        assert "hidden" not in str(caught.value)
    with pytest.raises(errors.HandleNotFoundError):
        cache.info("")


def test_a_local_archive_is_found_by_its_path(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a module.tar"
    put(place, path.as_uri(), origin="1 2 3 4")
    monkeypatch.chdir(tmp_path)
    for handle in (str(path), "a module.tar", path.as_uri()):
        assert cache.info(handle).handle == path.as_uri()


def test_a_pin_chooses_one_of_several_versions(place: Path) -> None:
    first = put(place, ONE, archive=DIGEST).manifest
    second = put(place, ONE, OTHER, pin=True).manifest
    assert first is not None
    assert second is not None
    assert len(cache.verify([ONE])) == 2
    assert cache.info(f"{ONE}#sha256={second.sha256.upper()}").sha256 == second.sha256
    assert cache.info(f"{ONE}#sha256={DIGEST}").sha256 == first.sha256
    with pytest.raises(errors.HandleNotFoundError):
        cache.remove(f"{ONE}#sha256={'6' * 64}")
    assert [entry.sha256 for entry in cache.remove(f"{ONE}#sha256={second.sha256}")] == [second.sha256]
    assert [entry.sha256 for entry in cache.entries()] == [first.sha256]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (flip, "was altered"),
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(b"longer than it was"), "bytes instead of"),
        (lambda path: path.with_name("more").write_bytes(b""), "does not belong to it"),
        (lambda path: (path.unlink(), path.symlink_to("variables/variables.index")), "is not a file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is not a file"),
    ],
    ids=["flipped", "missing", "longer", "more", "link", "pipe"],
)
def test_verify_says_what_is_damaged(place: Path, damage: Callable[[Path], Any], says: str) -> None:
    damage(put(place, ONE).directory / "saved_model.pb")
    put(place, TWO)
    one, two = cache.verify()
    assert (one.handle, one.key, one.directory) == (ONE, key_of(ONE), place / key_of(ONE))
    assert any(says in problem for problem in one.damage)
    assert (two.handle, two.damage) == (TWO, ())
    assert cache.verify([TWO]) == [two]


def test_what_tensorflow_hub_left_half_done_is_damaged(place: Path, tmp_path: Path) -> None:
    module = Path(write(tmp_path / "module", Variant(signatures=PLAIN, variables=["v"])))
    files = {str(path.relative_to(module)): path.read_bytes() for path in module.rglob("*") if path.is_file()}
    put_foreign(place, ONE, files, described=ONE)
    put_foreign(place, TWO, {name: data for name, data in files.items() if ".data-" not in name}, described=TWO)
    one, two = cache.verify()
    assert one.damage == ()
    assert two.damage
    assert cache.info(ONE).sha256 is not None  # it has got a manifest
    assert cache.info(TWO).sha256 is None


def test_remove_takes_all_of_an_entry_and_nothing_else(place: Path) -> None:
    put(place, ONE)
    put(place, TWO)
    assert [entry.handle for entry in cache.remove(ONE)] == [ONE]
    assert handles() == [TWO]
    assert not [name for name in os.listdir(place) if name.startswith(key_of(ONE))]


def test_gc_removes_what_was_not_used_for_long(place: Path) -> None:
    for days, handle in [(5, ONE), (1, TWO)]:
        used(put(place, handle).directory, days)
    for dry_run in (True, False):
        assert handles() == [ONE, TWO]
        done = cache.gc(older_than=3 * DAY, dry_run=dry_run)
        assert [entry.handle for entry in done.entries] == [ONE]
        assert done.freed == sum(map(len, FILES.values()))
    assert handles() == [TWO]


@pytest.mark.parametrize(("room", "kept"), [(10_000, ["a", "b", "c"]), (1100, ["b"]), (1005, ["b"]), (60, []), (0, [])])
def test_gc_keeps_what_was_used_last_as_far_as_there_is_room(place: Path, room: int, kept: list[str]) -> None:
    base = "https://example.com/"
    for name, days, files in [("a", 3, FILES), ("b", 1, OTHER), ("c", 2, OTHER)]:
        used(put(place, base + name, files).directory, days)
    done = cache.gc(max_size=room)
    assert [handle.removeprefix(base) for handle in handles()] == kept
    assert len(done.entries) == 3 - len(kept)


def test_a_hit_counts_as_use(place: Path) -> None:
    used(put(place, ONE).directory, 9)
    modhub.resolve(ONE)
    assert cache.gc(older_than=DAY).entries == ()
    assert handles() == [ONE]


def test_gc_removes_what_dead_processes_left_and_nothing_of_others(place: Path) -> None:
    put(place, ONE)
    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(pid, 0)
    mine = new_owner()
    dead = mine.replace(f"p{os.getpid()}s", f"p{pid}s")
    elsewhere = dead.replace(mine[:9], "m00000000")
    for owner in (mine, dead, elsewhere):
        write_files(place / temporary_name(key_of(TWO), owner, "tmp"), FILES)
        (place / temporary_name(key_of(TWO), owner, "part")).write_bytes(b"12345")
    left = {temporary_name(key_of(TWO), dead, kind) for kind in ("tmp", "part")}
    for dry_run in (True, False):
        done = cache.gc(dry_run=dry_run)
        assert {path.name for path in done.leftovers} == left
        assert done.freed == sum(map(len, FILES.values())) + 5
    assert not left & set(os.listdir(place))
    assert len(os.listdir(place)) == 6  # the entry, its description, and what others are at work on
    assert handles() == [ONE]


@pytest.mark.parametrize(
    "arguments", [{"max_size": -1}, {"older_than": -0.1}, {"max_size": "10GB"}, {"older_than": float("nan")}]
)
def test_gc_refuses_what_is_no_amount(place: Path, arguments: dict[str, Any]) -> None:
    put(place, ONE)
    with pytest.raises(errors.InvalidArgumentError, match="is no number of"):
        cache.gc(**arguments)
    assert handles() == [ONE]
