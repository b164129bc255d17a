from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from modhub.errors import InvalidArgumentError
from modhub.settings import Settings, configure, current
from modhub.settings.redact import masked
from modhub.settings.values import Tokens


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("cache_dir", Path("/x"), Path("/x")),
        ("cache_dir", "/x", Path("/x")),
        ("offline", True, True),
        ("offline", 1, True),
        ("offline", "no", False),
        ("load_format", "uncompressed", "UNCOMPRESSED"),
        ("progress", False, False),
        ("verify_tls", False, False),
        ("verify_tls", "true", True),  # not the variable, which says the opposite
        ("ca_bundle", Path("/ca"), "/ca"),
        ("connect_timeout", 1, 1.0),
        ("read_timeout", "3s", 3.0),
        ("min_speed", 0, 0),
        ("retries", 0, 0),
        ("retry_max_wait", 0, 0.0),
        ("max_download_bytes", "1KiB", 1024),
        ("tokens", {"Host:1": "t"}, {"host:1": "t"}),
        ("tokens", Tokens({"host": "t"}), {"host": "t"}),
        ("tokens", "", {}),
        ("mirrors", {"a": "b", "c": ["d", "e"]}, (("a", ("b",)), ("c", ("d", "e")))),
        ("mirrors", (("a", ("b",)),), (("a", ("b",)),)),
        ("mirrors", [], ()),
        ("lock_file", "/l", Path("/l")),
        ("lock_file", "", None),
        ("require_lock", True, True),
    ],
)
def test_what_is_accepted(name: str, given: object, value: object) -> None:
    before = current()
    configure(**{name: given})  # type: ignore[arg-type]
    found = getattr(current(), name)
    assert found == value
    assert type(found) is type(getattr(before, name)) or getattr(before, name) is None or name == "tokens"
    configure(**{name: None})  # type: ignore[arg-type]
    assert current() == before


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("retires", 1, r"^configure\(...\) has a setting 'retires', which .* Did you mean 'retries'\?"),
        ("offlin", None, "Did you mean 'offline'?"),
        ("retries", "", r"^configure\(retries=''\) is not accepted: give a whole number from 0 to 1000\."),
        ("retries", True, "whole number"),
        ("retries", 1.0, "whole number"),
        ("offline", 2, "give 1, true"),
        ("offline", [], "give 1, true"),
        ("progress", 1.0, "give 1, true"),
        ("load_format", 1, "give AUTO"),
        ("read_timeout", True, "seconds"),
        ("read_timeout", float("nan"), "seconds"),
        ("read_timeout", float("inf"), "seconds"),
        ("read_timeout", 10**400, "seconds"),
        ("max_download_bytes", 1.5, "bytes"),
        ("max_download_bytes", 2**63, "bytes"),
        ("cache_dir", b"/x", "give a path"),
        ("cache_dir", "", "give a path"),
        ("cache_dir", "s3://x/y", "it is a URL"),
        ("lock_file", 3, "give a path"),
        ("tokens", 3, r"^configure\(tokens=...\) is not accepted: give a table"),
        ("tokens", {"host": "two\r\nLines: 1"}, "the token of entry 1 is none"),
        ("tokens", {"host": None}, "the token of entry 1 is none"),
        ("tokens", {3: "t"}, "entry 1 is no pair of texts"),
        ("tokens", b"host=t", "give a table"),
        ("mirrors", {"a": {"b"}}, "entry 1 has no target"),
        ("mirrors", {"a b": "c"}, "the prefix of entry 1 is none"),
        ("mirrors", {"a": "/b\0"}, "a target of entry 1 is none"),
    ],
)
def test_what_is_not_accepted(name: str, given: object, message: str) -> None:
    before = current()
    with pytest.raises(InvalidArgumentError, match=message) as raised:
        configure(**{name: given})  # type: ignore[arg-type]
    assert isinstance(raised.value, TypeError)
    assert current() == before


def test_all_or_nothing() -> None:
    before = current()
    with pytest.raises(InvalidArgumentError):
        configure(offline=True, retries=-1)
    with pytest.raises(InvalidArgumentError):
        configure(offline=True, no_such=1)  # type: ignore[call-arg]
    assert current() == before


def test_a_relative_path_stays_where_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configure(cache_dir="hub")
    monkeypatch.chdir(tmp_path)
    assert current().cache_dir == tmp_path / "work" / "hub"


def test_what_was_given_may_change_afterwards() -> None:
    tokens = {"host": "t"}
    mirrors = {"a": ["b"]}
    configure(tokens=tokens, mirrors=mirrors)
    tokens["host"] = "other"
    mirrors["a"].append("c")
    assert current().tokens == {"host": "t"}
    assert current().mirrors == (("a", ("b",)),)


def test_threads_see_whole_calls() -> None:
    """Each call sets two settings together, and others set one that nobody else does: none is lost or half there."""
    failures: list[object] = []
    done = threading.Event()

    def both(number: int) -> None:
        for _ in range(200):
            configure(retries=number, min_speed=number)

    def one(name: str) -> None:
        for number in range(1, 201):
            configure(**{name: number})  # type: ignore[arg-type]
            if getattr(current(), name) != number:
                failures.append((name, number))

    def watch() -> None:
        while not done.is_set():
            settings = current()
            if settings.retries != settings.min_speed:
                failures.append(settings)

    configure(retries=1, min_speed=1)
    work = [threading.Thread(target=both, args=(number,)) for number in range(2)]
    work += [threading.Thread(target=one, args=(name,)) for name in ("connect_timeout", "max_download_bytes")]
    watcher = threading.Thread(target=watch)
    for thread in (watcher, *work):
        thread.start()
    for thread in work:
        thread.join()
    done.set()
    watcher.join()
    assert failures == []
    assert (current().connect_timeout, current().max_download_bytes) == (200.0, 200)


@pytest.mark.parametrize("tokens", [{"host": "s3cret"}, Tokens({"host": "s3cret"})], ids=["dict", "Tokens"])
def test_secrets_are_not_shown(tokens: Any) -> None:
    settings = Settings(
        cache_dir=Path("/x"), tokens=tokens, mirrors=(("https://a/", ("https://me:s3cret@b/", "https://t0ken@c/")),)
    )
    for text in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert "s3cret" not in text
        assert "t0ken" not in text
        assert "'host': '***'" in text
        assert "https://b/" in text
    assert settings.tokens["host"] == "s3cret"


def test_tokens_of_the_process_are_not_shown() -> None:
    configure(tokens={"host": "s3cret"})
    assert "s3cret" not in repr(current()) + repr(current().tokens)
    assert "'host'" in repr(current())


def test_settings_can_be_copied_and_sent() -> None:
    configure(tokens={"host": "t"}, mirrors={"a": "b"})
    settings = current()
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    assert pickle.loads(pickle.dumps(settings)).tokens["host"] == "t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a:b@c/d and http://e@f", "https://c/d and http://f"),
        ("https://a:b@c@d/x", "https://d/x"),
        ("https://host/models@v1", "https://host/models@v1"),
        ("no URL: a@b", "no URL: a@b"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
