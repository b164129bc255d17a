from __future__ import annotations

import base64
import hashlib
import io
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict

from modhub.errors import InvalidArgumentError
from modhub.settings.redact import shown
from modhub.transports.credentials import credentials_for, split_userinfo
from modhub.transports.following import Following, Growing
from modhub.transports.header_digests import Digester, expected_digest
from modhub.transports.progress import QuietProgress, portion, progress_for
from modhub.transports.retry import retry_after
from tests.transports.http_cases import settings_with

DATA = b"some bytes"
SHA = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
MD5 = base64.b64encode(hashlib.md5(DATA, usedforsecurity=False).digest()).decode()
SHA_BYTES, MD5_BYTES = hashlib.sha256(DATA).digest(), hashlib.md5(DATA, usedforsecurity=False).digest()
CRC = base64.b64encode(b"\1\2\3\4").decode()


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("http://h/x", "http://h/x"),
        ("http://u:p@h/x", "http://h/x"),
        ("http://u:p@ss@h:1/x@y", "http://h:1/x@y"),
        ("gs://key@bucket/x", "gs://bucket/x"),
        ("http://h/x?Signature=a&b=c", "http://h/x?Signature=***&b=c"),
        ("http://h/x?X-Goog-Credential=a;sig=b", "http://h/x?X-Goog-Credential=***;sig=***"),
        ("http://h/x?AWSAccessKeyId=a&design=b&api%5Fkey=c", "http://h/x?AWSAccessKeyId=***&design=b&api%5Fkey=***"),
        ("http://h/x?token", "http://h/x?token"),
        ("http://h?PASSWORD=a=b#f", "http://h?PASSWORD=***#f"),
        ("http://h/x?tf-hub-format=compressed", "http://h/x?tf-hub-format=compressed"),
        ("/local/a@b?c", "/local/a@b?c"),
    ],
)
def test_what_may_be_shown(url: str, safe: str) -> None:
    assert shown(url) == safe
    assert shown(safe) == safe


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Repr-Digest": f"sha-256=:{SHA}:"}, ("sha-256", SHA_BYTES)),
        ({"Repr-Digest": f"sha-512=:AAAA:, sha-256=:{SHA}:;x=1"}, ("sha-256", SHA_BYTES)),
        ({"Content-Digest": f"sha-256=:{SHA}:"}, ("sha-256", SHA_BYTES)),
        ({"Digest": f"SHA-256={SHA}"}, ("sha-256", SHA_BYTES)),
        ({"Digest": f"MD5={MD5},unixsum=30637"}, ("md5", MD5_BYTES)),
        ({"Content-MD5": MD5}, ("md5", MD5_BYTES)),
        ({"x-goog-hash": f"md5={MD5}"}, ("md5", MD5_BYTES)),
        ({"x-goog-hash": f"crc32c={CRC}, md5={MD5}"}, ("crc32c", b"\1\2\3\4")),
        ({"x-goog-hash": f"crc32c={CRC}", "Digest": f"sha-256={SHA}"}, ("sha-256", SHA_BYTES)),
        (
            {"x-goog-hash": f"crc32c={CRC}", "x-goog-stored-content-encoding": "identity"},
            ("crc32c", b"\1\2\3\4"),
        ),
        ({"x-goog-hash": f"crc32c={CRC}", "x-goog-stored-content-encoding": "gzip"}, None),
        (
            {"x-goog-hash": f"crc32c={CRC}", "x-goog-stored-content-encoding": "gzip", "Content-Encoding": "gzip"},
            ("crc32c", b"\1\2\3\4"),
        ),
        ({"Digest": "sha-256=AAAA"}, None),
        ({"Repr-Digest": "sha-256=:!:"}, None),
        ({"Repr-Digest": "sha-256"}, None),
        ({"Content-MD5": "é"}, None),
    ],
)
def test_digests_in_headers(headers: dict[str, str], expected: tuple[str, bytes] | None) -> None:
    assert expected_digest(CaseInsensitiveDict(headers), is_part=False) == expected


def test_digests_of_a_part_are_not_those_of_the_file() -> None:
    headers = CaseInsensitiveDict({"Content-Digest": f"sha-256=:{SHA}:", "Content-MD5": MD5})
    assert expected_digest(headers, is_part=True) is None
    headers["Repr-Digest"] = f"sha-256=:{SHA}:"
    assert expected_digest(headers, is_part=True) == ("sha-256", SHA_BYTES)


@pytest.mark.parametrize(
    ("name", "digest"),
    [("sha-256", SHA_BYTES), ("md5", MD5_BYTES), ("crc32c", bytes.fromhex("e3069283"))],
)
def test_digests_are_computed_piece_by_piece(name: str, digest: bytes) -> None:
    # the check value of CRC-32C is that of these digits
    data = b"123456789" if name == "crc32c" else DATA
    digester = Digester(name)
    digester.update(data[:3])
    digester.update(data[3:])
    assert digester.digest() == digest


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 120 "}, 120.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": "9" * 5000}, float("9" * 18)),
        ({"Retry-After": "Mon, 32 Jan 2024 00:00:00 GMT"}, None),
        ({"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 01 Jan 2024 00:01:30 GMT", "Date": "Mon, 01 Jan 2024 00:00:00 GMT"}, 90.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://a.example/x", "Bearer usual"),
        ("https://A.example./x", "Bearer usual"),
        ("https://a.example:443/x", "Bearer usual"),
        ("https://a.example:8443/x", "Bearer other"),
        ("https://a.example:9/x", None),
        ("https://b.a.example/x", None),
        ("http://a.example/x", None),
        ("http://localhost:80/x", "Bearer here"),
        ("http://[::1]:99/x", "Bearer six"),
    ],
)
def test_tokens_by_host(tmp_path: Path, url: str, header: str | None) -> None:
    tokens = {"a.example": "usual", "a.example:8443": "other", "localhost": "here", "[::1]:99": "six"}
    assert credentials_for(url, settings_with(tmp_path, tokens=tokens)).header == header


