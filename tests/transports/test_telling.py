"""What is told while a download is under way, and in whose words when it fails."""

from __future__ import annotations

import dataclasses
import logging
import socket
import ssl
from pathlib import Path

import pytest

from modhub.errors import CorruptModuleError, DownloadError
from modhub.transports.http import fetch_http
from modhub.transports.package_errors import package_failure, quiet
from tests.transports.http_cases import FILES, PACKED, Place
from tests.transports.misbehaving import Server, answer, cut, garbage, serve, stall

ETAG = '"one"'
SIZE = f"{len(PACKED) / 1000:.1f} kB"


class Told:
    """Keeps what a progress is told, but for the bytes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, total: int | None, label: str) -> None:
        self.lines.append(f"start {total}")

    def advance(self, count: int) -> None:
        pass

    def note(self, text: str) -> None:
        self.lines.append(text)

    def done(self) -> None:
        self.lines.append("done")

    def stopped(self, *, goes_on: bool = False) -> None:
        self.lines.append(f"stopped {goes_on}")


def fetch(place: Place, url: str) -> list[str]:
    told = Told()
    try:
        fetch_http(url, dataclasses.replace(place.job(url, retries=0), progress=told))
    except DownloadError:
        told.lines.append("failed")
    return told.lines


def test_where_a_download_stops_and_goes_on(place: Place) -> None:
    with Server(script=[cut(PACKED, 20_000, ETAG), serve(PACKED, ETAG)]) as server:
        assert fetch(place, server.url()) == [f"start {len(PACKED)}", "stopped True", "failed"]
        # the caller says that it is done, once nothing else can fail
        assert fetch(place, server.url()) == [f"start {len(PACKED)}", f"Going on at 20.0 of {SIZE}"]
    assert place.files() == FILES


def test_what_cannot_be_gone_on_with_is_not_promised(place: Place) -> None:
    with Server(script=[cut(PACKED, 20_000)]) as server:
        assert fetch(place, server.url()) == [f"start {len(PACKED)}", "failed"]


def test_further_attempts_are_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "modhub")
    script = [
        answer(status=503),
        garbage(b""),
        cut(PACKED, 20_000, ETAG),
        stall(PACKED, 25_000, ETAG),
        serve(PACKED, ETAG),
    ]
    with Server(script=script) as server:
        place.fetch(server.url(), read_timeout=0.5)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "Attempt 2 of 3 in 0.0 s: status 503 Service Unavailable",
        "Attempt 3 of 3 in 0.0 s: it was closed without an answer",
        f"Fetching {server.url()} ({SIZE})",
        "Another attempt in 0.0 s: Connection reset by peer",
        f"Going on at 20.0 of {SIZE}",
        "Another attempt in 0.0 s: nothing came for 0.5 s",
        f"Going on at 25.0 of {SIZE}",
    ]


def test_damage_is_told_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "modhub")
    with Server(script=[answer(PACKED[:-3])]) as server, pytest.raises(CorruptModuleError) as caught:
        place.fetch(server.url())
    assert str(caught.value).count("cannot be used") == 1
    assert "it again" not in str(caught.value)
    assert "What came cannot be used, and is fetched once more" in caplog.messages
    assert "cut off" not in caplog.text


def test_the_netrc_file_in_use_is_named(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(script=[answer(status=401)]) as server:
        with pytest.raises(DownloadError, match=r"a password to ~/\.netrc\."):
            place.fetch(server.url())
        monkeypatch.setenv("NETRC", str(tmp_path / "mine"))
        with pytest.raises(DownloadError, match="a password to ") as caught:
            place.fetch(server.url())
    assert str(caught.value).endswith(f"{tmp_path / 'mine'}.")


def test_loggers_are_quiet_for_as_long_as_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    above, below = logging.getLogger("some.package"), logging.getLogger("some.package.room")
    with quiet("some.package"):
        with quiet("some.package"):
            below.error("not told")
        above.error("not told either")
    above.error("told")
    assert caplog.messages == ["told"]
    assert above.level == logging.NOTSET


def test_a_logger_that_the_user_set_speaks(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("some.other.package")
    caplog.set_level("DEBUG", logger.name)
    with quiet(logger.name):
        logger.debug("asked for")
    assert caplog.messages == ["asked for"]
    assert logger.level == logging.DEBUG


class StatusError(Exception):
    def __init__(self, status: object) -> None:
        super().__init__("of a package")
        self.status = status


@pytest.mark.parametrize(
    ("error", "what", "is_passing"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused", True),
        (TimeoutError(), "TimeoutError", True),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "no such name", False),
        (socket.gaierror(socket.EAI_AGAIN, "not now"), "not now", True),
        (StatusError(503), "StatusError: of a package", True),
        (StatusError("403"), "StatusError: of a package", False),
        (PermissionError("Forbidden"), "PermissionError: Forbidden", False),
        (ssl.SSLCertVerificationError(1, "no"), "certificate is not trusted", False),
        (ValueError("http://me:hidden@host/x is odd"), "ValueError: http://", False),
    ],
)
def test_what_errors_of_packages_mean(error: Exception, what: str, is_passing: bool) -> None:
    wrapped = RuntimeError("around")
    wrapped.__cause__ = error
    failed = package_failure("gs://b/m", error)
    assert what in failed.what
    assert "hidden" not in failed.what
    assert failed.is_passing == package_failure("gs://b/m", wrapped).is_passing == is_passing
