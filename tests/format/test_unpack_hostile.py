from __future__ import annotations

import errno
import gzip
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.errors import CacheError, CorruptModuleError, DownloadError, NotAModuleError
from modhub.format.archive_limits import Limits
from modhub.format.unpack import unpack
from tests.attacks.mutations import apply_mutation
from tests.format.hostile_archives import END, FILES, REFUSED, archive, entry, header, pax, write_bomb
from tests.format.unpacking import ODD_PIECES, Pieces, there, threads_left, unpack_bytes


@pytest.mark.parametrize("sizes", [(1,), ODD_PIECES])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_members_refuses_is_refused(tmp_path: Path, name: str, packed: bool, sizes: tuple[int, ...]) -> None:
    data, message = REFUSED[name]
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    with pytest.raises(CorruptModuleError) as caught:
        unpack_bytes(gzip.compress(data + END) if packed else data + END, target / "x", sizes=sizes)
    assert message in str(caught.value)
    assert "'an archive'" in str(caught.value)
    assert len(str(caught.value)) < 500
    # Nothing is outside of the target, and in it nothing but what came before.
    assert {path.relative_to(target).parts[0] for path in target.rglob("*")} == {"x"}
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert there(target / "x").keys() <= {"a", "a/b", "d"}
    assert threads_left() == []


@pytest.mark.parametrize(
    ("limits", "data", "message"),
    [
        (Limits(members=3), entry(b"1") + entry(b"2") + entry(b"3") + entry(b"4"), "more than 3 files and directories"),
        (Limits(members=3), entry(b"a/b/c/d"), "more than 3 files and directories"),
        (Limits(members=3), pax(kind=b"g") * 4 + entry(b"a"), "more than 3 files and directories"),
        (Limits(depth=2), entry(b"a/b/c"), "more than 2 parts"),
        (Limits(name_bytes=3), entry("ää".encode()), "more than 3 bytes"),
        (Limits(all_name_bytes=3), entry(b"a/b"), "names of more than 3 bytes"),
        (Limits(bytes=2000), entry(b"a", bytes(2000)), "unpacks to more than 2000 bytes"),
        (Limits(bytes=2000), entry(b"a", bytes(10)) + entry(b"b"), "unpacks to more than 2000 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_limits_are_kept(tmp_path: Path, limits: Limits, data: bytes, message: str, packed: bool) -> None:
    data = gzip.compress(data + END) if packed else data + END
    unpack_bytes(data, tmp_path / "taken")
    with pytest.raises(CorruptModuleError, match=message):
        unpack_bytes(data, tmp_path / "refused", limits)


@pytest.mark.parametrize("announced", [False, True])
def test_a_bomb_is_stopped_early(tmp_path: Path, announced: bool) -> None:
    write_bomb(tmp_path / "bomb", 2**28, header(b"zeros", 2**28 - 1024))
    data = (tmp_path / "bomb").read_bytes()
    (tmp_path / "target").mkdir()
    with pytest.raises(CorruptModuleError, match=r"more than 200 times its \d+ bytes, which is refused"):
        unpack(Pieces(data), "a bomb", tmp_path / "target", packed_size=len(data) if announced else None)
    written = sum(path.stat().st_size for path in (tmp_path / "target").iterdir())
    # What is announced is known from the start; else so much is taken, and the ratio of what came.
    assert written == 0 if announced else written <= Limits().ratio_from


def test_zeros_at_the_start_are_taken_where_the_size_is_announced(tmp_path: Path) -> None:
    data = gzip.compress(archive({"zeros": bytes(2**20), "noise": os.urandom(2**18)}))
    limits = Limits(ratio=10, ratio_from=2**16)
    (tmp_path / "target").mkdir()
    unpacked = unpack(Pieces(data, (1000,)), "it", tmp_path / "target", limits, packed_size=len(data))
    assert list(unpacked.files) == ["noise", "zeros"]
    with pytest.raises(CorruptModuleError, match="times its"):
        unpack_bytes(data, tmp_path / "other", limits, sizes=(1000,))


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, packed: bool) -> None:
    data = b"".join(entry(name.encode(), text) for name, text in FILES.items()) + END
    data = gzip.compress(data) if packed else data
    unpack_bytes(data, tmp_path / "whole", sizes=ODD_PIECES)
    for length in range(0, len(data), 1 if packed else 13):
        # Before these bytes nothing tells that it was an archive.
        error = CorruptModuleError if length >= (2 if packed else 262) else NotAModuleError
        with pytest.raises(error):
            unpack_bytes(data[:length], tmp_path / f"{length}", sizes=ODD_PIECES)
    assert threads_left() == []


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    # With the name of a file in the header of gzip, which has no checksum.
    target = io.BytesIO()
    with gzip.GzipFile("name", "wb", 9, target, mtime=77) as file:
        file.write(archive(FILES))
    data = target.getvalue()
    unpack_bytes(data, tmp_path / "whole")
    whole = there(tmp_path / "whole")
    taken = 0
    for place in range(len(data)):
        for bit in range(8):
            folder = tmp_path / f"{place}.{bit}"
            try:
                unpack_bytes(apply_mutation(data, ("flip", place, 1 << bit)), folder)
            except (CorruptModuleError, NotAModuleError):
                continue
            taken += 1
            assert there(folder) == whole
    # The time, the system, the level and the name, whose last byte ends it; and the bit for text.
    assert 8 * 4 <= taken <= 8 * 13 + 1


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"", None),
        (bytes(100_000), None),
        (gzip.compress(bytes(20480)), None),
        (b"garbage", "after the end of what gzip packed"),
        (bytes(600_000) + b"x", "after the end of what gzip packed"),
        (b"\x1f", "cut off"),
        (gzip.compress(b"garbage"), "more after its end"),
    ],
)
def test_after_the_end_there_is_padding_only(tmp_path: Path, tail: bytes, message: str | None) -> None:
    data = archive(FILES, packed=True) + tail
    if message is None:
        unpack_bytes(data, tmp_path / "target", sizes=ODD_PIECES)
    else:
        with pytest.raises(CorruptModuleError, match=message):
            unpack_bytes(data, tmp_path / "target", sizes=ODD_PIECES)


