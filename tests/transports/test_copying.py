"""What transports share that get files one by one: checks of listings, copies, and what a directory ends up with."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from pathlib import Path

import pytest

from modhub.errors import CacheError, CorruptModuleError, DownloadError
from modhub.format.archive_limits import Limits
from modhub.transports.copying import check_listing, check_total, copy_directory, settle, write_file
from modhub.transports.job import Fetched
from tests.transports.fake_job import FILES, check_fetched, make_job


def _write(directory: Path, files: dict[str, bytes]) -> None:
    for name, contents in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(contents)


def test_a_directory_is_copied(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x")
    source = tmp_path / "source"
    _write(source, FILES)
    files = copy_directory(source, "x", job)
    check_fetched(Fetched(url="x", archive=None, files=files), job, FILES)


@pytest.mark.parametrize("kind", ["link", "link to a directory", "fifo"])
def test_only_files_are_copied(tmp_path: Path, kind: str) -> None:
    job = make_job(tmp_path, "x")
    source = tmp_path / "source"
    _write(source, FILES)
    if kind == "fifo":
        os.mkfifo(source / "odd")
    else:
        (source / "odd").symlink_to("/etc/passwd" if kind == "link" else "/etc")
    with pytest.raises(CorruptModuleError, match=r"'x' cannot be used as a module: 'odd' is (a symbolic|no regular)"):
        copy_directory(source, "x", job)
    assert list(job.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["../x"], "leads upwards"),
        (["/etc/passwd"], "absolute name"),
        (["a", "./a"], "twice"),
        (["a", "a/b"], "both as a file and as a directory"),
        (["a/"], "that of a directory"),
        (["."], "that of a directory"),
        ([".Modhub-Manifest.JSON"], "kept for"),
        ([".modhub-manifest.json/x"], "kept for"),
        (["\udc80"], "surrogates not allowed"),
        ([str(number) for number in range(11)], "more than 10 files"),
    ],
)
def test_a_listing_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    job = make_job(tmp_path, "x", limits=Limits(members=10))
    with pytest.raises(CorruptModuleError, match=f"'x' cannot be used as a module.*{message}"):
        check_listing(((name, 1) for name in names), "x", job)


def test_a_listing_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x")
    with pytest.raises(CorruptModuleError, match=r"Limits\.members"):
        check_listing(((str(number), None) for number in itertools.count()), "x", job)


def test_what_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x", max_download_bytes=2**62)
    with pytest.raises(CacheError, match=r"has room for \d+.* TFHUB_CACHE_DIR"):
        check_total(2**61, "x", job)


def test_two_names_that_are_one_are_told(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x")
    write_file(job.directory, "a", [b"1"], job)
    with pytest.raises(CorruptModuleError, match="Two names of the module are one on this file system"):
        write_file(job.directory, "a", [b"2"], job)
    with pytest.raises(CorruptModuleError, match="Two names of the module are one on this file system"):
        write_file(job.directory, "a/b", [b"2"], job)
    assert (job.directory / "a").read_bytes() == b"1"


def test_a_file_that_came_out_under_another_name_is_told(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x")
    files = {"A/x": write_file(job.directory, "a/x", [b"1"], job)}
    with pytest.raises(CorruptModuleError, match=r"'x' cannot be kept in .*'A/x' came out under another name"):
        settle(job.directory, files, "x")


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x")
    (job.directory / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptModuleError, match="something is there by that name"):
        write_file(job.directory, "a", [b"1"], job)
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_system_refuses_to_write_is_told(tmp_path: Path) -> None:
    job = make_job(tmp_path, "x")
    with pytest.raises(CacheError, match="Free some room"):
        write_file(job.directory, "x" * 300, [b"1"], job)


def test_a_copy_that_changes_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path, "x")
    source = tmp_path / "source"
    _write(source, FILES)
    # Grows between its listing and its copy: the progress is told when both have begun.
    grow = source / "saved_model.pb"
    monkeypatch.setattr(job.progress, "start", lambda total, label: grow.write_bytes(b"longer than it was"))
    with pytest.raises(DownloadError, match=r"'saved_model\.pb' had 5 bytes, and now 18"):
        copy_directory(source, "x", job)


def test_a_file_system_that_cannot_sync_directories_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr("os.fsync", refuse)
    job = make_job(tmp_path, "x")
    settle(job.directory, {"a/b": write_file(job.directory, "a/b", [b"1"], job)}, "x")
    assert (job.directory / "a/b").read_bytes() == b"1"


def test_a_progress_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    job = make_job(tmp_path, "gs://bucket/m?token=secret")
    _write(tmp_path / "source", FILES)
    monkeypatch.setattr(job.progress, "start", lambda total, label: labels.append(label))
    copy_directory(tmp_path / "source", "x", job)
    assert labels == ["gs://bucket/m?token=*** (copying)"]
