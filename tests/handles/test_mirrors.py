from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import InvalidArgumentError
from modhub.handles.mirrors import candidates

HUB = "https://tfhub.dev"


def only(handle: str, prefix: str, target: str) -> str:
    (found,) = candidates(handle, ((prefix, (target,)),))
    return found


@pytest.mark.parametrize(
    "handle", ["https://tfhub.dev/google/elmo/3", "/models/elmo", "./elmo", "", "gs://bucket/elmo.tar.gz", "hf://a/b"]
)
def test_without_a_mirror(handle: str) -> None:
    assert candidates(handle, ()) == [handle]
    assert candidates(handle, (("https://other.dev/", ("/mnt",)),)) == [handle]


@pytest.mark.parametrize(
    ("prefix", "target", "expected"),
    [
        (f"{HUB}/", "https://m.example.com/", "https://m.example.com/google/elmo/3"),
        (f"{HUB}/", "https://m.example.com", "https://m.example.com/google/elmo/3"),
        (f"{HUB}/", "https://m.example.com/tf", "https://m.example.com/tf/google/elmo/3"),
        (HUB, "https://m.example.com", "https://m.example.com/google/elmo/3"),
        (HUB, "https://m.example.com/", "https://m.example.com/google/elmo/3"),
        (f"{HUB}/google", "https://m.example.com/g", "https://m.example.com/g/elmo/3"),
        (f"{HUB}/google/el", "https://m.example.com/EL", "https://m.example.com/ELmo/3"),
        (f"{HUB}/goo", "https://m.example.com", "https://m.example.com/gle/elmo/3"),
        (f"{HUB}/google/elmo/3", "file:///mnt/elmo", "file:///mnt/elmo"),
        (f"{HUB}/", "/mnt/models", "/mnt/models/google/elmo/3"),
        (f"{HUB}/", "models", "models/google/elmo/3"),
        (f"{HUB}/", "~/models/", "~/models/google/elmo/3"),
        (f"{HUB}/", "file:///mnt/{}", "file:///mnt/google/elmo/3"),
        (f"{HUB}/", "gs://bucket/{}.tar.gz", "gs://bucket/google/elmo/3.tar.gz"),
        (HUB, "gs://bucket/{}.tar.gz", "gs://bucket/google/elmo/3.tar.gz"),
        (HUB, "gs://bucket{}", "gs://bucket/google/elmo/3"),
        (f"{HUB}/", "gs://bucket{}", "gs://bucket/google/elmo/3"),
        (f"{HUB}/google/", "kaggle://{}", "kaggle://elmo/3"),
        (f"{HUB}/", "https://m/get?h={}&raw=1", "https://m/get?h=google/elmo/3&raw=1"),
        (f"{HUB}/", "https://m/get?h=", "https://m/get?h=google/elmo/3"),
        (f"{HUB}/", "{}", "google/elmo/3"),
        ("https://", "http://proxy:8080/", "http://proxy:8080/tfhub.dev/google/elmo/3"),
        ("https://", "https://proxy", "https://proxy/tfhub.dev/google/elmo/3"),
    ],
)
def test_a_target_takes_the_place_of_the_prefix(prefix: str, target: str, expected: str) -> None:
    assert only(f"{HUB}/google/elmo/3", prefix, target) == expected


PIN = "#sha256=" + "0a" * 32


@pytest.mark.parametrize(
    ("rest", "target", "expected"),
    [
        ("x/1?a=b&c=", "https://m/", "https://m/x/1?a=b&c="),
        (f"x/1?a=b{PIN}", "https://m/", f"https://m/x/1?a=b{PIN}"),
        (f"x/1?a=b{PIN}", "https://m/{}.tar.gz", f"https://m/x/1.tar.gz?a=b{PIN}"),
        ("x/1?a=b", "https://m/{}?tf-hub-format=compressed", "https://m/x/1?tf-hub-format=compressed&a=b"),
        (f"x/1{PIN}", "/mnt/{}.tgz", f"/mnt/x/1.tgz{PIN}"),
        (f"x/1{PIN}", "https://m/get?h={}&c=d", f"https://m/get?h=x/1&c=d{PIN}"),
        ("x/1?a=b&c=d%20e", "https://m/get?h={}", "https://m/get?h=x/1%3Fa%3Db%26c%3Dd%2520e"),
        ("a%20b/\u00e4?..", "https://m/", "https://m/a%20b/\u00e4?.."),
        ("{}/1", "https://m/{}", "https://m/{}/1"),
        ("x/..y/...", "https://m/", "https://m/x/..y/..."),
        ("", "https://m/", "https://m/"),
        ("", "https://m", "https://m"),
    ],
)
def test_what_follows_the_prefix_is_kept(rest: str, target: str, expected: str) -> None:
    assert only(f"{HUB}/{rest}", f"{HUB}/", target) == expected