@pytest.mark.parametrize(
    "files",
    [
        {".modhub-manifest.json": b"{}", "a": b""},
        {".MODHUB-Manifest.JSON": b"{}", "a": b""},
        {".modhub-manife\u017ft.json": b"{}", "a": b""},
        {".modhub-manifest.json/a": b""},
        {"m/saved_model.pb": b"1", "m/.Modhub-manifest.json": b"{}"},
        {"m/saved_model.pb": b"1", "m/.modhub-manifest.json/x": b"{}"},
        {".modhub-manifest.json/saved_model.pb": b"1"},
    ],
)
def test_the_name_of_the_manifest_is_kept_for_it(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(CorruptModuleError, match="which is kept for what the cache says"):
        unpack_bytes(archive(files), tmp_path / "target")


def test_the_name_of_the_manifest_is_any_other_deeper_down(tmp_path: Path) -> None:
    files = {"assets/.modhub-manifest.json": b"{}", "m/m/.modhub-manifest.json": b"{}"}
    assert list(unpack_bytes(archive(files), tmp_path / "target").files) == sorted(files)


def symbolic_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def dangling_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "nothing")


def hard_link(path: Path, outside: Path) -> None:
    os.link(outside / "victim", path)


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, outside: Path) -> None:
    path.mkdir()


def file(path: Path, outside: Path) -> None:
    path.write_bytes(b"first")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that nothing may be written to."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_bytes(b"as it was")
    return tmp_path / "outside"


IN_PLACE = [symbolic_link, dangling_link, hard_link, pipe, folder, file]


@pytest.mark.parametrize("put", IN_PLACE)
def test_a_directory_that_is_not_empty_is_left_as_it_is(
    tmp_path: Path, outside: Path, put: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "target").mkdir()
    put(tmp_path / "target" / "variables", outside)
    with pytest.raises(CacheError, match="'variables'; an archive is unpacked into an empty directory"):
        unpack(Pieces(archive(FILES)), "an archive", tmp_path / "target")
    assert os.listdir(tmp_path / "target") == ["variables"]
    assert there(outside) == {"victim": b"as it was"}


@pytest.mark.parametrize("name", ["other", "variables", "variables/variables.index", "variables/a/b"])
@pytest.mark.parametrize("put", IN_PLACE)
def test_what_is_put_in_the_way_meanwhile_is_not_followed_or_overwritten(
    tmp_path: Path, outside: Path, put: Callable[[Path, Path], None], name: str
) -> None:
    """The same happens on a file system that takes two names of an archive for one: the second is there already."""
    first = entry(b"variables", kind=b"5") if "/" in name else b""
    first += entry(b"first", b"text") + entry(b"second", bytes(2**18))
    kind = b"5" if name == "variables" else b"0"

    def at(place: int) -> None:
        way = tmp_path / "target" / name.replace("/a/b", "/a")
        # All that came before this place has been handed on to be written, but for what is buffered.
        if place >= 2**17 and not os.path.lexists(way):
            assert wait_until((tmp_path / "target" / "first").exists)
            put(way, outside)

    (tmp_path / "target").mkdir()
    source = Pieces(first + entry(name.encode(), kind=kind) + END, (2**14,), at)
    with pytest.raises(CorruptModuleError, match="is there already when it comes to write it"):
        unpack(source, "an archive", tmp_path / "target")
    assert there(outside) == {"victim": b"as it was"}
    assert threads_left() == []


