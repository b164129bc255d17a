from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from modhub.errors import DownloadError, InvalidArgumentError
from tests.transports.http_cases import FILES, PACKED, Place
from tests.transports.misbehaving import Proxy, Server, answer, raw, redirect, serve

GOOD = serve(PACKED)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine that nobody signed, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command, which makes the certificate")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command += ["-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("ab") as file:
        file.write(Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture(scope="module")
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_of_ones_own(place: Place, tls: ssl.SSLContext, certificate: Path) -> None:
    with Server(script=[GOOD], tls=tls) as server:
        place.fetch(server.url(), ca_bundle=f"{certificate}.crt")
    assert place.files() == FILES


def test_a_certificate_that_is_not_trusted(place: Place, tls: ssl.SSLContext) -> None:
    with Server(script=[GOOD], tls=tls) as server:
        words = "certificate that is not trusted.*MODHUB_CA_BUNDLE"
        with pytest.raises(DownloadError, match=words) as caught:
            place.fetch(server.url())
    assert server.requests == []
    assert "attempts" not in str(caught.value)


def test_certificates_that_are_not_checked(place: Place, tls: ssl.SSLContext) -> None:
    with Server(script=[GOOD], tls=tls) as server:
        place.fetch(server.url(), verify_tls=False)
    assert place.files() == FILES


def test_a_server_that_speaks_no_tls(place: Place) -> None:
    with Server(script=[GOOD]) as server, pytest.raises(DownloadError, match="cannot be asked by TLS"):
        place.fetch(server.url().replace("http:", "https:"))


def test_a_file_of_certificates_that_is_not_there(place: Place) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'no/such.pem' does not exist.*MODHUB_CA_BUNDLE"):
        place.fetch("https://127.0.0.1:1/x", ca_bundle="no/such.pem")


def test_a_file_that_holds_no_certificates(place: Place, tls: ssl.SSLContext, tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_text("nothing")
    with Server(script=[GOOD], tls=tls) as server, pytest.raises(DownloadError, match=r"bundle\.pem' of certificates"):
        place.fetch(server.url(), ca_bundle=str(path))
    assert server.requests == []


def test_no_redirect_from_https_to_http(place: Place, tls: ssl.SSLContext, certificate: Path) -> None:
    with (
        Server(script=[GOOD]) as plain,
        Server(script=[redirect(plain.url())], tls=tls) as server,
        pytest.raises(DownloadError, match="from https to http"),
    ):
        place.fetch(server.url(), ca_bundle=f"{certificate}.crt")
    assert plain.requests == []


def test_tokens_go_by_https(place: Place, tls: ssl.SSLContext, certificate: Path) -> None:
    with Server(script=[GOOD], tls=tls) as server:
        tokens = {f"localhost:{server.port}": "abc"}
        place.fetch(server.url(host="localhost"), tokens=tokens, ca_bundle=f"{certificate}.crt")
    assert server.requests[0].headers["authorization"] == "Bearer abc"


def test_through_a_proxy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(script=[GOOD]) as server, Proxy(script=[]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:pw@127.0.0.1:{proxy.port}")
        place.fetch(server.url())
    assert [request.target for request in proxy.requests] == [server.url("/module/1?tf-hub-format=compressed")]
    assert "proxy-authorization" in proxy.requests[0].headers
    assert place.files() == FILES


def test_what_is_for_this_machine_alone_goes_through_no_proxy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(script=[GOOD, GOOD]) as server, Proxy(script=[]) as proxy:
        tokens = {f"127.0.0.1:{server.port}": "hidden"}
        place.fetch(server.url(), tokens=tokens)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        place.fetch(server.url(), tokens=tokens)
    assert ["authorization" in request.headers for request in server.requests] == [True, False]
    assert "authorization" not in proxy.requests[0].headers


def test_through_a_tunnel(
    place: Place, monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext, certificate: Path
) -> None:
    with Server(script=[GOOD], tls=tls) as server, Proxy(script=[]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        place.fetch(server.url(), ca_bundle=f"{certificate}.crt")
    assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert place.files() == FILES


def test_a_tunnel_that_is_never_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(script=[raw(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(DownloadError, match="did not end within 1 s"):
            place.fetch("https://models.example.com/module/1", read_timeout=0.5, retries=0)


def test_not_through_a_proxy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(script=[GOOD]) as server, Proxy(script=[]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        place.fetch(server.url())
    assert proxy.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(place: Place, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with Proxy(script=[answer(status=407)]) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hidden@127.0.0.1:{proxy.port}")
        with pytest.raises(DownloadError, match=f"407.*through the proxy 'http://127.0.0.1:{proxy.port}'") as caught:
            place.fetch(f"{scheme}://models.example.com/module/1")
    assert "hidden" not in str(caught.value)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(place: Place, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with Proxy(script=[]) as proxy:
        pass
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hidden@127.0.0.1:{proxy.port}")
    with pytest.raises(DownloadError, match=f"Connection refused.*proxy 'http://127.0.0.1:{proxy.port}'") as caught:
        place.fetch(f"{scheme}://models.example.com/module/1")
    assert "hidden" not in str(caught.value)
    assert "HTTPS_PROXY" in str(caught.value)
    assert "attempts" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_whose_name_is_not_known(place: Place, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    def unknown(*arguments: object, **keywords: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv(f"{scheme}_proxy", "http://no-such-proxy.invalid:3128")
    with pytest.raises(DownloadError, match=r"Name or service not known.*'http://no-such-proxy.invalid:3128'\. Look"):
        place.fetch(f"{scheme}://models.example.com/module/1")


@pytest.mark.parametrize(
    ("proxy", "words"), [("http://", "URL that is none"), ("socks5://127.0.0.1:1", "pysocks|refused")]
)
def test_a_proxy_that_is_none(place: Place, monkeypatch: pytest.MonkeyPatch, proxy: str, words: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(DownloadError, match=f"the proxy for 'http://models.example.com.*({words})"):
        place.fetch("http://models.example.com/module/1")


def test_credentials_are_not_sent_by_http(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(script=[answer(status=401)]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(DownloadError, match=r"the token of 'models\.example\.com' were not sent, because http"):
            place.fetch("http://models.example.com/module/1", tokens={"models.example.com": "secret"})
    assert "authorization" not in proxy.requests[0].headers
