from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modhub.errors import InvalidArgumentError
from modhub.settings import Settings, configure, current

GIB = 2**30


def test_the_defaults(tmp_path: Path) -> None:
    assert current() == Settings(
        cache_dir=tmp_path / "home" / ".cache" / "modhub",
        offline=False,
        load_format="AUTO",
        progress=None,
        verify_tls=True,
        ca_bundle=None,
        connect_timeout=10.0,
        read_timeout=60.0,
        min_speed=1024,
        retries=5,
        retry_max_wait=60.0,
        max_download_bytes=64 * GIB,
        tokens={},
        mirrors=(),
        lock_file=None,
        require_lock=False,
    )


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("TFHUB_CACHE_DIR", "/data/hub", "cache_dir", Path("/data/hub")),
        ("TFHUB_CACHE_DIR", "/data/my hub ", "cache_dir", Path("/data/my hub ")),
        ("MODHUB_OFFLINE", "1", "offline", True),
        ("MODHUB_OFFLINE", " True ", "offline", True),
        ("MODHUB_OFFLINE", "YES", "offline", True),
        ("MODHUB_OFFLINE", "on", "offline", True),
        ("MODHUB_OFFLINE", "0", "offline", False),
        ("MODHUB_OFFLINE", "false", "offline", False),
        ("MODHUB_OFFLINE", "No", "offline", False),
        ("MODHUB_OFFLINE", "off", "offline", False),
        ("TFHUB_MODEL_LOAD_FORMAT", "COMPRESSED", "load_format", "COMPRESSED"),
        ("TFHUB_MODEL_LOAD_FORMAT", "uncompressed\n", "load_format", "UNCOMPRESSED"),
        ("TFHUB_DOWNLOAD_PROGRESS", "1", "progress", True),
        ("TFHUB_DOWNLOAD_PROGRESS", "0", "progress", True),
        ("TFHUB_DISABLE_CERT_VALIDATION", "true", "verify_tls", False),
        ("TFHUB_DISABLE_CERT_VALIDATION", "TRUE", "verify_tls", False),
        ("TFHUB_DISABLE_CERT_VALIDATION", "1", "verify_tls", True),
        ("TFHUB_DISABLE_CERT_VALIDATION", "False", "verify_tls", True),
        ("MODHUB_CA_BUNDLE", "/ca.pem", "ca_bundle", "/ca.pem"),
        ("REQUESTS_CA_BUNDLE", "/ca.pem", "ca_bundle", "/ca.pem"),
        ("CURL_CA_BUNDLE", "/ca.pem", "ca_bundle", "/ca.pem"),
        ("SSL_CERT_FILE", "/ca.pem", "ca_bundle", "/ca.pem"),
        ("MODHUB_CONNECT_TIMEOUT", "2.5", "connect_timeout", 2.5),
        ("MODHUB_CONNECT_TIMEOUT", "500 ms", "connect_timeout", 0.5),
        ("MODHUB_READ_TIMEOUT", " 90s", "read_timeout", 90.0),
        ("MODHUB_MIN_SPEED", "0", "min_speed", 0),
        ("MODHUB_MIN_SPEED", "10KiB", "min_speed", 10240),
        ("MODHUB_RETRIES", "0", "retries", 0),
        ("MODHUB_RETRIES", " 1000 ", "retries", 1000),
        ("MODHUB_RETRY_MAX_WAIT", "0", "retry_max_wait", 0.0),
        ("MODHUB_RETRY_MAX_WAIT", "5min", "retry_max_wait", 300.0),
        ("MODHUB_RETRY_MAX_WAIT", "1h", "retry_max_wait", 3600.0),
        ("MODHUB_MAX_DOWNLOAD", "10GB", "max_download_bytes", 10**10),
        ("MODHUB_MAX_DOWNLOAD", "512MiB", "max_download_bytes", 2**29),
        ("MODHUB_MAX_DOWNLOAD", "1.5 gib", "max_download_bytes", 3 * 2**29),
        ("MODHUB_MAX_DOWNLOAD", "9007199254740993", "max_download_bytes", 2**53 + 1),
        ("MODHUB_MAX_DOWNLOAD", "7 B", "max_download_bytes", 7),
        ("MODHUB_TOKENS", "a.example.com=t1 \n\tB:80=t2=", "tokens", {"a.example.com": "t1", "b:80": "t2="}),
        ("MODHUB_TOKENS", "[::1]:80=x", "tokens", {"[::1]:80": "x"}),
        ("MODHUB_MIRRORS", "https://a/=https://b/?x=1", "mirrors", (("https://a/", ("https://b/?x=1",)),)),
        (
            "MODHUB_MIRRORS",
            " https://a/=/b/{}  https://c=gs://d\nhttps://a/=https://a/ https://a/=/b/{}",
            "mirrors",
            (("https://a/", ("/b/{}", "https://a/")), ("https://c", ("gs://d",))),
        ),
        ("MODHUB_LOCK", "/x/my.lock", "lock_file", Path("/x/my.lock")),
        ("MODHUB_REQUIRE_LOCK", "1", "require_lock", True),
    ],
)  # fmt: skip
def test_variables(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object) -> None:
    before = current()
    monkeypatch.setenv(variable, text)
    assert getattr(current(), name) == value
    # Nothing else has changed, and the environment is looked at each time.
    monkeypatch.delenv(variable)
    assert current() == before


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("TFHUB_CACHE_DIR", "gs://bucket/hub", "^TFHUB_CACHE_DIR='gs://bucket/hub' is not accepted: it is a URL"),
        ("TFHUB_CACHE_DIR", "file:///hub", "it is a URL: give a path on this machine"),
        ("TFHUB_CACHE_DIR", "~no-such-user/hub", 'the home directory that "~" stands for is not known'),
        ("MODHUB_OFFLINE", "maybe", "^MODHUB_OFFLINE='maybe' is not accepted: give 1, true, yes or on, or 0, false,"),
        ("TFHUB_MODEL_LOAD_FORMAT", "zip", "='zip' is not accepted: give AUTO, COMPRESSED or UNCOMPRESSED"),
        ("CURL_CA_BUNDLE", "https://ca", "^CURL_CA_BUNDLE='https://ca' is not accepted: it is a URL"),
        ("MODHUB_CONNECT_TIMEOUT", "0", "^MODHUB_CONNECT_TIMEOUT='0' is not accepted: give a number of seconds, more"),
        ("MODHUB_CONNECT_TIMEOUT", "-1", "more than 0"),
        ("MODHUB_READ_TIMEOUT", "nan", "a number of seconds"),
        ("MODHUB_READ_TIMEOUT", "inf", "a number of seconds"),
        ("MODHUB_READ_TIMEOUT", "1e400", "a number of seconds"),
        ("MODHUB_READ_TIMEOUT", "300h", "at most 1000000"),
        ("MODHUB_READ_TIMEOUT", "5 parsecs", "ms, s, min, h"),
        ("MODHUB_RETRY_MAX_WAIT", "-1s", "0 or more"),
        ("MODHUB_MIN_SPEED", "-1", "^MODHUB_MIN_SPEED='-1' is not accepted: give a number of bytes, 0 or more"),
        ("MODHUB_RETRIES", "many", "^MODHUB_RETRIES='many' is not accepted: give a whole number from 0 to 1000"),
        ("MODHUB_RETRIES", "1001", "from 0 to 1000"),
        ("MODHUB_RETRIES", "1.0", "a whole number"),
        ("MODHUB_RETRIES", "\u0663", "a whole number"),
        ("MODHUB_RETRIES", "9" * 5000, r"^MODHUB_RETRIES='9{99}\.\.\. is not accepted"),
        ("MODHUB_MAX_DOWNLOAD", "10G", "kB, MB, GB, TB; KiB, MiB, GiB, TiB"),
        ("MODHUB_MAX_DOWNLOAD", "0", "1 or more"),
        ("MODHUB_MAX_DOWNLOAD", "9" * 18 + "TB", "a number of bytes"),
        ("MODHUB_MAX_DOWNLOAD", "9" * 400, "a number of bytes"),
        ("MODHUB_MIRRORS", "a b=c", "^MODHUB_MIRRORS='a b=c' is not accepted: entry 1 has no \"=\""),
        ("MODHUB_MIRRORS", "https://a/=b =c", "the prefix of entry 2 is none"),
        ("MODHUB_MIRRORS", "https://a/=", "a target of entry 1 is none"),
        ("MODHUB_MIRRORS", "https://a/=/b/{}/{}", 'with "{}" once'),
        ("MODHUB_LOCK", "https://example.com/modhub.lock", "^MODHUB_LOCK=.*it is a URL"),
        ("MODHUB_REQUIRE_LOCK", "2", "^MODHUB_REQUIRE_LOCK='2' is not accepted"),
    ],
)  # fmt: skip
def test_what_is_not_accepted(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidArgumentError, match=message):
        current()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3cret", 'entry 1 has no "="'),
        ("a.example.com=t https://b.example.com=s3cret", "the host of entry 2 is none"),
        ("a.example.com/x=s3cret", 'without "https://" or a path'),
        ("s3cr@t=s3cret", "the host of entry 1 is none"),
        ("a.example.com=", "the token of entry 1 is none"),
        ("a.example.com=s3cret\u20ac", "the token of entry 1 is none"),
        ("a.example.com=s3cret A.Example.com=s3cret2", "entry 2 gives a host a second token"),
        ("a.example.com=s3cret\r\nX-Header:1", 'entry 2 has no "="'),
    ],
)
def test_messages_have_no_tokens(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.setenv("MODHUB_TOKENS", text)
    with pytest.raises(InvalidArgumentError, match=message) as raised:
        current()
    assert str(raised.value).startswith("MODHUB_TOKENS=... is not accepted: ")
    assert "s3c" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_messages_have_no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_MIRRORS", "https://a/=https://me:s3cret@b/{}{}")
    with pytest.raises(InvalidArgumentError, match=r"https://a/=https://b/") as raised:
        current()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("blank", ["", "  \t"])
def test_what_is_set_to_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blank: str) -> None:
    """It counts as not set, but for switches, which are off, and the lock file, which is turned off."""
    config = tmp_path / "config.toml"
    config.write_text(
        """
        cache_dir = "/cache"
        offline = true
        load_format = "COMPRESSED"
        progress = false
        verify_tls = false
        ca_bundle = "/ca"
        connect_timeout = 1
        read_timeout = 2
        min_speed = 3
        retries = 4
        retry_max_wait = 5
        max_download_bytes = 6
        lock_file = "/lock"
        require_lock = true
        [tokens]
        host = "t"
        [mirrors]
        p = "t"
        """
    )
    monkeypatch.setenv("MODHUB_CONFIG", str(config))
    expected = Settings(
        cache_dir=Path("/cache"), offline=True, load_format="COMPRESSED", progress=False, verify_tls=False,
        ca_bundle="/ca", connect_timeout=1.0, read_timeout=2.0, min_speed=3, retries=4, retry_max_wait=5.0,
        max_download_bytes=6, tokens={"host": "t"}, mirrors=(("p", ("t",)),), lock_file=Path("/lock"),
        require_lock=True,
    )  # fmt: skip
    assert current() == expected
    for variable in (
        "TFHUB_CACHE_DIR", "TFHUB_MODEL_LOAD_FORMAT", "TFHUB_DOWNLOAD_PROGRESS", "TFHUB_DISABLE_CERT_VALIDATION",
        "MODHUB_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "MODHUB_CONNECT_TIMEOUT",
        "MODHUB_READ_TIMEOUT", "MODHUB_MIN_SPEED", "MODHUB_RETRIES", "MODHUB_RETRY_MAX_WAIT", "MODHUB_MAX_DOWNLOAD",
        "MODHUB_TOKENS", "MODHUB_MIRRORS",
    ):  # fmt: skip
        monkeypatch.setenv(variable, blank)
    assert current() == expected
    for variable in ("MODHUB_OFFLINE", "MODHUB_REQUIRE_LOCK", "MODHUB_LOCK"):
        monkeypatch.setenv(variable, blank)
    settings = current()
    assert (settings.offline, settings.require_lock, settings.lock_file) == (False, False, None)


