"""Transports of other distributions: real ones, tiny, written to a folder on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.errors import InvalidArgumentError
from modhub.transports import known_schemes, transport_for
from modhub.transports.filesystems import fetch_filesystem
from modhub.transports.job import Fetched, Job
from modhub.transports.plugins import plugin_schemes, plugin_transport
from tests.transports.fake_job import check_fetched, make_job

Install = Callable[..., None]

_SOURCE = """
import hashlib
from modhub.format.digests import FileDigest
from modhub.transports import Fetched

def fetch(url, job):
    (job.directory / "tfhub_module.pb").write_bytes(b"\\x08\\x03")
    import os
    os.utime(job.directory / "tfhub_module.pb", (2, 2))
    digest = FileDigest(size=2, sha256=hashlib.sha256(b"\\x08\\x03").hexdigest())
    return Fetched(url=url, archive=None, files={"tfhub_module.pb": digest})

NUMBER = 3
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, scheme: str, value: str, source: str = _SOURCE) -> None:
        module = value.partition(":")[0]
        (site / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)
        information = site / f"{name}-1.2.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (information / "entry_points.txt").write_text(f"[modhub.transports]\n{scheme} = {value}\n")

    return install


def test_a_plugin_fetches_its_scheme(install: Install, tmp_path: Path) -> None:
    install("acme-store", "acme", "acme_store:fetch")
    assert "acme" in plugin_schemes()
    assert "acme" in known_schemes()
    assert "acme_store" not in sys.modules
    transport = transport_for("ACME://x")
    assert transport is not None
    job: Job = make_job(tmp_path, "acme://x")
    fetched: Fetched = transport("acme://x", job)
    check_fetched(fetched, job, {"tfhub_module.pb": b"\x08\x03"})


def test_a_scheme_without_a_plugin_has_none() -> None:
    assert plugin_transport("acme") is None
    assert transport_for("acme://x") is None


@pytest.mark.parametrize(
    ("value", "source", "reason"),
    [
        ("acme_store:fetch", "import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("acme_store:fetch", "raise ValueError('bad')", "ValueError: bad"),
        ("acme_store:fetch", "def", "SyntaxError"),
        ("acme_store:lacking", _SOURCE, "AttributeError"),
        ("acme_store:NUMBER", _SOURCE, "is 3, and a transport is a function"),
    ],
)
def test_a_plugin_that_is_broken_is_named_with_its_distribution(
    install: Install, value: str, source: str, reason: str
) -> None:
    install("acme-store", "acme", value, source)
    with pytest.raises(InvalidArgumentError) as caught:
        transport_for("acme://x")
    message = str(caught.value)
    assert message.startswith("The plug-in acme-store 1.2 for the scheme 'acme' cannot be used:")
    assert reason in message
    assert "acme" in known_schemes()  # listing imports nothing


def test_others_work_beside_a_broken_one(install: Install) -> None:
    install("acme-store", "acme", "acme_store:fetch")
    install("broken-store", "broken", "broken_store:fetch", "raise ValueError")
    assert transport_for("acme://x") is not None


def test_two_plugins_for_one_scheme_are_refused(install: Install) -> None:
    install("acme-store", "acme", "acme_store:fetch")
    install("other-store", "acme", "other_store:fetch")
    with pytest.raises(InvalidArgumentError, match=r"two plug-ins .*acme-store 1\.2 .* and other-store 1\.2"):
        transport_for("acme://x")


def test_a_plugin_for_a_scheme_of_modhub_is_not_asked(install: Install) -> None:
    install("acme-store", "gs", "acme_store:fetch")
    assert transport_for("gs://bucket/m") is fetch_filesystem
    assert "acme_store" not in sys.modules


def test_a_name_that_is_no_scheme_is_a_problem(install: Install) -> None:
    install("acme-store", "my store", "acme_store:fetch")
    with pytest.raises(InvalidArgumentError, match=r"acme-store 1\.2 .* is no scheme of a URL"):
        transport_for("my store:x")


def test_a_distribution_that_is_found_twice_is_one(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-store", "acme", "acme_store:fetch")
    monkeypatch.syspath_prepend(str(Path(next(path for path in sys.path if path.endswith("site")))))
    assert transport_for("acme://x") is not None
