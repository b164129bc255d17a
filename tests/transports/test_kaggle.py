"""Modules at Kaggle, asked for by the real kagglehub from a Kaggle on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modhub.errors import CorruptModuleError, DownloadError, MissingDependencyError
from modhub.transports.kaggle import fetch_kaggle
from tests.transports.fake_job import FILES, check_fetched, make_job, message_without
from tests.transports.fake_kaggle import Kaggle
from tests.transports.fake_server import serve

pytest.importorskip("kagglehub", reason="kagglehub is not installed here (extra 'kaggle')")

HANDLE = "kaggle://google/nnlm/tensorFlow1/en-dim50"


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    kaggle = Kaggle(versions={1: {"tfhub_module.pb": b"old"}, 2: FILES})
    # kagglehub knows "http://localhost" as a Kaggle of its developers; the proxy answers in its place.
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "KAGGLE_KERNEL_RUN_TYPE", "TBE_RUNTIME_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with serve(kaggle.respond) as url:
        monkeypatch.setenv("http_proxy", url)
        yield kaggle


@pytest.mark.parametrize(("suffix", "version"), [("", 2), ("/2", 2), ("/1", 1), ("/1/", 1)])
def test_a_version_is_fetched(kaggle: Kaggle, tmp_path: Path, suffix: str, version: int) -> None:
    job = make_job(tmp_path, HANDLE + suffix)
    fetched = fetch_kaggle(job.handle, job)
    check_fetched(fetched, job, kaggle.versions[version])
    assert fetched.url == f"{HANDLE}/{version}"
    assert kaggle.asked[-1][1]["framework"] == "MODEL_FRAMEWORK_TENSOR_FLOW_1"


@pytest.mark.parametrize("framework", ["tensorflow1", "TensorFlow1"])
def test_the_framework_may_be_written_as_on_pages(kaggle: Kaggle, tmp_path: Path, framework: str) -> None:
    job = make_job(tmp_path, HANDLE.replace("tensorFlow1", framework))
    check_fetched(fetch_kaggle(job.handle, job), job, FILES)


def test_a_model_of_many_files_comes_as_an_archive(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.versions[3] = FILES | {f"assets/{number}": b"x" for number in range(30)}
    job = make_job(tmp_path, HANDLE)
    check_fetched(fetch_kaggle(job.handle, job), job, kaggle.versions[3])


def test_what_kagglehub_has_is_not_downloaded_again(kaggle: Kaggle, tmp_path: Path) -> None:
    for number in (1, 2):
        job = make_job(tmp_path / str(number), f"{HANDLE}/2")
        check_fetched(fetch_kaggle(job.handle, job), job, FILES)
    assert [call for call, _ in kaggle.asked].count("ListModelInstanceVersionFiles") == 1


def test_nothing_is_written_to_stdout(kaggle: Kaggle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = make_job(tmp_path, HANDLE)
    fetch_kaggle(job.handle, job)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Downloading" in err


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "Check your credentials"), (403, "asked for at their page"), (500, "Try again later")]
)
def test_a_refusal_is_told(kaggle: Kaggle, tmp_path: Path, status: int, advice: str) -> None:
    kaggle.refusal = status
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError, match=advice) as caught:
        fetch_kaggle(job.handle, job)
    assert repr(HANDLE) in str(caught.value)
    assert (caught.value.url, caught.value.status) == (HANDLE, status)


def test_without_a_network_no_package_speaks(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve(kaggle.respond) as url:
        pass
    monkeypatch.setenv("http_proxy", url)
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError) as caught:
        fetch_kaggle(job.handle, job)
    words = "could not be fetched: the connection failed (Connection refused). Is there a network here"
    assert str(caught.value).startswith(f"{HANDLE!r} {words}")
    assert "Pool" not in capfd.readouterr().err


@pytest.mark.parametrize("suffix", ["/9", "-other", "-other/1"])
def test_what_is_not_there_is_told(kaggle: Kaggle, tmp_path: Path, suffix: str) -> None:
    job = make_job(tmp_path, HANDLE + suffix)
    with pytest.raises(DownloadError, match="Check owner, model, framework, variation and version") as caught:
        fetch_kaggle(job.handle, job)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "url",
    [
        "kaggle://google/nnlm",
        "kaggle://google/nnlm/tensorFlow1",
        "kaggle://google/nnlm/tensorFlow1/en-dim50/2/saved_model.pb",
        "kaggle://google/../tensorFlow1/en-dim50/2",
        "kaggle://google//tensorFlow1/en-dim50",
        "kaggle://google/nnlm/tensorFlow1/en-dim50/latest",
        "kaggle://google/nnlm/tensorFlow1/en-dim50/0",
        "kaggle:google/nnlm/tensorFlow1/en-dim50",
    ],
)
def test_what_is_no_handle_is_told_with_the_form(tmp_path: Path, url: str) -> None:
    job = make_job(tmp_path, url)
    with pytest.raises(DownloadError, match="kaggle://OWNER/MODEL/FRAMEWORK/VARIATION, and /VERSION"):
        fetch_kaggle(url, job)


def test_an_unknown_framework_is_told(kaggle: Kaggle, tmp_path: Path) -> None:
    job = make_job(tmp_path, HANDLE.replace("tensorFlow1", "caffe"))
    with pytest.raises(DownloadError, match="'caffe' is not a valid ModelFramework"):
        fetch_kaggle(job.handle, job)


def test_a_download_that_ends_early_is_no_module(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.cut = True
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError, match=r"the connection failed \(the answer ended early\)"):
        fetch_kaggle(job.handle, job)
    assert list(job.directory.iterdir()) == []


def test_a_download_that_is_damaged_is_no_module(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.bad_md5 = True
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(CorruptModuleError, match="damaged on its way from Kaggle"):
        fetch_kaggle(job.handle, job)
    assert list(job.directory.iterdir()) == []


def test_a_link_in_the_cache_of_kagglehub_is_refused(kaggle: Kaggle, tmp_path: Path) -> None:
    first = make_job(tmp_path / "1", f"{HANDLE}/2")
    fetch_kaggle(first.handle, first)
    (there,) = (tmp_path / "kagglehub").rglob("saved_model.pb")
    there.unlink()
    there.symlink_to("/etc/passwd")
    second = make_job(tmp_path / "2", f"{HANDLE}/2")
    with pytest.raises(CorruptModuleError, match=r"'saved_model\.pb' is a symbolic link"):
        fetch_kaggle(second.handle, second)
    assert list(second.directory.iterdir()) == []


def test_what_is_too_large_is_not_copied(kaggle: Kaggle, tmp_path: Path) -> None:
    job = make_job(tmp_path, HANDLE, max_download_bytes=1000)
    with pytest.raises(DownloadError, match="MODHUB_MAX_DOWNLOAD"):
        fetch_kaggle(job.handle, job)


def test_without_kagglehub_the_extra_is_named(tmp_path: Path) -> None:
    message = message_without("kagglehub", HANDLE, tmp_path)
    assert message.startswith(f"{MissingDependencyError.__name__}: {HANDLE!r} is read with a package")
    assert "pip install 'modhub[kaggle]'" in message


def test_kagglehub_is_imported_when_it_is_needed() -> None:

    code = "import sys, modhub.transports.kaggle, modhub.transports.kaggle_pages; print('kagglehub' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