def test_the_certificates_of_which_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = ["MODHUB_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
    found = []
    for variable in reversed(variables):
        monkeypatch.setenv(variable, f"/{variable}")
        found.append(current().ca_bundle)
    assert found == [f"/{variable}" for variable in reversed(variables)]
    monkeypatch.setenv("MODHUB_CA_BUNDLE", "")
    assert current().ca_bundle == "/REQUESTS_CA_BUNDLE"


def test_paths_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", "~/hub")
    monkeypatch.setenv("MODHUB_LOCK", "locks/a.lock")
    monkeypatch.setenv("SSL_CERT_FILE", "~/ca.pem")
    settings = current()
    assert settings.cache_dir == tmp_path / "home" / "hub"
    assert settings.lock_file == tmp_path / "work" / "locks" / "a.lock"
    assert settings.ca_bundle == str(tmp_path / "home" / "ca.pem")


def test_the_lock_file_of_the_working_directory(monkeypatch: pytest.MonkeyPatch, nothing_set: Path) -> None:
    (nothing_set / "modhub.lock").write_text("")
    assert current().lock_file == nothing_set / "modhub.lock"
    monkeypatch.setenv("MODHUB_LOCK", "")
    assert current().lock_file is None
    monkeypatch.setenv("MODHUB_LOCK", "/other")
    assert current().lock_file == Path("/other")


def test_the_working_directory_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert current().lock_file is None
    monkeypatch.setenv("TFHUB_CACHE_DIR", "hub")
    with pytest.raises(InvalidArgumentError, match=r"TFHUB_CACHE_DIR='hub' .* the working directory is not known"):
        current()


def test_without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where HOME is not set, the system's list of users says where home is; it need not know the user."""
    monkeypatch.delenv("HOME")
    pwd = pytest.importorskip("pwd", reason="only POSIX systems have it")
    assert current().cache_dir == Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", "modhub")

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(InvalidArgumentError, match=r"home directory of this user .*: set TFHUB_CACHE_DIR, or HOME"):
        current()
    monkeypatch.setenv("TFHUB_CACHE_DIR", "/cache")
    assert current().cache_dir == Path("/cache")
    monkeypatch.setenv("TFHUB_CACHE_DIR", "~/cache")
    with pytest.raises(InvalidArgumentError, match='"~" stands for is not known: give an absolute path'):
        current()


@pytest.mark.parametrize("home", ["/dev/null", "/no/such/home"])
def test_homes_that_are_none(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    """The cache has a path, which is found out to be unusable when something is to be written there."""
    monkeypatch.setenv("HOME", home)
    assert current().cache_dir == Path(f"{home}/.cache/modhub")


def test_the_platform_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pwd", reason="these variables are of POSIX systems")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configs"))
    config = tmp_path / "configs" / "modhub" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("retries = 3")
    assert (current().cache_dir, current().retries) == (tmp_path / "caches" / "modhub", 3)


