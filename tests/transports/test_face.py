from __future__ import annotations

import subprocess
import sys

import pytest

from modhub import transports

LATER = ["requests", "urllib3", "rich", "numpy", "fsspec", "kagglehub", "huggingface_hub", "ssl", "http.client"]


def test_names() -> None:
    assert transports.__all__ == ["Fetched", "Job", "Transport", "known_schemes", "transport_for"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/x", "fetch_http"),
        ("HTTPS://h/x", "fetch_http"),
        ("gs://b/x", "fetch_filesystem"),
        ("s3://b/x", "fetch_filesystem"),
        ("kaggle://a/b/c/d", "fetch_kaggle"),
        ("hf://a/b", "fetch_hugging_face"),
    ],
)
def test_a_transport_for_each_scheme(url: str, name: str) -> None:
    transport = transports.transport_for(url)
    assert transport is not None
    assert getattr(transport, "__name__", "") == name


@pytest.mark.parametrize("url", ["", "no-such-scheme://x", "/a/path", "http"])
def test_none_for_others(url: str) -> None:
    assert transports.transport_for(url) is None


def test_known_schemes() -> None:
    schemes = transports.known_schemes()
    assert schemes == sorted(set(schemes))
    assert {"http", "https", "gs", "s3", "kaggle", "hf"} <= set(schemes)


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    program = (
        "import sys, modhub.transports as t; t.transport_for('https://h/x'); "
        f"print([name for name in {LATER!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
