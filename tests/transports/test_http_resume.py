from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.errors import CacheError, DownloadError
from modhub.transports import partial as partial_file
from tests.transports.http_cases import FILES, PACKED, Place, archive_of
from tests.transports.misbehaving import Server, answer, cut, serve, stall

ETAG = '"one"'
BIG_FILES = {"tfhub_module.pb": b"\x08\x03", "assets/noise": random.Random(3).randbytes(10 * 2**20)}
BIG = archive_of(BIG_FILES)

PROGRAM = """
import sys
from pathlib import Path
from tests.transports.http_cases import Place

Place(root=Path(sys.argv[1])).fetch(sys.argv[2], read_timeout=15.0)
"""


def start(place: Place, url: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    command = [sys.executable, "-c", PROGRAM, str(place.root), url]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_later_call_goes_on_where_a_failed_one_was(place: Place) -> None:
    with Server(script=[cut(PACKED, 20_000, ETAG)] * 2 + [serve(PACKED, ETAG)]) as server:
        with pytest.raises(DownloadError):
            place.fetch(server.url(), retries=0)
        assert place.partial.read_bytes() == PACKED[:20_000]
        place.fetch(server.url(), retries=1)
    # an attempt that brings nothing new counts, so that there is an end
    assert server.ranges() == [None, "bytes=20000-", "bytes=20000-"]
    assert place.files() == FILES


def test_another_process_goes_on_where_a_killed_one_was(place: Place) -> None:
    at = 9 * 2**20
    with Server(script=[stall(BIG, at, ETAG), serve(BIG, ETAG)]) as server:
        process = start(place, server.url())
        wait_until(lambda: size_of(place.partial) == at)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert place.partial.exists()
        place.fetch(server.url())
    # what lies behind the last checkpoint is fetched again
    first, again = server.ranges()
    assert first is None
    assert again is not None
    assert 8 * 2**20 <= int(again[6:-1]) <= at
    assert place.files() == BIG_FILES


def test_ctrl_c_ends_a_download_and_keeps_what_came(place: Place) -> None:
    with Server(script=[stall(BIG, 2**20, ETAG), serve(BIG, ETAG)]) as server:
        process = start(place, server.url())
        wait_until(lambda: size_of(place.partial) == 2**20)
        time.sleep(0.2)  # so that it waits for bytes, and is not about to count those it has
        process.send_signal(signal.SIGINT)
        # far less than the 15 s for which it would wait for a byte
        _, errors = process.communicate(timeout=8)
        assert process.returncode not in (0, None)
        assert b"KeyboardInterrupt" in errors
        place.fetch(server.url())
    assert server.ranges() == [None, f"bytes={2**20}-"]
    assert place.files() == BIG_FILES


@pytest.mark.parametrize(
    "damage",
    [
        lambda part, note: part.unlink(),
        lambda part, note: part.write_bytes(b""),
        lambda part, note: part.write_bytes(bytes(20_000)),
        lambda part, note: part.write_bytes(PACKED[:19_999]),
        lambda part, note: note.unlink(),
        lambda part, note: note.write_bytes(b""),
        lambda part, note: note.write_bytes(b"[" * 100_000),
        lambda part, note: note.write_text("[]"),
        lambda part, note: note.write_text('{"version": 1}'),
        lambda part, note: change(note, version=2),
        lambda part, note: change(note, url="http://example.com/other"),
        lambda part, note: change(note, etag='W/"one"'),
        lambda part, note: change(note, etag=None),
        lambda part, note: change(note, etag='"a\r\nX: y"'),
        lambda part, note: change(note, total=-1),
        lambda part, note: change(note, total="many"),
        lambda part, note: change(note, checkpoints=None),
        lambda part, note: change(note, checkpoints=[]),
        lambda part, note: change(note, checkpoints=[[20_000, 0]]),
        lambda part, note: change(note, checkpoints=[[2**62, 0]]),
        lambda part, note: change(note, checkpoints=[[-5, 0]]),
        lambda part, note: change(note, checkpoints=[1]),
        lambda part, note: (part.unlink(), part.symlink_to("/etc/hostname")),
    ],
)
def test_what_is_left_is_not_believed(place: Place, damage: Callable[[Path, Path], object]) -> None:
    with Server(script=[cut(PACKED, 20_000, ETAG), serve(PACKED, ETAG)]) as server:
        with pytest.raises(DownloadError):
            place.fetch(server.url(), retries=0)
        damage(place.partial, place.root / "new.part.json")
        place.fetch(server.url())
    assert server.ranges() == [None, None]
    assert place.files() == FILES


def change(note: Path, **values: object) -> None:
    note.write_text(json.dumps(json.loads(note.read_text()) | values))


def test_what_is_good_up_to_a_checkpoint_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_file, "_CHECKPOINT_BYTES", 1)
    with Server(script=[cut(PACKED, 20_000, ETAG), serve(PACKED, ETAG)]) as server:
        with pytest.raises(DownloadError):
            place.fetch(server.url(), retries=0)
        points = [offset for offset, _ in json.loads((place.root / "new.part.json").read_text())["checkpoints"]]
        # a machine that went down leaves zeros where it had not written yet
        place.partial.write_bytes(PACKED[: points[-1] - 1] + b"\0")
        assume_several = len(points) > 1
        place.fetch(server.url())
    assert server.ranges() == [None, f"bytes={points[-2]}-" if assume_several else None]
    assert place.files() == FILES


