"""Modules in object stores, asked for by the real gcsfs, s3fs and fsspec from stores on loopback."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modhub.errors import CorruptModuleError, DownloadError, MissingDependencyError, NotAModuleError
from modhub.format.archive_limits import Limits
from modhub.transports import transport_for
from modhub.transports.filesystems import fetch_filesystem, filesystem_schemes
from tests.transports.fake_job import FILES, CountingProgress, archive_of, check_fetched, make_job, message_without
from tests.transports.fake_server import serve
from tests.transports.fake_stores import Store

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed here (extra 'fsspec')")

ARCHIVE = archive_of(FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A store that is being served, and what its URLs begin with."""

    store: Store
    url: str


@pytest.fixture(params=["gs", "s3"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    scheme = request.param
    package = {"gs": "gcsfs", "s3": "s3fs"}[scheme]
    pytest.importorskip(package, reason=f"{package} is not installed here (extra {scheme!r})")
    store = Store()
    options = {"gs": {"token": "anon"}, "s3": {"key": "a", "secret": "b"}}[scheme]
    with serve(store.google if scheme == "gs" else store.amazon) as endpoint:
        monkeypatch.setitem(fsspec.config.conf, scheme, {"endpoint_url": endpoint, **options})
        yield Bucket(store=store, url=f"{scheme}://models")
        _forget(package)


def _forget(package: str) -> None:
    """Close connections while their server is still there: an open one is a ResourceWarning later."""
    filesystem = importlib.import_module(f"{package}.core")
    kind = filesystem.GCSFileSystem if package == "gcsfs" else filesystem.S3FileSystem
    for instance in list(kind._cache.values()):
        if package == "gcsfs" and instance._session is not None:
            fsspec.asyn.sync(instance.loop, instance._session.close)
        elif package == "s3fs" and instance._s3 is not None:
            fsspec.asyn.sync(instance.loop, instance._s3.__aexit__, None, None, None)
    kind.clear_instance_cache()


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_a_directory_is_copied_file_by_file(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects |= {f"text/nnlm/{name}": contents for name, contents in FILES.items()}
    bucket.store.objects |= {"text/nnlm-other/x": b"", "text/nnlm/": b"", "text/nnlm/assets/": b""}
    job = make_job(tmp_path, f"{bucket.url}/text/nnlm")
    fetched = fetch_filesystem(job.handle, job)
    check_fetched(fetched, job, FILES)
    assert (fetched.url, fetched.archive) == (job.handle, None)
    assert isinstance(job.progress, CountingProgress)
    assert job.progress.total == job.progress.count == sum(map(len, FILES.values()))


@pytest.mark.parametrize("slashes", ["/", "///"])
def test_a_slash_at_the_end_changes_nothing(bucket: Bucket, tmp_path: Path, slashes: str) -> None:
    bucket.store.objects |= {f"m/{name}": contents for name, contents in FILES.items()}
    job = make_job(tmp_path, f"{bucket.url}/m{slashes}")
    check_fetched(fetch_filesystem(job.handle, job), job, FILES)


@pytest.mark.parametrize("key", ["m/x.tar.gz", "x.TGZ", "a b/ü.tar.gz"])
def test_an_archive_is_unpacked_as_it_comes(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.store.objects[key] = ARCHIVE
    job = make_job(tmp_path, f"{bucket.url}/{key}")
    fetched = fetch_filesystem(job.handle, job)
    check_fetched(fetched, job, FILES)
    assert fetched.archive is not None
    assert fetched.archive.sha256 == hashlib.sha256(ARCHIVE).hexdigest()
    assert isinstance(job.progress, CountingProgress)
    assert job.progress.total == job.progress.count == len(ARCHIVE)


def test_an_archive_need_not_be_packed(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects["x.tar"] = archive_of(FILES, "w:")
    job = make_job(tmp_path, f"{bucket.url}/x.tar")
    check_fetched(fetch_filesystem(job.handle, job), job, FILES)


def test_an_empty_file_is_fetched_too(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects |= {"m/saved_model.pb": b"", "m/tfhub_module.pb": b"\x08\x03"}
    job = make_job(tmp_path, f"{bucket.url}/m")
    check_fetched(fetch_filesystem(job.handle, job), job, {"saved_model.pb": b"", "tfhub_module.pb": b"\x08\x03"})


def test_what_was_put_there_since_is_seen(bucket: Bucket, tmp_path: Path) -> None:
    first = make_job(tmp_path / "1", f"{bucket.url}/m")
    bucket.store.objects["other/x"] = b""
    with pytest.raises(DownloadError, match="does not exist"):
        fetch_filesystem(first.handle, first)
    bucket.store.objects |= {f"m/{name}": contents for name, contents in FILES.items()}
    second = make_job(tmp_path / "2", f"{bucket.url}/m")
    check_fetched(fetch_filesystem(second.handle, second), second, FILES)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("models/text/nnlm", "Known entries of 'models/text': 'elmo', 'nnlm-en'. Did you mean 'nnlm-en'?"),
        ("models/text/nnlm-en.tar.gz", "Did you mean 'nnlm-en'"),
        ("models/nothing/there/x", "Check the bucket and the path"),
        ("no-such-bucket/m", "Check the bucket and the path"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(bucket: Bucket, tmp_path: Path, path: str, message: str) -> None:
    bucket.store.objects |= {"text/nnlm-en/x": b"1", "text/elmo/x": b"1"}
    url = f"{bucket.url.partition('://')[0]}://{path}"
    job = make_job(tmp_path, url)
    with pytest.raises(DownloadError, match="does not exist") as caught:
        fetch_filesystem(url, job)
    assert message in str(caught.value)
    assert repr(url) in str(caught.value)
    assert (caught.value.url, caught.value.status) == (url, 404)
    assert list(job.directory.iterdir()) == []


def test_a_file_that_is_no_archive_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects["m/saved_model.pb"] = b"1"
    job = make_job(tmp_path, f"{bucket.url}/m/saved_model.pb")
    with pytest.raises(DownloadError, match=r"is a file, and a module is a directory or an archive.* \.tar\.gz"):
        fetch_filesystem(job.handle, job)


def test_a_refusal_tells_of_credentials(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects["x.tar.gz"] = ARCHIVE
    bucket.store.refusals["x.tar.gz"] = 403
    job = make_job(tmp_path, f"{bucket.url}/x.tar.gz", retries=0)
    with pytest.raises(DownloadError, match=r"could not be fetched .* Check credentials"):
        fetch_filesystem(job.handle, job)


def test_one_file_that_is_refused_fails_the_directory(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects |= {f"m/{name}": contents for name, contents in FILES.items()}
    bucket.store.refusals["m/saved_model.pb"] = 403
    job = make_job(tmp_path, f"{bucket.url}/m", retries=0)
    with pytest.raises(DownloadError, match="Check credentials"):
        fetch_filesystem(job.handle, job)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("m/../../escape", "cannot be used as a module"),
        ("m/a/../x", "leads upwards"),
        ("m/a\\b", "backslash"),
        ("m/C:/x", "drive letter"),
        ("m/.MODHUB-manifest.json", "kept for what the cache says"),
        ("m/" + "a/" * 40 + "x", "lies deeper than 32 folders"),
    ],
)
def test_a_name_that_leads_astray_is_refused(bucket: Bucket, tmp_path: Path, key: str, message: str) -> None:
    bucket.store.objects |= {"m/tfhub_module.pb": b"\x08\x03", key: b"1"}
    job = make_job(tmp_path, f"{bucket.url}/m")
    with pytest.raises(CorruptModuleError, match=message):
        fetch_filesystem(job.handle, job)
    assert list(job.directory.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home"]


@pytest.mark.parametrize("key", ["m//x", "m/a//x"])
def test_a_directory_without_a_name_is_no_part_of_a_module(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.store.objects |= {"m/tfhub_module.pb": b"\x08\x03", key: b"1"}
    job = make_job(tmp_path, f"{bucket.url}/m")
    if bucket.url.startswith("gs"):  # gcsfs lists it by the name of the directory above
        check_fetched(fetch_filesystem(job.handle, job), job, {"tfhub_module.pb": b"\x08\x03"})
        return
    with pytest.raises(CorruptModuleError, match="plain names only"):
        fetch_filesystem(job.handle, job)


def test_a_prefix_of_too_many_files_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects |= {f"m/{number}": b"" for number in range(30)}
    job = make_job(tmp_path, f"{bucket.url}/m", limits=Limits(members=20))
    with pytest.raises(CorruptModuleError, match=r"more than 20 files"):
        fetch_filesystem(job.handle, job)


@pytest.mark.parametrize("key", ["m/saved_model.pb", "x.tar.gz"])
def test_what_is_too_large_is_refused_before_it_is_fetched(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.store.objects[key] = ARCHIVE
    job = make_job(tmp_path, f"{bucket.url}/{key.partition('/')[0]}", max_download_bytes=len(ARCHIVE) - 1)
    with pytest.raises(DownloadError, match="MODHUB_MAX_DOWNLOAD"):
        fetch_filesystem(job.handle, job)
    assert not any("range" in request.headers for request in bucket.store.requests)


@pytest.mark.parametrize("key", ["m/saved_model.pb", "x.tar.gz"])
def test_a_file_that_is_listed_too_large_is_found(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.store.objects[key] = ARCHIVE
    bucket.store.sizes[key] = len(ARCHIVE) + 1
    job = make_job(tmp_path, f"{bucket.url}/{key.partition('/')[0]}", retries=0)
    with pytest.raises((DownloadError, CorruptModuleError)):
        fetch_filesystem(job.handle, job)


@pytest.mark.parametrize("key", ["m/saved_model.pb", "x.tar.gz"])
def test_a_file_that_is_listed_too_small_is_found(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.store.objects[key] = ARCHIVE
    bucket.store.sizes[key] = len(ARCHIVE) - 1
    job = make_job(tmp_path, f"{bucket.url}/{key.partition('/')[0]}", retries=0)
    with pytest.raises((DownloadError, CorruptModuleError)):
        fetch_filesystem(job.handle, job)


@pytest.mark.parametrize("bucket", ["gs"], indirect=True)
@pytest.mark.parametrize("key", ["m/saved_model.pb", "x.tar.gz"])
def test_a_wrong_checksum_is_found(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.store.objects[key] = ARCHIVE
    bucket.store.checksums[key] = 1
    job = make_job(tmp_path, f"{bucket.url}/{key.partition('/')[0]}")
    with pytest.raises(CorruptModuleError, match=rf"damaged on its way: 'models/{key}' has the crc32c 0x"):
        fetch_filesystem(job.handle, job)


@pytest.mark.parametrize("damage", ["cut", "flip", "html"])
def test_a_damaged_archive_is_refused(bucket: Bucket, tmp_path: Path, damage: str) -> None:
    flipped = bytearray(ARCHIVE)
    flipped[len(ARCHIVE) // 2] ^= 1
    contents = {"cut": ARCHIVE[:-5], "flip": bytes(flipped), "html": b"<html>no</html>"}[damage]
    bucket.store.objects["x.tar.gz"] = contents
    job = make_job(tmp_path, f"{bucket.url}/x.tar.gz")
    with pytest.raises((CorruptModuleError, NotAModuleError)) as caught:
        fetch_filesystem(job.handle, job)
    assert f"{bucket.url}/x.tar.gz" in str(caught.value)


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_an_etag_that_is_no_md5_proves_nothing(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects |= {f"m/{name}": contents for name, contents in FILES.items()}
    bucket.store.etags |= {"m/saved_model.pb": "0" * 32, "m/tfhub_module.pb": "0" * 32 + "-2"}
    job = make_job(tmp_path, f"{bucket.url}/m")
    check_fetched(fetch_filesystem(job.handle, job), job, FILES)


@pytest.fixture
def nobody(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store's URL whose endpoint is a port where nobody listens, or a host that is not known."""
    scheme, host = request.param
    package = {"gs": "gcsfs", "s3": "s3fs"}[scheme]
    pytest.importorskip(package, reason=f"{package} is not installed here (extra {scheme!r})")
    with serve(Store().google) as url:
        endpoint = url.replace("127.0.0.1", host)
    options = {"gs": {"token": "anon"}, "s3": {"key": "a", "secret": "b"}}[scheme]
    monkeypatch.setitem(fsspec.config.conf, scheme, {"endpoint_url": endpoint, **options})
    yield f"{scheme}://models/m"
    _forget(package)


@pytest.mark.parametrize("nobody", [("gs", "127.0.0.1"), ("s3", "127.0.0.1")], indirect=True)
def test_a_store_that_cannot_be_reached_is_asked_as_often_as_the_settings_say(
    nobody: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(tmp_path, nobody, retries=2, retry_max_wait=0.01)
    with pytest.raises(DownloadError) as caught:
        fetch_filesystem(nobody, job)
    words = "could not be fetched (the connection failed (Connection refused)). Is there a network here"
    assert str(caught.value).startswith(f"{nobody!r} {words}")
    assert isinstance(job.progress, CountingProgress)
    assert job.progress.notes == [f"Attempt {n} of 3 in 0.0 s: Connection refused" for n in (2, 3)]
    assert caplog.records == []


@pytest.mark.parametrize("nobody", [("gs", "no-such-host.invalid"), ("s3", "no-such-host.invalid")], indirect=True)
def test_a_store_that_is_not_known_is_asked_once(
    nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = socket.getaddrinfo

    def unknown(host: str, *arguments: Any, **keywords: Any) -> Any:
        if str(host).endswith(".invalid"):  # not every resolver says so of them
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    job = make_job(tmp_path, nobody)
    with pytest.raises(
        DownloadError, match=r"the connection failed \(Name or service not known\)\)\. Is there a network"
    ):
        fetch_filesystem(nobody, job)
    assert isinstance(job.progress, CountingProgress)
    assert job.progress.notes == []
    assert caplog.records == []


def test_a_store_that_fails_for_a_while_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.store.objects |= {f"m/{name}": contents for name, contents in FILES.items()}
    bucket.store.failures = 4
    job = make_job(tmp_path, f"{bucket.url}/m", retries=4, retry_max_wait=0.01)
    check_fetched(fetch_filesystem(job.handle, job), job, FILES)
    assert isinstance(job.progress, CountingProgress)
    assert job.progress.notes[0] == "Attempt 2 of 5 in 0.0 s: status 503"


def test_other_file_systems_of_fsspec_work(memory: Any, tmp_path: Path) -> None:
    for name, contents in FILES.items():
        memory.pipe_file(f"/deep/module/{name}", contents)
    memory.pipe_file("/x.tgz", ARCHIVE)
    for number, url in enumerate(["memory://deep/module", "memory://x.tgz"]):
        transport = transport_for(url)
        assert transport is not None
        job = make_job(tmp_path / str(number), url)
        check_fetched(transport(url, job), job, FILES)


def test_a_directory_without_files_is_told(memory: Any, tmp_path: Path) -> None:
    memory.makedirs("/empty/assets")
    job = make_job(tmp_path, "memory://empty")
    with pytest.raises(DownloadError, match="'memory://empty' has no files"):
        fetch_filesystem(job.handle, job)


def test_a_chain_of_file_systems_is_no_handle(tmp_path: Path) -> None:
    job = make_job(tmp_path, "gs://x::file:///etc")
    with pytest.raises(DownloadError, match="chain of file systems"):
        fetch_filesystem(job.handle, job)


def test_what_is_on_this_machine_is_not_afar() -> None:
    assert not filesystem_schemes() & {"file", "local", "simplecache", "zip", "http", "reference", "git"}
    assert {"gs", "s3", "abfs", "sftp", "memory"} <= filesystem_schemes()


def test_a_package_that_is_missing_is_named_with_fsspecs_advice(tmp_path: Path) -> None:
    job = make_job(tmp_path, "abfs://models@account.dfs.core.windows.net/m")
    if importlib.util.find_spec("adlfs") is not None:
        pytest.skip("adlfs is installed here")
    with pytest.raises(MissingDependencyError) as caught:
        fetch_filesystem(job.handle, job)
    assert repr(job.handle) in str(caught.value)
    assert "Install adlfs" in str(caught.value)
    assert "pip install 'modhub[fsspec]'" in str(caught.value)


@pytest.mark.parametrize(
    ("hidden", "url", "extra"),
    [
        ("fsspec", "gs://b/m", "gcs"),
        ("fsspec", "s3://b/m", "s3"),
        ("fsspec", "sftp://h/m", "fsspec"),
        ("s3fs", "s3://b/m", "s3"),
        ("gcsfs", "gs://b/m", "gcs"),
    ],
)
def test_without_a_package_its_extra_is_named(tmp_path: Path, hidden: str, url: str, extra: str) -> None:
    message = message_without(hidden, url, tmp_path)
    assert message.startswith(f"MissingDependencyError: {url!r} is read with a package that is not installed: ")
    assert f"pip install 'modhub[{extra}]'" in message


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    job = make_job(tmp_path, "ftp://me:secret@127.0.0.1:1/m")
    with pytest.raises(DownloadError) as caught:
        fetch_filesystem(job.handle, job)
    assert "secret" not in str(caught.value)
    assert "secret" not in caught.value.url