def test_what_goes_before_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def held() -> Mapping[str, Any]:
        settings = current()
        return {name: getattr(settings, name) for name in ("retries", "offline", "tokens", "mirrors", "lock_file")}

    (tmp_path / "c.toml").write_text(
        'retries = 2\noffline = true\nlock_file = "b"\n[tokens]\nb = "2"\n[mirrors]\nb = "2"\n'
    )
    monkeypatch.setenv("MODHUB_CONFIG", str(tmp_path / "c.toml"))
    of_file = held()
    assert of_file == {
        "retries": 2, "offline": True, "tokens": {"b": "2"}, "mirrors": (("b", ("2",)),), "lock_file": tmp_path / "b",
    }  # fmt: skip
    for variable, text in [
        ("MODHUB_RETRIES", "3"), ("MODHUB_OFFLINE", "0"), ("MODHUB_TOKENS", "c=3"), ("MODHUB_MIRRORS", "c=3"),
        ("MODHUB_LOCK", "/c"),
    ]:  # fmt: skip
        monkeypatch.setenv(variable, text)
    of_variables = held()
    assert of_variables == {
        "retries": 3, "offline": False, "tokens": {"c": "3"}, "mirrors": (("c", ("3",)),), "lock_file": Path("/c"),
    }  # fmt: skip
    configure(retries=4, offline=True, tokens={"d": "4"}, mirrors={"d": "4"}, lock_file="")
    assert held() == {
        "retries": 4, "offline": True, "tokens": {"d": "4"}, "mirrors": (("d", ("4",)),), "lock_file": None,
    }  # fmt: skip
    configure(retries=None, offline=None, tokens=None, mirrors=None, lock_file=None)
    assert held() == of_variables