def test_a_file_that_is_there_whole_is_asked_for_all_the_same(place: Place) -> None:
    part = partial_file.Partial(place.partial, "http://127.0.0.1/")
    part.restart(partial_file.Validator(etag=ETAG, total=len(PACKED)))
    part.append(PACKED[:100])
    part.keep()
    part = partial_file.Partial(place.partial, "http://127.0.0.1/")
    assert part.size == 100
    part.append(PACKED[100:])
    part.keep()
    assert partial_file.Partial(place.partial, "http://127.0.0.1/").size == 100


def test_another_file_is_begun_anew(place: Place) -> None:
    with Server(script=[cut(PACKED, 20_000, ETAG), serve(BIG, '"two"')]) as server:
        with pytest.raises(DownloadError):
            place.fetch(server.url(), retries=0)
        place.fetch(server.url())
    assert server.ranges() == [None, "bytes=20000-"]
    assert place.files() == BIG_FILES


def test_nothing_is_kept_of_what_cannot_be_gone_on_with(place: Place) -> None:
    with Server(script=[cut(PACKED, 20_000)]) as server, pytest.raises(DownloadError):
        place.fetch(server.url())
    assert not place.has_partial()


@pytest.mark.parametrize("status", [401, 404])
def test_nothing_is_kept_of_what_is_refused(place: Place, status: int) -> None:
    with Server(script=[cut(PACKED, 20_000, ETAG), answer(status=status)]) as server, pytest.raises(DownloadError):
        place.fetch(server.url())
    assert not place.has_partial()


@pytest.mark.parametrize("value", ['W/"a"', "a", '"', '""', None, "", '"a\x7f"', '"é"'])
def test_what_is_no_strong_etag(value: str | None) -> None:
    assert partial_file.strong_etag(value) is None


def test_a_strong_etag() -> None:
    assert partial_file.strong_etag(' "a-b" ') == '"a-b"'


def test_a_link_where_the_note_is_written_is_not_followed(place: Place, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (place.root / "new.part.json.tmp").symlink_to(victim)
    with Server(script=[cut(PACKED, 20_000, ETAG)]) as server, pytest.raises(DownloadError):
        place.fetch(server.url(), retries=0)
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in place.root.glob("new.part*")) == ["new.part", "new.part.json"]


def test_of_a_note_that_cannot_be_written_nothing_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with Server(script=[serve(PACKED, ETAG)]) as server, pytest.raises(CacheError, match="No space left"):
        place.fetch(server.url())
    assert not place.has_partial()


@pytest.mark.parametrize("refused", ["modhub-unpacking", "modhub-unpack"])
def test_without_threads_nothing_is_unpacked(place: Place, monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with (
        Server(script=[serve(PACKED)]) as server,
        pytest.raises(CacheError, match="the system starts no more"),
    ):
        place.fetch(server.url())
    assert not place.has_partial()
