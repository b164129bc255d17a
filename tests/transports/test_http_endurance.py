from __future__ import annotations

import time
import zlib
from dataclasses import replace

import pytest

from modhub.errors import CacheError, CorruptModuleError, DownloadError, ModhubError
from modhub.transports.http import fetch_http
from tests.transports.http_cases import PACKED, Place, archive_of
from tests.transports.misbehaving import Server, answer, cut, drip, raw, serve

ETAG = '"one"'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(PACKED), PACKED)


def test_what_goes_to_and_fro_has_an_end(place: Place) -> None:
    script = [cut(PACKED, 20_000, ETAG), answer(status=416)] * 200
    with Server(script=script) as server, pytest.raises(DownloadError):
        place.fetch(server.url())
    assert len(server.requests) == 4


def test_a_file_that_grows_and_grows_has_an_end(place: Place) -> None:
    script = [cut(PACKED[: 600 + 9 * n], 590 + 9 * n, f'"{n}"') for n in range(300)]
    with Server(script=script) as server, pytest.raises(DownloadError):
        place.fetch(server.url(), retry_max_wait=0)
    assert len(server.requests) <= 203


def test_what_is_too_slow_is_a_stall(place: Place) -> None:
    with Server(script=[drip(PACKED, 0.02, ETAG)]) as server, pytest.raises(DownloadError, match="MODHUB_MIN_SPEED"):
        place.fetch(server.url(), min_speed=2000, retries=0, read_timeout=0.5)


def test_what_is_slow_may_be_waited_for(place: Place) -> None:
    small = archive_of({"tfhub_module.pb": b"\x08\x03"})
    with Server(script=[drip(small, 0.005)]) as server:
        place.fetch(server.url(), min_speed=0)
    assert place.files() == {"tfhub_module.pb": b"\x08\x03"}


def test_nobody_there(place: Place) -> None:
    with Server(script=[]) as server:
        url = server.url()
    with pytest.raises(DownloadError, match=r"Connection refused\) \(3 attempts\).*HTTPS_PROXY.*MODHUB_OFFLINE"):
        place.fetch(url)


def test_no_such_host(place: Place) -> None:
    with pytest.raises(DownloadError, match=r"host 'no-such-host\.invalid' of"):
        place.fetch("http://no-such-host.invalid/module/1", retries=0)


@pytest.mark.parametrize("url", ["http://", "https:///x", "http://host:port/x", "http://[::1/x", "http://h:99999/"])
def test_what_is_no_url(place: Place, url: str) -> None:
    with pytest.raises((ModhubError, ValueError), match="is no URL"):
        place.fetch(url)


def test_a_disk_that_cannot_be_written(place: Place) -> None:
    with Server(script=[serve(PACKED, ETAG)]) as server, pytest.raises(CacheError, match="TFHUB_CACHE_DIR"):
        fetch_http(server.url(), replace(place.job(server.url()), partial=place.root / "no" / "x.part"))


def test_retry_after_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with Server(script=[answer(status=429, headers={"Retry-After": "7"}), serve(PACKED, ETAG)]) as server:
        place.fetch(server.url(), retry_max_wait=10)
    assert waits == [7.0]


@pytest.mark.parametrize(
    ("start", "endless"),
    [(b"", b"HTTP/1.1 103 X\r\n\r\n"), (CHUNKED + b"0\r\n", b"X: y\r\n"), (CHUNKED + b"5;", b"x")],
    ids=["hints", "trailers", "extension of a chunk"],
)
def test_what_has_no_end_is_not_waited_for(place: Place, start: bytes, endless: bytes) -> None:
    with (
        Server(script=[raw(start, endless)]) as server,
        pytest.raises(DownloadError, match=r"did not end within 0\.6 s"),
    ):
        place.fetch(server.url(), read_timeout=0.3, retries=0)


def test_a_bomb_is_refused(place: Place) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = deflate.compress(archive_of({"a": b""}, packed=False)[:512])
    bomb += b"".join(deflate.compress(bytes(2**20)) for _ in range(64)) + deflate.flush()
    with Server(script=[answer(bomb)]) as server, pytest.raises(CorruptModuleError):
        place.fetch(server.url())
