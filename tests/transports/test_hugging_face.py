"""Modules at a Hugging Face hub, asked for by the real huggingface_hub from a hub on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modhub.errors import CorruptModuleError, DownloadError, InvalidArgumentError
from modhub.format.archive_limits import Limits
from modhub.transports.asking import Asker
from modhub.transports.hugging_face import fetch_hugging_face
from modhub.transports.sized_files import file_blocks
from tests.transports.fake_hub import COMMIT, REPOSITORY, Hub
from tests.transports.fake_job import FILES, CountingProgress, check_fetched, make_job, message_without
from tests.transports.fake_server import serve
from tests.transports.http_cases import settings_with
from tests.transports.misbehaving import Behaviour, Server, answer, cut

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed here (extra 'hf')")

HANDLE = f"hf://{REPOSITORY}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    import huggingface_hub
    import huggingface_hub.constants

    hub = Hub(files=dict(FILES))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # Both were read when it was imported.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with serve(hub.respond) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield hub
        huggingface_hub.close_session()


@pytest.mark.parametrize("suffix", ["", "/", "@main", "@v1%2Fb", f"@{COMMIT}"])
def test_a_repository_is_fetched(hub: Hub, tmp_path: Path, suffix: str) -> None:
    job = make_job(tmp_path, HANDLE + suffix)
    fetched = fetch_hugging_face(job.handle, job)
    check_fetched(fetched, job, FILES)
    assert fetched.url == f"{HANDLE}@{COMMIT}"
    assert fetched.archive is None


@pytest.mark.parametrize("folder", ["modules/en", "modules/[e]n", "assets"])
def test_a_folder_is_fetched_alone(hub: Hub, tmp_path: Path, folder: str) -> None:
    hub.files = {f"{folder}/{name}": contents for name, contents in FILES.items()}
    hub.files |= {"README.md": b"read", f"{folder}-other/x": b"x", "modules/en.txt": b"x"}
    job = make_job(tmp_path, f"{HANDLE}@main/{folder}/")
    fetched = fetch_hugging_face(job.handle, job)
    check_fetched(fetched, job, FILES)
    assert fetched.url == f"{HANDLE}@{COMMIT}/{folder}"
    assert not any("README" in request.path for request in hub.requests)


def test_names_that_are_patterns_are_names(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"assets/[a]*.txt": b"1", "assets/a?": b"2", "assets/ü b.txt": b"3", ".gitattributes": b"4"}
    job = make_job(tmp_path, HANDLE)
    check_fetched(fetch_hugging_face(job.handle, job), job, hub.files)


def sent(hub: Hub) -> set[str | None]:
    return {request.headers.get("authorization") for request in hub.requests}


def test_a_token_for_the_hub_is_sent(hub: Hub, tmp_path: Path) -> None:
    host = os.environ["HF_ENDPOINT"].removeprefix("http://")
    job = make_job(tmp_path, HANDLE, tokens={host: "hf_secret"})
    fetch_hugging_face(job.handle, job)
    assert sent(hub) == {"Bearer hf_secret"}


def test_a_token_for_another_port_is_not_sent(hub: Hub, tmp_path: Path) -> None:
    job = make_job(tmp_path, HANDLE, tokens={"127.0.0.1": "hf_secret", "127.0.0.1:1": "hf_secret"})
    fetch_hugging_face(job.handle, job)
    assert sent(hub) == {None}


def test_a_token_of_huggingface_hub_is_sent(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_own")
    job = make_job(tmp_path, HANDLE)
    fetch_hugging_face(job.handle, job)
    assert sent(hub) == {"Bearer hf_own"}


@pytest.mark.parametrize("is_own", [True, False])
def test_no_token_goes_over_http_to_another_machine(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    # The hub is the proxy, too: it sees what was meant for the other machine.
    monkeypatch.setenv("http_proxy", os.environ["HF_ENDPOINT"])
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.com")
    if is_own:
        monkeypatch.setenv("HF_TOKEN", "hf_own")
    job = make_job(tmp_path, HANDLE, tokens={} if is_own else {"hub.example.com": "hf_secret"})
    check_fetched(fetch_hugging_face(job.handle, job), job, FILES)
    assert sent(hub) == {None}


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ((401, "RepoNotFound"), "A private repository needs HF_TOKEN"),
        ((404, "RepoNotFound"), "A private repository needs HF_TOKEN"),
        ((403, "GatedRepo"), "Ask for access at its page"),
        ((404, "RevisionNotFound"), "Check the branch, tag or commit after the '@'"),
        ((400, "Odd"), "HF_ENDPOINT names another hub"),
    ],
)
def test_a_refusal_is_told(hub: Hub, tmp_path: Path, refusal: tuple[int, str], advice: str) -> None:
    hub.refusal = refusal
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError, match="could not be fetched with huggingface_hub") as caught:
        fetch_hugging_face(job.handle, job)
    assert advice in str(caught.value)
    assert repr(HANDLE) in str(caught.value)
    assert (caught.value.url, caught.value.status) == (HANDLE, refusal[0])
    assert list(job.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "advice"),
    [("@v9", "Check the branch, tag or commit"), ("/nothing/there", "Check the folder"), ("-other", "Check the spell")],
)
def test_what_is_not_there_is_told(hub: Hub, tmp_path: Path, suffix: str, advice: str) -> None:
    job = make_job(tmp_path, HANDLE + suffix)
    with pytest.raises(DownloadError, match=advice) as caught:
        fetch_hugging_face(job.handle, job)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "url",
    [
        "hf://nnlm",
        "hf://",
        "hf://google/",
        "hf://google/nnlm@",
        "hf://google/nnlm/../x",
        "hf://google/nnlm//x",
        "hf:x/y",
    ],
)
def test_what_is_no_handle_is_told_with_the_form(tmp_path: Path, url: str) -> None:
    job = make_job(tmp_path, url)
    with pytest.raises(DownloadError, match="hf://OWNER/REPOSITORY, then @REVISION"):
        fetch_hugging_face(url, job)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../escape", "leads upwards"),
        ("/etc/escape", "absolute name"),
        ("a//b", "twice"),
        ("a\\b", "backslash"),
        (".modhub-manifest.json", "kept for"),
    ],
)
def test_a_name_that_leads_astray_is_refused_before_anything_comes(
    hub: Hub, tmp_path: Path, name: str, message: str
) -> None:
    hub.files |= {"a/b": b"1", name: b"1"}
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(CorruptModuleError, match=message):
        fetch_hugging_face(job.handle, job)
    assert list(job.directory.iterdir()) == []
    assert not any("/resolve/" in request.path for request in hub.requests)


def test_too_many_files_are_refused(hub: Hub, tmp_path: Path) -> None:
    job = make_job(tmp_path, HANDLE, limits=Limits(members=3))
    with pytest.raises(CorruptModuleError, match="more than 3 files"):
        fetch_hugging_face(job.handle, job)


def test_what_is_too_large_is_refused_before_anything_comes(hub: Hub, tmp_path: Path) -> None:
    job = make_job(tmp_path, HANDLE, max_download_bytes=1000)
    with pytest.raises(DownloadError, match="MODHUB_MAX_DOWNLOAD"):
        fetch_hugging_face(job.handle, job)
    assert not any("/resolve/" in request.path for request in hub.requests)


@pytest.mark.parametrize(("lie", "came"), [(-1, 5), (1, 5), (10**9, 5)])
def test_a_size_that_is_a_lie_is_found(hub: Hub, tmp_path: Path, lie: int, came: int) -> None:
    hub.sizes["saved_model.pb"] = 5 + lie
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(CorruptModuleError, match=rf"saved_model\.pb.* to have {5 + lie} bytes, and has {came}"):
        fetch_hugging_face(job.handle, job)


def test_no_more_is_read_than_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(script=[answer(bytes(2**26), length=None)]) as server, Asker(settings_with(tmp_path)) as asker:
        blocks = file_blocks(asker, server.url(), None, 2**20, make_job(tmp_path, HANDLE))
        with pytest.raises(CorruptModuleError, match="to have 1048576 bytes, and has more"):
            list(blocks)


def test_a_negative_size_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.sizes["saved_model.pb"] = -(10**9)
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(CorruptModuleError, match="a file of -1000000000 bytes"):
        fetch_hugging_face(job.handle, job)


def test_a_listing_of_directories_without_end_is_not_waited_for(hub: Hub, tmp_path: Path) -> None:
    hub.is_endless = True
    job = make_job(tmp_path, HANDLE, limits=Limits(members=30))
    with pytest.raises(CorruptModuleError, match="more than 30 files and directories"):
        fetch_hugging_face(job.handle, job)
    assert len(hub.requests) < 40


def test_a_file_that_is_listed_and_not_there_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.hidden = {"saved_model.pb"}
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError, match=r"/saved_model\.pb' answered with status 404"):
        fetch_hugging_face(job.handle, job)


def test_a_download_that_ends_early_is_no_module(hub: Hub, tmp_path: Path) -> None:
    hub.cut = True
    job = make_job(tmp_path, HANDLE, retries=1, retry_max_wait=0.01)
    with pytest.raises(DownloadError, match=r"assets/words\.txt' .* \(2 attempts\)"):
        fetch_hugging_face(job.handle, job)


DATA = bytes(range(256)) * 400


@pytest.mark.parametrize(
    ("script", "ranges"),
    [
        ([cut(DATA, 50_000, "e"), answer(DATA)], [None, "bytes=50000-"]),
        (
            [
                cut(DATA, 50_000, "e"),
                answer(DATA[50_000:], 206, {"Content-Range": f"bytes 50000-{len(DATA) - 1}/{len(DATA)}"}),
            ],
            [None, "bytes=50000-"],
        ),
        ([answer(DATA[:50_000], length=None), answer(DATA)], [None, "bytes=50000-"]),
        ([answer(status=503), answer(DATA)], [None, None]),
    ],
    ids=["whole", "part", "no length", "503"],
)
def test_a_file_goes_on_where_it_broke_off(tmp_path: Path, script: list[Behaviour], ranges: list[str | None]) -> None:
    job = make_job(tmp_path, HANDLE, retry_max_wait=0.01)
    with Server(script=script) as server, Asker(job.settings) as asker:
        assert b"".join(file_blocks(asker, server.url(), None, len(DATA), job)) == DATA
    assert server.ranges() == ranges


@pytest.mark.parametrize("part", [f"bytes 0-{len(DATA) - 1}/{len(DATA)}", ""])
def test_another_part_is_refused(tmp_path: Path, part: str) -> None:
    job = make_job(tmp_path, HANDLE, retry_max_wait=0.01)
    script = [cut(DATA, 50_000, "e"), answer(DATA, 206, {"Content-Range": part})]
    with Server(script=script) as server, Asker(job.settings) as asker, pytest.raises(DownloadError, match="another p"):
        list(file_blocks(asker, server.url(), None, len(DATA), job))


@pytest.mark.parametrize("endpoint", ["huggingface.co", "http://[::1", "https://h:port", "ftp://h"])
def test_an_endpoint_that_is_no_url_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(InvalidArgumentError, match=r"HF_ENDPOINT is .*no URL"):
        fetch_hugging_face(job.handle, job)


def test_a_hub_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError, match="Is there a network here") as caught:
        fetch_hugging_face(job.handle, job)
    assert caught.value.status is None


def test_a_repository_without_files_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.files = {}
    job = make_job(tmp_path, HANDLE)
    with pytest.raises(DownloadError, match="Check the folder"):
        fetch_hugging_face(job.handle, job)


def test_the_progress_is_told_of_every_byte(hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = make_job(tmp_path, HANDLE)
    fetch_hugging_face(job.handle, job)
    assert capfd.readouterr() == ("", "")
    assert isinstance(job.progress, CountingProgress)
    total = sum(len(contents) for contents in FILES.values())
    assert (job.progress.total, job.progress.count) == (total, total)


def test_without_huggingface_hub_the_extra_is_named(tmp_path: Path) -> None:
    message = message_without("huggingface_hub", HANDLE, tmp_path)
    assert message.startswith(f"MissingDependencyError: {HANDLE!r} is read with a package")
    assert "pip install 'modhub[hf]'" in message


def test_huggingface_hub_is_imported_when_it_is_needed() -> None:
    code = "import sys, modhub.transports.hugging_face; print('huggingface_hub' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
