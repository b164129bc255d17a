from __future__ import annotations

import os
from pathlib import Path

import pytest

from modhub.errors import HandleNotFoundError, InvalidArgumentError
from modhub.handles.handle import is_url, parse_handle

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text", ["https://example.com/m/1", "gs://b/m", "KAGGLE://a/b", "x+y.z-1://", "http://[::1]:80/"]
)
def test_urls(text: str) -> None:
    handle = parse_handle(f"{text}#sha256={DIGEST.upper()}")
    assert (handle.text, handle.path, handle.sha256) == (text, None, DIGEST)
    assert parse_handle(text).sha256 is None
    assert is_url(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/srv/m", "/srv/m"),
        ("m", f"{Path.cwd()}/m"),
        ("./m/../n", f"{Path.cwd()}/n"),
        ("~/m", str(Path.home() / "m")),
        ("file:///srv/m%20n", "/srv/m n"),
        ("FILE://localhost/srv/m", "/srv/m"),
        ("C:\\m", f"{Path.cwd()}/C:\\m"),
        ("1://x", f"{Path.cwd()}/1:/x"),
        ("a:b", f"{Path.cwd()}/a:b"),
        ("file:m", f"{Path.cwd()}/file:m"),
        ("/srv/\udcff", "/srv/\udcff"),
    ],
)
def test_paths(text: str, path: str) -> None:
    handle = parse_handle(f"{text}#sha256={DIGEST}")
    assert (str(handle.path), handle.sha256) == (path, DIGEST)
    assert not is_url(text)


def test_path_objects() -> None:
    assert parse_handle(Path("/srv/m")).path == Path("/srv/m")


@pytest.mark.parametrize("digest", ["", "0", DIGEST[:-1], f"{DIGEST}0", f"{DIGEST[:-1]}g", f"{DIGEST}#sha256={DIGEST}"])
@pytest.mark.parametrize("text", ["https://example.com/m/1", "/srv/m"])
def test_a_digest_that_is_none(text: str, digest: str) -> None:
    with pytest.raises(InvalidArgumentError, match="64 hexadecimal digits"):
        parse_handle(f"{text}#sha256={digest}")


@pytest.mark.parametrize(
    "text", ["", "file://server/share", f"#sha256={DIGEST}", "https://x/\ud800", "gs://x/\udcff", "/srv/\ud800"]
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(HandleNotFoundError):
        parse_handle(text)


@pytest.mark.parametrize("handle", [None, 1, b"/srv/m", ["x"], object()])
def test_what_is_no_handle(handle: object) -> None:
    with pytest.raises(InvalidArgumentError, match="no handle"):
        parse_handle(handle)  # type: ignore[arg-type]


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(HandleNotFoundError):
        parse_handle("~no-such-user-here/m")


def test_no_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(HandleNotFoundError):
        parse_handle("m")
    os.chdir(tmp_path)