@pytest.mark.parametrize(
    ("handle", "prefix"),
    [
        ("https://tfhub.dev.evil/x", HUB),
        ("https://tfhub.dev:8080/x", HUB),
        ("https://tfhub.dev@evil/x", HUB),
        ("https://me:pw@tfhub.dev/x", HUB),
        ("https://tfhub.developers/x", HUB),
        ("http://tfhub.dev/x", HUB),
        ("https://tfhub.dev/x", "https://tfhub"),
        ("https://tfhub.dev", f"{HUB}/"),
        ("https://tfhub.dev/Google/x", f"{HUB}/google/"),
        ("kaggle://Google/x", "kaggle://google"),
        ("kaggle://google-evil/x", "kaggle://google"),
        ("https://tfhub.dev/x", "https"),
        ("https://tfhub.dev/x", "h"),
        ("models/x", "models://"),
        ("/models/x", "file:///models/"),
        ("https://tfhub.dev/x", ""),
        ("https://tfhub.dev/x", "https://other/?https://tfhub.dev"),
    ],
)
def test_prefixes_that_do_not_match(handle: str, prefix: str) -> None:
    assert candidates(handle, ((prefix, ("/mnt/",)),)) == [handle]


@pytest.mark.parametrize(
    ("handle", "prefix", "expected"),
    [
        (HUB, HUB, "/mnt"),
        (f"{HUB}?a=b", HUB, "/mnt?a=b"),
        (f"{HUB}#x", HUB, "/mnt#x"),
        ("HTTPS://TfHub.Dev/X", HUB, "/mnt/X"),
        ("https://tfhub.dev/X", "HTTPS://TFHUB.DEV/", "/mnt/X"),
        ("https://tfhub.dev:8080/x", "https://tfhub.dev:8080", "/mnt/x"),
        ("kaggle://google/x", "kaggle://", "/mnt/google/x"),
        ("KAGGLE://google/x", "kaggle://google", "/mnt/x"),
        ("/models/x", "/models/", "/mnt/x"),
        ("models:x", "models:", "/mntx"),
        ("file:///models/x", "file:///models", "/mnt/x"),
    ],
)
def test_prefixes_that_match(handle: str, prefix: str, expected: str) -> None:
    assert only(handle, prefix, "/mnt") == expected


def test_the_longest_prefix_counts_and_nothing_else_is_tried() -> None:
    mirrors = (
        ("https://", ("/all/",)),
        (f"{HUB}/", ("https://a/", "https://b/{}", f"{HUB}/", "https://a/")),
        (f"{HUB}/google/", ("gs://google/",)),
        (f"{HUB}/google/nnlm", ("gs://nnlm/",)),
    )
    assert candidates(f"{HUB}/google/elmo/3", mirrors) == ["gs://google/elmo/3"]
    assert candidates(f"{HUB}/deepmind/x", mirrors) == [
        "https://a/deepmind/x",
        "https://b/deepmind/x",
        f"{HUB}/deepmind/x",
    ]
    assert candidates("https://other/x", mirrors) == ["/all/other/x"]
    assert candidates(f"{HUB}/google/elmo/3", tuple(reversed(mirrors))) == ["gs://google/elmo/3"]


@pytest.mark.parametrize(
    "rest",
    ["../etc", "x/../../etc", "x/..", "x/..?a=b", "..#x", "%2e%2e/etc", "x/.%2E/etc", "x%2f..%2fetc", "..\\etc", ".."],
)
@pytest.mark.parametrize("target", ["/mnt/", "/mnt/{}", "https://m/", "https://m/?x={}"])
def test_a_handle_does_not_leave_its_mirror(rest: str, target: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"has a part '..' after 'https://tfhub.dev/', whose mirror"):
        candidates(f"{HUB}/{rest}", ((f"{HUB}/", (target,)),))


def test_the_message_has_no_password() -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        candidates("https://me:s3cret@host/../x", (("https://me:s3cret@host/", ("/mnt/",)),))
    assert "s3cret" not in str(raised.value)


texts = st.text(alphabet=st.sampled_from("htps:/.?#{}@%2e\\tfhub.dev\ud800\u0130\u1e9e"), max_size=30)
handles = st.one_of(texts, texts.map("https://tfhub.dev".__add__), texts.map("https://".__add__))


@given(handle=handles, prefix=handles, target=handles)
def test_any_texts(handle: str, prefix: str, target: str) -> None:
    try:
        (found,) = candidates(handle, ((prefix, (target,)),))
    except InvalidArgumentError:
        return
    assert found == handle or handle.lower().startswith(prefix.lower())


@given(rest=texts, slash=st.sampled_from(["", "/"]))
def test_the_host_of_a_mirror_stays_what_it_is(rest: str, slash: str) -> None:
    for target in (f"https://mirror{slash}", f"https://mirror{slash}{{}}", f"https://mirror{slash}{{}}.tar.gz"):
        for prefix in (HUB, f"{HUB}/", f"{HUB}/a"):
            try:
                (found,) = candidates(prefix + rest, ((prefix, (target,)),))
            except InvalidArgumentError:
                continue
            if found != prefix + rest:
                assert found[:14] == "https://mirror"
                assert found[14:15] in ("", "/", "?", "#")
