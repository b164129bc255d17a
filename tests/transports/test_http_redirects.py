from __future__ import annotations

import base64
import traceback
from pathlib import Path

import pytest

from modhub.errors import DownloadError
from tests.transports.http_cases import FILES, PACKED, Place
from tests.transports.misbehaving import Exchange, Server, answer, cut, redirect, serve

GOOD = serve(PACKED)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_is_followed(place: Place, status: int) -> None:
    with Server(script=[redirect("../other?x=%7e&y=", status), GOOD]) as server:
        fetched = place.fetch(server.url())
    assert [request.target for request in server.requests] == [
        "/module/1?tf-hub-format=compressed",
        "/other?x=%7E&y=",
    ]
    assert fetched.url == server.url("/other?x=%7e&y=")
    assert place.files() == FILES


def test_ten_are_followed_and_no_more(place: Place) -> None:
    hops = [redirect(f"/hop/{n}") for n in range(11)]
    with Server(script=[*hops[:10], GOOD]) as server:
        place.fetch(server.url())
    with Server(script=[*hops, GOOD]) as server, pytest.raises(DownloadError, match="more than 10 redirects"):
        place.fetch(server.url())
    assert len(server.requests) == 11


def test_the_body_of_a_redirect_is_not_waited_for(place: Place) -> None:
    with Server(script=[GOOD]) as other:

        def behave(exchange: Exchange) -> None:
            exchange.head(302, {"Location": other.url("/there"), "Content-Length": "1000000"})
            exchange.ended.wait(20)

        with Server(script=[behave]) as server:
            place.fetch(server.url(), retries=0)
    assert place.files() == FILES


def test_a_cookie_of_a_redirect_is_sent_to_its_host(place: Place) -> None:
    with Server(script=[GOOD]) as other:
        set_cookie = {"Location": "/there", "Set-Cookie": "session=1; Path=/"}
        with Server(script=[answer(status=302, headers=set_cookie), redirect(other.url(host="localhost"))]) as server:
            place.fetch(server.url())
    assert [request.headers.get("cookie") for request in server.requests] == [None, "session=1"]
    assert other.requests[0].headers.get("cookie") is None


def test_a_cookie_goes_to_no_other_port(place: Place) -> None:
    with Server(script=[GOOD]) as other:
        target = {"Location": other.url("/there"), "Set-Cookie": "session=1; Path=/"}
        with Server(script=[answer(status=302, headers=target)]) as server:
            place.fetch(server.url())
    assert other.requests[0].headers.get("cookie") is None


def test_a_cookie_does_not_go_to_the_start_of_another_attempt(place: Place) -> None:
    with Server(script=[GOOD]) as server:
        set_cookie = answer(status=503, headers={"Set-Cookie": "session=1; Path=/"})
        with Server(script=[set_cookie, GOOD]) as other:
            server.script = [redirect(other.url("/there"))]
            place.fetch(server.url())
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]
    assert [request.headers.get("cookie") for request in other.requests] == [None, None]


def test_a_circle_is_told(place: Place) -> None:
    script = [redirect("/a"), redirect("/b"), redirect("/a")]
    with Server(script=script) as server, pytest.raises(DownloadError, match=r"/a' redirects in a circle"):
        place.fetch(server.url())
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ftp://example.com/x", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gs://bucket/x", "only http and https"),
        ("http://@/x", "only http and https"),
        ("http://[x/", "no URL"),
        ("http://h:port/", "no URL"),
        ("http://h/\xff", "redirects to 'http://h/\xff', which is no URL"),
        ("/" + "x" * 60_000, r"'/x{199}'\.\.\., a URL of 60001 characters; at most 8192 are followed"),
    ],
)
def test_where_no_redirect_may_lead(place: Place, location: str, words: str) -> None:
    with Server(script=[redirect(location)]) as server, pytest.raises(DownloadError, match=words) as caught:
        place.fetch(server.url())
    assert len(server.requests) == 1
    assert len(str(caught.value)) < 700


def test_without_a_place_to_go_to(place: Place) -> None:
    with Server(script=[answer(status=302)]) as server, pytest.raises(DownloadError, match="status 302 Found"):
        place.fetch(server.url())