def test_two_names_that_the_file_system_tells_apart_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "case").write_bytes(b"")
    if (tmp_path / "CASE").exists():
        pytest.skip("this file system does not tell case apart")
    files = {"a": b"1", "A": b"2", "d/x": b"3", "D/x": b"4", "e\u0301": b"5", "\u00e9": b"6"}
    unpack_bytes(archive(files), tmp_path / "target")
    assert {name: data for name, data in there(tmp_path / "target").items() if data is not None} == files


@pytest.mark.parametrize("form", ["{}", "d/{}", "{}/f"])
def test_a_name_that_the_file_system_does_not_take_is_told(tmp_path: Path, form: str) -> None:
    name = form.format("n" * 300)
    with pytest.raises(CorruptModuleError, match="which this file system does not take"):
        unpack_bytes(archive({"a": b"", name: b""}), tmp_path / "target")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b""), lambda path: os.mkfifo(path)])
def test_a_target_that_is_no_directory_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "target")
    source = Pieces(b"", at=lambda place: pytest.fail("nothing is read"))
    with pytest.raises(CacheError, match=f"{tmp_path}/target' cannot be unpacked into"):
        unpack(source, "an archive", tmp_path / "target")


@pytest.mark.parametrize("place", [0, 1, 600, 50_000, 400_000])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (DownloadError("no more of it", "https://host/m", 503), DownloadError, "^no more of it$"),
        (OSError(errno.EIO, "Input/output error"), CorruptModuleError, "'an archive' cannot be read: .*Input/output"),
        (ConnectionResetError("by peer"), CorruptModuleError, "'an archive' cannot be read: by peer"),
        (ValueError("read of closed file"), CorruptModuleError, "'an archive' cannot be used: read of closed file"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
        (MemoryError(), MemoryError, "^$"),
    ],
)
def test_what_the_source_raises_ends_it(
    tmp_path: Path, raised: BaseException, expected: type[BaseException], message: str, packed: bool, place: int
) -> None:
    data = archive({"a": b"text", "b": os.urandom(500_000)}, packed=packed)

    def at(here: int) -> None:
        if here >= place:
            raise raised

    (tmp_path / "target").mkdir()
    with pytest.raises(expected, match=message) as caught:
        unpack(Pieces(data, (1000,), at), "an archive", tmp_path / "target")
    if isinstance(raised, DownloadError | KeyboardInterrupt):
        assert caught.value is raised
    assert threads_left() == []


def test_an_interrupt_ends_it_while_a_source_keeps_it_waiting(tmp_path: Path) -> None:
    data = archive(FILES, packed=True)
    main = threading.main_thread().ident
    assert main is not None
    waits = threading.Event()

    def interrupt() -> None:
        assert waits.wait(60)
        signal.pthread_kill(main, signal.SIGINT)

    def at(place: int) -> None:
        if place:
            waits.set()
            # Short ones, as an interrupt that comes just before a wait does not end it.
            wait_until(lambda: False)
            pytest.fail("the interrupt did not come")

    (tmp_path / "target").mkdir()
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        unpack(Pieces(data, (100,), at), "an archive", tmp_path / "target")
    thread.join()
    assert threads_left() == []


def test_no_file_is_left_open(tmp_path: Path) -> None:
    def opened() -> int:
        return len(os.listdir("/dev/fd"))

    files = {f"{number}": os.urandom(1000) for number in range(100)} | {"large": os.urandom(2**20)}
    data = archive(files, packed=True)
    unpack_bytes(data, tmp_path / "first", sync=True)
    before = opened()
    unpack_bytes(data, tmp_path / "second", sync=True)
    for number, length in enumerate((1000, 50_000, 120_000, 500_000, len(data) - 1)):
        with pytest.raises(CorruptModuleError, match="cut off"):
            unpack_bytes(data[:length], tmp_path / f"cut{number}", sync=True)
    assert opened() == before


def wait_until(holds: Callable[[], bool]) -> bool:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    return holds()
