"""What a fetch leaves behind and what it says, whatever the transport does."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import modhub
from modhub.cache.manifest import read_manifest
from modhub.cache.names import key_of, temporary_name
from modhub.cache.owner import new_owner
from modhub.errors import (
    CacheError,
    CorruptModuleError,
    DigestMismatchError,
    DownloadError,
    ModhubError,
    NotAModuleError,
)
from modhub.format.digests import FileDigest, digest_file
from modhub.handles import fetching
from modhub.transports import Fetched, Job
from tests.cache.publishing import Publisher, contents, made_files, packed, sha256, write_files

HANDLE = "https://example.com/module/1"
ONE = made_files(1)
PARTS = {f"parts/{name}": data for name, data in ONE.items()}


def filled(url: str, job: Job) -> Fetched:
    """A transport that has the module."""
    write_files(job.directory, PARTS)
    files = {name: digest_file(job.directory / name) for name in PARTS}
    return Fetched(url=url, archive=None, files=files)


@pytest.fixture
def transport(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Puts something in the place of all transports."""
    return lambda function: monkeypatch.setattr(fetching, "transport_for", lambda url: function)


def test_a_module_that_is_no_archive(transport: Callable[[object], None]) -> None:
    transport(filled)
    assert contents(Path(modhub.resolve(HANDLE))) == PARTS


def test_a_module_that_came_in_parts_has_to_be_whole(transport: Callable[[object], None], cache_dir: Path) -> None:
    def cut_off(url: str, job: Job) -> Fetched:
        write_files(job.directory, {"saved_model.pb": b"\x0a\xff"})
        return Fetched(url=url, archive=None, files={"saved_model.pb": digest_file(job.directory / "saved_model.pb")})

    transport(cut_off)
    with pytest.raises(CorruptModuleError, match=r"came from 'https://example.com/module/1' is not whole: "):
        modhub.resolve(HANDLE)
    assert os.listdir(cache_dir) == []


def test_what_a_plug_in_says_of_its_files_is_not_taken_for_granted(transport: Callable[[object], None]) -> None:
    def lies(url: str, job: Job) -> Fetched:
        write_files(job.directory, PARTS)
        return Fetched(
            url=url, archive=FileDigest(size=1, sha256="1" * 64), files={"../evil": FileDigest(size=1, sha256="1" * 64)}
        )

    transport(lies)
    with pytest.raises(DigestMismatchError):
        modhub.resolve(f"{HANDLE}#sha256={'1' * 64}")
    path = Path(modhub.resolve(HANDLE))
    assert contents(path) == PARTS
    assert set(read_manifest(path).files) == set(PARTS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("a broken pipe"), DownloadError),
        (KeyError("a fault of a plug-in"), DownloadError),
        (PermissionError(13, "Permission denied", "/x"), DownloadError),
        (DownloadError("no", HANDLE, 500), DownloadError),
        (CacheError("full"), CacheError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_transport_that_fails_leaves_nothing(
    transport: Callable[[object], None], cache_dir: Path, error: BaseException, expected: type[BaseException]
) -> None:
    def fails(url: str, job: Job) -> Fetched:
        write_files(job.directory, ONE)
        raise error

    transport(fails)
    with pytest.raises(expected):
        modhub.resolve(HANDLE)
    assert os.listdir(cache_dir) == []


def test_a_transport_that_brings_nothing(transport: Callable[[object], None], cache_dir: Path) -> None:
    transport(lambda url, job: Fetched(url=url, archive=None, files={}))
    with pytest.raises(NotAModuleError, match="no files"):
        modhub.resolve(HANDLE)
    assert os.listdir(cache_dir) == []


def test_a_transport_whose_files_are_gone(transport: Callable[[object], None], cache_dir: Path) -> None:
    def forgets(url: str, job: Job) -> Fetched:
        fetched = filled(url, job)
        (job.directory / "saved_model.pb").unlink()
        return fetched

    transport(forgets)
    with pytest.raises(ModhubError):
        modhub.resolve(HANDLE)
    assert os.listdir(cache_dir) == []


def test_threads_that_ask_at_once_download_once(cache_dir: Path, publisher: Publisher) -> None:
    publisher.archives["/m"] = packed(ONE)
    publisher.pace = 500_000
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(modhub.resolve, [publisher.url("/m")] * 8))
    assert len(set(found)) == 1
    assert contents(Path(found[0])) == ONE
    assert publisher.served == {"/m": 1}


def test_a_download_that_broke_off_goes_on(cache_dir: Path, publisher: Publisher) -> None:
    """Whatever was kept of it, and whether or not it was long enough to be."""
    files = made_files(1, count=40, size=200_000)
    archive = publisher.archives["/m"] = packed(files, compressed=False)
    publisher.alter = lambda data: data[: len(data) // 2]
    publisher.headers = lambda data: {"Content-Length": str(len(data))}
    with pytest.raises(DownloadError):
        modhub.resolve(publisher.url("/m"))
    assert not [name for name in os.listdir(cache_dir) if name.endswith(".tmp")]
    publisher.alter = publisher.headers = None
    directory = modhub.resolve(f"{publisher.url('/m')}#sha256={sha256(archive)}")
    assert contents(Path(directory)) == files
    assert {name.partition(".")[0] for name in os.listdir(cache_dir)} == {key_of(publisher.url("/m"))}
    assert not [name for name in os.listdir(cache_dir) if ".part" in name]


def test_a_download_that_a_dead_process_left_is_not_believed(cache_dir: Path, publisher: Publisher) -> None:
    publisher.archives["/m"] = packed(ONE)
    handle = publisher.url("/m")
    cache_dir.mkdir()
    owner = new_owner()[:-8] + "00000000"
    part = cache_dir / temporary_name(key_of(handle), owner, "part")
    part.write_bytes(os.urandom(10_000))
    part.with_name(f"{part.name}.json").write_text('{"version": 1, "checkpoints": [[10000, 0]]}')
    assert contents(Path(modhub.resolve(handle))) == ONE


def test_a_password_in_a_handle_is_not_shown(
    cache_dir: Path, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    handle = publisher.url("/m").replace("://", "://me:s3cret@")
    said: list[str] = []
    for pin in ("", f"#sha256={'0' * 64}"):
        for offline in (False, True):
            modhub.configure(offline=offline)
            with pytest.raises(ModhubError) as caught:
                modhub.resolve(handle + pin)
            said.append(str(caught.value))
    modhub.configure(offline=None)
    publisher.archives["/m"] = packed(ONE)
    with pytest.raises(ModhubError) as caught:
        modhub.resolve(f"{handle}#sha256={'0' * 64}")
    said.append(str(caught.value))
    assert "s3cret" not in " ".join([*said, caplog.text])