def test_credentials_stay_at_their_origin(place: Place) -> None:
    basic = "Basic " + base64.b64encode(b"user:p@ss").decode()
    with Server(script=[GOOD]) as other:
        script = [redirect("/same"), redirect(f"http://localhost:{other.port}/there")]
        with Server(script=script) as server:
            fetched = place.fetch(f"http://user:p%40ss@127.0.0.1:{server.port}/module/1")
    assert [request.headers.get("authorization") for request in server.requests] == [basic, basic]
    assert [request.headers.get("authorization") for request in other.requests] == [None]
    assert fetched.url == other.url("/there", "localhost")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_host_or_port_gets_its_own_credentials(place: Place, host: str) -> None:
    with Server(script=[GOOD]) as other, Server(script=[redirect(f"http://{host}:{other.port}/there")]) as server:
        tokens = {f"127.0.0.1:{server.port}": "first", f"{host}:{other.port}": "second"}
        place.fetch(server.url(), tokens=tokens)
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer first"]
    assert [request.headers.get("authorization") for request in other.requests] == ["Bearer second"]


def test_credentials_do_not_come_back_after_a_detour(place: Place) -> None:
    with Server(script=[GOOD]) as server, Server(script=[redirect(server.url("/back"))]) as other:
        server.script = [redirect(other.url()), GOOD]
        place.fetch(f"http://user:pw@127.0.0.1:{server.port}/module/1")
    assert "authorization" in server.requests[0].headers
    assert "authorization" not in server.requests[1].headers


def test_credentials_in_a_redirect_are_not_used(place: Place) -> None:
    with Server(script=[GOOD]) as other:
        target = f"http://them:pw@127.0.0.1:{other.port}/there"
        with Server(script=[redirect(target)]) as server:
            fetched = place.fetch(server.url())
    assert "authorization" not in other.requests[0].headers
    assert "pw" not in fetched.url


def test_netrc(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login me password secret\ndefault login all password others\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    with Server(script=[GOOD]) as server:
        place.fetch(server.url())
        place.fetch(server.url(host="localhost"))
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == ["Basic " + base64.b64encode(b"me:secret").decode(), None]


def test_refused_credentials_are_told_by_source(place: Place) -> None:
    with Server(script=[answer(status=403)]) as server:
        tokens = {f"127.0.0.1:{server.port}": "secret"}
        with pytest.raises(
            DownloadError, match=r"credentials from the token of '127\.0\.0\.1:\d+' were sent"
        ) as caught:
            place.fetch(server.url(), tokens=tokens)
    assert "secret" not in str(caught.value)


def test_secrets_are_in_no_error(place: Place) -> None:
    with Server(script=[]) as server:
        url = f"http://user:hidden1@127.0.0.1:{server.port}/m?access_token=hidden2&X-Amz-Signature=hidden3"
    with pytest.raises(DownloadError) as caught:
        place.fetch(url)
    text = "".join(traceback.format_exception(caught.value))
    assert "access_token=***" in text
    assert "hidden" not in text
    assert "hidden" not in caught.value.url


def test_secrets_are_not_kept_beside_a_partial_file(place: Place) -> None:
    with Server(script=[cut(PACKED, 20_000, '"e"')]) as server:
        url = f"http://user:hidden1@127.0.0.1:{server.port}/m?token=hidden2"
        with pytest.raises(DownloadError):
            place.fetch(url)
    note = (place.root / "new.part.json").read_text()
    assert "token=***" in note
    assert "hidden" not in note


def test_a_page_of_kaggle_stands_for_its_archive(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(script=[redirect("/signed?Signature=x"), GOOD]) as kaggle:
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", kaggle.url(""))
        monkeypatch.setenv("KAGGLE_USERNAME", "me")
        monkeypatch.setenv("KAGGLE_KEY", "key")
        page = "https://www.kaggle.com/models/google/nnlm/frameworks/TensorFlow1/variations/en-dim50/versions/1"
        with Server(script=[redirect(f"{page}?tfhub-redirect=true")]) as hub:
            place.fetch(hub.url())
        place.fetch(page)
    assert [request.target for request in kaggle.requests][0::2][0] == (
        "/api/v1/models/google/nnlm/tensorFlow1/en-dim50/1/download"
    )
    assert kaggle.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"me:key").decode()
    assert "authorization" not in hub.requests[0].headers
    assert place.files() == FILES


def test_a_module_that_the_hub_no_longer_has(place: Place) -> None:
    target = "https://www.kaggle.com/models?tfhub-redirect=true"
    with Server(script=[redirect(target)]) as server, pytest.raises(DownloadError, match="MODHUB_MIRRORS"):
        place.fetch(server.url())
