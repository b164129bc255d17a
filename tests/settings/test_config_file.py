from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from modhub.errors import InvalidArgumentError
from modhub.settings import config_file as room
from modhub.settings import configure, current


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "conf" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setenv("MODHUB_CONFIG", str(path))
    return path


def test_everything_in_the_file(config: Path, tmp_path: Path) -> None:
    config.write_text(
        """
        cache_dir = "~/hub"
        ca_bundle = "ca.pem"            # relative paths are from here
        lock_file = "../my.lock"
        offline = "yes"                 # what a variable may say may stand here too
        load_format = "uncompressed"
        progress = true
        connect_timeout = 0.5
        read_timeout = "2min"
        max_download_bytes = "10GB"

        [tokens]
        "models.example.com:8080" = "s3cret"

        [mirrors]
        "https://tfhub.dev/" = ["https://mirror.example.com/", "/mnt/{}"]
        "gs://bucket" = "/mnt/bucket"
        """
    )
    settings = current()
    assert settings.cache_dir == tmp_path / "home" / "hub"
    assert settings.ca_bundle == str(tmp_path / "conf" / "ca.pem")
    assert settings.lock_file == tmp_path / "conf" / ".." / "my.lock"
    assert (settings.offline, settings.load_format, settings.progress) == (True, "UNCOMPRESSED", True)
    assert (settings.connect_timeout, settings.read_timeout, settings.max_download_bytes) == (0.5, 120.0, 10**10)
    assert dict(settings.tokens) == {"models.example.com:8080": "s3cret"}
    assert settings.mirrors == (
        ("https://tfhub.dev/", ("https://mirror.example.com/", "/mnt/{}")),
        ("gs://bucket", ("/mnt/bucket",)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retries = 1\nretires = 2", "has a setting 'retires', which modhub does not know. .* Did you mean 'retries'?"),
        ("Offline = true", "Did you mean 'offline'?"),
        ("retries = 1\n\noffline = yes", "is not TOML: .*line 3"),
        ("retries = 1\nretries = 2\n", "is not TOML: .*line 2"),
        ("retries = " + "9" * 5000, "is not TOML"),
        ("offline = " + "[" * 100_000, "is nested too deeply"),
        ("retries = -1", r"^retries = -1 in the configuration file '.*config.toml' is not accepted: give a whole"),
        ("retries = true", "^retries = True in"),
        ("retries = 1.5", "^retries = 1.5 in"),
        ("offline = 3", "^offline = 3 in .* give 1, true, yes"),
        ("offline = 1979-05-27", "^offline = datetime.date"),
        ("read_timeout = inf", "^read_timeout = inf in"),
        ("read_timeout = nan", "^read_timeout = nan in"),
        ("load_format = []", r"^load_format = \[\] in"),
        ("cache_dir = 1", "^cache_dir = 1 in .*give a path"),
        ('cache_dir = ""', "give a path"),
        ('cache_dir = "a\\u0000b"', "give a path"),
        ('cache_dir = "gs://bucket/x"', "^cache_dir = 'gs://bucket/x' in .* it is a URL"),
        ("mirrors = 3", "give a table"),
        ("mirrors = [[1, 2]]", "entry 1 is no pair"),
        ('[mirrors]\n"https://a/" = []', "entry 1 has no target"),
        ('[mirrors]\n"https://a/" = 1', "entry 1 has no target"),
        ('[mirrors]\n"https://a/" = ["b", 1]', "a target of entry 1 is none"),
        ('[mirrors]\n"" = "b"', "the prefix of entry 1 is none"),
        ('[tokens]\nmodels.example.com = "s3cret"', "^tokens = ... in .* the host of entry 1 is not in quotes"),
        ('[tokens]\n"a.example.com" = 1', "the token of entry 1 is none"),
    ],
)  # fmt: skip
def test_what_is_not_accepted(config: Path, text: str, message: str) -> None:
    config.write_text(text)
    with pytest.raises(InvalidArgumentError, match=message) as raised:
        current()
    assert str(config) in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_encodings(config: Path) -> None:
    config.write_bytes(b"\xef\xbb\xbfretries = 3\r\n")
    assert current().retries == 3
    config.write_bytes(b"retries = 1\n# \xe9\n")
    with pytest.raises(InvalidArgumentError, match="is not UTF-8 in line 2"):
        current()


def test_a_file_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"MODHUB_CONFIG='.*': the configuration file .* No such file.*to go without"
    ):
        current()
    monkeypatch.setenv("MODHUB_CONFIG", "https://example.com/config.toml")
    with pytest.raises(InvalidArgumentError, match=r"^MODHUB_CONFIG='https.*it is a URL"):
        current()


def test_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = tmp_path / "home" / ".config" / "modhub" / "config.toml"
    assert current().retries == 5
    usual.parent.mkdir(parents=True)
    usual.write_text("retries = 3")
    assert current().retries == 3
    for text in ("", " ", os.devnull):
        monkeypatch.setenv("MODHUB_CONFIG", text)
        assert current().retries == 5


def test_what_is_no_file(config: Path) -> None:
    config.mkdir()
    with pytest.raises(InvalidArgumentError, match="cannot be read: it is no regular file"):
        current()
    config.rmdir()
    os.mkfifo(config)
    with pytest.raises(InvalidArgumentError, match="cannot be read: it is no regular file"):
        current()


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    config.write_text("retries = 3")
    config.chmod(0)
    if os.access(config, os.R_OK):  # root may read everything; so the refusal is made here

        def refused(path: str, mode: str) -> None:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(InvalidArgumentError, match="cannot be read: Permission denied"):
        current()


def test_a_file_that_is_too_large(config: Path) -> None:
    with config.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InvalidArgumentError, match="more than 1048576 bytes"):
        current()


def test_a_home_that_may_not_be_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody has said that there is a file: what is in the way of looking is no error."""
    (tmp_path / "home").write_text("no directory")
    assert current().retries == 5


def test_changes_are_seen(config: Path) -> None:
    found = []
    for number in range(300):  # many within one tick of the file system's clock, all of one length
        config.write_text(f"retries = {number % 2}")
        found.append(current().retries)
    assert found == [0, 1] * 150


def test_changes_are_seen_when_the_file_is_old(config: Path) -> None:
    long_ago = time.time() - 1000
    for number in (1, 2):
        other = config.with_name("new")
        other.write_text(f"retries = {number}")
        os.utime(other, (long_ago, long_ago))  # with the same time and size
        other.replace(config)
        assert current().retries == number
        assert current().retries == number
    config.unlink()
    with pytest.raises(InvalidArgumentError, match="No such file"):
        current()


def test_an_error_goes_when_the_file_is_mended(config: Path) -> None:
    config.write_text("retries = x")
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="line 1"):
            current()
    config.write_text("retries = 1")
    assert current().retries == 1


def test_it_is_read_once(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    config.write_text("retries = 3")
    parsed = []
    parse = room._parse
    monkeypatch.setattr(room, "_parse", count := lambda path, data: parsed.append(path) or parse(path, data))
    assert [current().retries for _ in range(5)] == [3] * 5
    assert len(parsed) == 1
    assert room._parse is count


def test_configure_does_not_hide_what_is_wrong_with_the_file(config: Path) -> None:
    config.write_text("retries = -1")
    configure(retries=2)
    with pytest.raises(InvalidArgumentError, match=r"^retries = -1 in"):
        current()