def test_credentials_show_no_secret(tmp_path: Path) -> None:
    credentials = credentials_for("https://h/", settings_with(tmp_path), "user:hidden")
    assert credentials.header == "Basic " + base64.b64encode(b"user:hidden").decode()
    assert "hidden" not in repr(credentials)
    assert credentials.header not in repr(credentials)


def test_a_token_that_no_header_takes(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"token of 'h' cannot be sent.*MODHUB_TOKENS") as caught:
        credentials_for("https://h/", settings_with(tmp_path, tokens={"h": "hidden\r\nX: y"}))
    assert "hidden" not in str(caught.value)


def test_a_netrc_that_cannot_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine h login hidden nonsense x")
    monkeypatch.setenv("NETRC", str(path))
    assert credentials_for("https://h/", settings_with(tmp_path)).header is None
    assert f"{path} is not used: line 1 " in caplog.text
    assert "hidden" not in caplog.text


def test_userinfo() -> None:
    assert split_userinfo("http://u:p%40@h:1/x@y") == ("http://h:1/x@y", "u:p%40")
    assert split_userinfo("http://h/x?a=u@h") == ("http://h/x?a=u@h", None)


def test_a_growing_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = bytes(range(256)) * 400
    path.write_bytes(b"")
    growing = Growing(path, 0)

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            for start in range(0, len(data), 1000):
                file.write(data[start : start + 1000])
                growing.grow(file.tell())
        growing.end()

    thread = threading.Thread(target=write)
    with closing(Following(growing)) as stream:
        thread.start()
        assert stream.read(0) == b""
        assert b"".join(iter(lambda: stream.read(777), b"")) == data
        assert stream.read(1) == b""
    thread.join()


def test_a_growing_file_ends_as_its_writer_did(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    growing = Growing(path, 3)
    with closing(Following(growing)) as stream:
        assert stream.read(3) == b"abc"
        growing.end(KeyError("first"))
        growing.end()
        with pytest.raises(KeyError, match="first"):
            stream.read(1)


def test_a_file_that_is_whole_may_still_be_given_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    growing = Growing(path, 3)
    with closing(Following(growing)) as stream:
        growing.end()
        assert stream.read(1) == b"a"
        growing.end(KeyError("given up"))
        with pytest.raises(KeyError, match="given up"):
            stream.read(1)


def test_a_growing_file_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with closing(Following(Growing(path, 5))) as stream:
        assert stream.read(5) == b"abc"
        with pytest.raises(OSError, match="became shorter"):
            stream.read(5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(settings_progress: bool | None, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    progress = progress_for(settings_with(tmp_path, progress=settings_progress))
    progress.done()
    progress.stopped()
    progress.note("before [all]")
    progress.start(3_000_000, "http://h/[m]")
    progress.advance(1_500_000)
    progress.note("once [more]")
    progress.stopped(goes_on=True)
    progress.start(None, "http://h/[m]")
    progress.advance(5)
    progress.done()
    progress.done()
    progress.stopped()
    progress.start(40_000_000, "http://h/[m]")
    progress.advance(12_500_000)
    progress.stopped()
    progress.done()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (0, 999, "0 of 999 bytes"),
        (7, None, "7 bytes"),
        (7, 1000, "0.0 of 1.0 kB"),
        (2_500_000, None, "2.5 MB"),
        (12_500_000, 2_000_000_000, "0.0 of 2.0 GB"),
        (3 * 10**12, 4 * 10**12, "3000.0 of 4000.0 GB"),
    ],
)
def test_how_much_there_is(count: int, total: int | None, text: str) -> None:
    assert portion(count, total) == text


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("modhub.transports.progress._SECONDS_BETWEEN_LINES", 0.0)
    assert show(True, io.StringIO(), monkeypatch, tmp_path).splitlines() == [
        "before [all]",
        "Fetching http://h/[m] (3.0 MB)",
        "Fetching http://h/[m]: 1.5 of 3.0 MB (50%)",
        "once [more]",
        "Stopped at 1.5 of 3.0 MB; the next attempt goes on from there",
        "Fetching http://h/[m] (unknown size)",
        "Fetching http://h/[m]: 5 bytes",
        "Fetched 5 bytes of http://h/[m]",
        "Fetching http://h/[m] (40.0 MB)",
        "Fetching http://h/[m]: 12.5 of 40.0 MB (31%)",
        "Stopped at 12.5 of 40.0 MB",
    ]


@pytest.mark.parametrize("asked", [True, None])
def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: bool | None) -> None:
    text = show(asked, Terminal(), monkeypatch, tmp_path)
    assert "[m]" in text
    assert text.startswith("before [all]\n")
    assert "once [more]\n" in text
    assert "Stopped at 1.5 of 3.0 MB; the next attempt goes on from there\n" in text
    assert text.endswith("Stopped at 12.5 of 40.0 MB\n")
    assert "Fetched" not in text


def test_nothing_but_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "modhub")
    assert show(None, io.StringIO(), monkeypatch, tmp_path) == ""
    assert show(False, Terminal(), monkeypatch, tmp_path) == ""
    assert "http://h/[m] (3.0 MB)" in caplog.text
    assert "once [more]" in caplog.text
    assert {record.levelname for record in caplog.records} == {"INFO"}
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(progress_for(settings_with(tmp_path, progress=True)), QuietProgress)
