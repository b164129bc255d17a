from __future__ import annotations

import pytest

import modhub.transports
from modhub.errors import DownloadError
from modhub.transports import Fetched, Job, transport_for
from modhub.transports.hosting import asks_for_location, is_archive, looks_like, request_url
from tests.transports.http_cases import PACKED, PLAIN, Place
from tests.transports.misbehaving import Behaviour, Server, answer, redirect, serve

UNCOMPRESSED = {"load_format": "UNCOMPRESSED"}


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h/m/1", "http://h/m/1?tf-hub-format=compressed"),
        ("http://h", "http://h?tf-hub-format=compressed"),
        ("http://h/m/1/", "http://h/m/1/?tf-hub-format=compressed"),
        ("http://h/m?", "http://h/m?tf-hub-format=compressed"),
        ("http://h/m?a=&b&c=%7e+%20", "http://h/m?a=&b&c=%7e+%20&tf-hub-format=compressed"),
        ("http://h/m?a&", "http://h/m?a&tf-hub-format=compressed"),
        ("http://h/m#sha256=00", "http://h/m?tf-hub-format=compressed"),
        ("http://h/m?x=/a.tar.gz#?", "http://h/m?x=/a.tar.gz&tf-hub-format=compressed"),
        ("http://h/m.tar.gz", "http://h/m.tar.gz"),
        ("http://h/m.TGZ?sig=a", "http://h/m.TGZ?sig=a"),
        ("http://h/m.tar", "http://h/m.tar"),
        ("http://h/m.tar.bz2", "http://h/m.tar.bz2?tf-hub-format=compressed"),
        ("http://h/m?tf-hub-format=compressed", "http://h/m?tf-hub-format=compressed"),
        ("http://h/m?tf%2Dhub-format=compressed", "http://h/m?tf%2Dhub-format=compressed"),
        ("http://h/m?x-tf-hub-format=a", "http://h/m?x-tf-hub-format=a&tf-hub-format=compressed"),
    ],
)
def test_what_is_asked_for(url: str, asked: str) -> None:
    assert request_url(url, "AUTO") == request_url(url, "COMPRESSED") == asked
    assert not asks_for_location(asked)


def test_the_uncompressed_form_is_asked_for() -> None:
    assert request_url("http://h/m?a=b", "UNCOMPRESSED") == "http://h/m?a=b&tf-hub-format=uncompressed"
    assert asks_for_location("http://h/m?a=b&tf-hub-format=uncompressed")
    assert request_url("http://h/m.tar.gz", "UNCOMPRESSED") == "http://h/m.tar.gz"


def test_the_query_arrives_as_it_was_written(place: Place) -> None:
    with Server(script=[serve(PACKED)]) as server:
        place.fetch(server.url("/a%2Fb/./c d/é?sig=%2B+a&empty=&flag&tilde=~#pin"))
    assert server.requests[0].target == ("/a%2Fb/./c%20d/%C3%A9?sig=%2B+a&empty=&flag&tilde=~&tf-hub-format=compressed")
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert server.requests[0].headers["user-agent"].startswith("modhub/")


def test_what_is_an_archive() -> None:
    assert is_archive(PACKED[:512])
    assert is_archive(PLAIN[:512])
    assert is_archive(bytes(512))
    assert not is_archive(b"")
    assert not is_archive(b"<html>")
    assert not is_archive(b"PK" + bytes(510))


@pytest.mark.parametrize(
    ("start", "content_type", "looks"),
    [
        (b"", "", "empty"),
        (b" \r\n", "", "blank"),
        (b"<HTML>", "", "an HTML page"),
        (b"x", "text/html; charset=utf-8", "an HTML page"),
        (b"<html><TITLE lang=x>a\n b</title>", "", "an HTML page with the title 'a b'"),
        (b"<html><title>" + b"t" * 400, "", f"an HTML page with the title '{'t' * 60}'"),
        (b"[1]", "", "JSON: '[1]'"),
        (b"<a/>", "", "XML: '<a/>'"),
        (b"no", "", "text: 'no'"),
        (b"n" * 100, "", f"text: '{'n' * 80}'..."),
        (b"BZh9", "", "a bzip2 file"),
        (b"\xff\x00", "", r"something else; it begins with the bytes b'\xff\x00'"),
        (b"\x1b[31m", "", r"something else; it begins with the bytes b'\x1b[31m'"),
    ],
)
def test_what_an_answer_looks_like(start: bytes, content_type: str, looks: str) -> None:
    assert looks_like(start, content_type) == looks


@pytest.fixture
def located(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The gs:// locations that were fetched, by a transport that fetches nothing."""
    fetched: list[str] = []

    def fetch(url: str, job: Job) -> Fetched:
        fetched.append(url)
        return Fetched(url=url, archive=None, files={})

    monkeypatch.setattr(
        modhub.transports, "transport_for", lambda url: fetch if url.startswith("gs:") else transport_for(url)
    )
    return fetched


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(b"gs://bucket/a/module", 303),
        answer(b"  gs://bucket/a/module\n", 303),
        answer(b"gs://bucket/a/module", 303, {"Location": "https://example.com/"}),
        answer(b"See other", 303, {"Location": "gs://bucket/a/module"}),
    ],
)
def test_a_location(place: Place, located: list[str], behaviour: Behaviour) -> None:
    with Server(script=[answer(status=503), redirect("/moved?tf-hub-format=uncompressed"), behaviour]) as server:
        fetched = place.fetch(server.url(), **UNCOMPRESSED)
    assert located == ["gs://bucket/a/module"]
    assert fetched.url == "gs://bucket/a/module"
    assert [request.target for request in server.requests][::2] == [
        "/module/1?tf-hub-format=uncompressed",
        "/moved?tf-hub-format=uncompressed",
    ]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (serve(PACKED), "answered with status 200 and something else.*TFHUB_MODEL_LOAD_FORMAT=COMPRESSED"),
        (answer(b"<html>"), "status 200 and an HTML page"),
        (answer(b"s3://bucket/x", 303), "no gs:// location; its body is text: 's3://bucket/x'"),
        (answer(b"gs://bucket/x y", 303), "no gs:// location"),
        (answer(b"", 303), "no gs:// location; its body is empty"),
        (answer(b"gs://" + b"x" * 9000, 303), "no gs:// location"),
        (answer(status=404), "status 404"),
        (answer(status=500), r"status 500 .*\(3 attempts\)"),
    ],
)
def test_no_location(place: Place, located: list[str], behaviour: Behaviour, words: str) -> None:
    with Server(script=[behaviour]) as server, pytest.raises(DownloadError, match=words):
        place.fetch(server.url(), **UNCOMPRESSED)
    assert located == []


def test_kaggle_has_archives_only(place: Place, located: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    page = "https://www.kaggle.com/models/google/nnlm/TensorFlow1/en-dim50/1"
    with Server(script=[serve(PACKED)]) as kaggle, Server(script=[redirect(page)]) as hub:
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", kaggle.url(""))
        place.fetch(hub.url(), **UNCOMPRESSED)
        place.fetch(page, **UNCOMPRESSED)
    assert located == []
