"""Fetches a file by HTTP whose size is known, and whose contents stay as they are: one of a commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modhub.errors import CorruptModuleError
from modhub.settings.redact import shown
from modhub.transports.asking import Asker
from modhub.transports.failures import AGAIN, Failed, download_error, status_failure
from modhub.transports.retry import Attempts, retry_after

if TYPE_CHECKING:
    from modhub.transports.job import Job

__all__ = ["file_blocks"]

_OK, _PARTIAL = 200, 206
# An attempt that brought less than this part of the whole is a failure like others, so that their number has an end.
_LEAST_PROGRESS = 100


def file_blocks(asker: Asker, url: str, userinfo: str | None, size: int, job: Job) -> Iterator[bytes]:
    """Yield the contents of a file; where the connection breaks off, another attempt goes on from there.

    Args:
      asker: makes the requests.
      url: of the file, without userinfo.
      userinfo: for the origin of the URL; None without.
      size: in bytes, of which no more are read.
      job: for messages and settings.

    Raises:
      DownloadError: it did not come.
      CorruptModuleError: it is of another size.
    """
    attempts, count = Attempts(job), 0
    while True:
        attempts.begin()
        before = count
        try:
            for block in _rest(asker, url, userinfo, size, count, job):
                count += len(block)
                yield block
            return
        except Failed as failed:
            failure = failed
        more = attempts.after(failure, progressed=count - before > size // _LEAST_PROGRESS)
        if more is not None:
            raise download_error(job.handle, failure, attempts.made, asker.proxy, more) from failure.cause


def _rest(asker: Asker, url: str, userinfo: str | None, size: int, start: int, job: Job) -> Iterator[bytes]:
    """Yield what comes after the first `start` bytes, of which a server without ranges sends the whole file."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    with asker.get(url, headers, userinfo) as answer:
        position = start if start and answer.status == _PARTIAL else 0
        if answer.status != _OK and not position:
            raise status_failure(answer.url, answer.status, answer.credentials, retry_after(answer.headers))
        part = f"bytes {start}-{size - 1}/{size}"
        if position and answer.headers.get("Content-Range", "").strip() != part:
            raise Failed(f"{shown(answer.url)!r} answered with another part than was asked for", answer.url)
        if answer.length is not None and answer.length != size - position:
            raise _other_size(job, url, size, f"{position + answer.length}")
        for block in asker.blocks(answer):
            end = position + len(block)
            if end > size:
                raise _other_size(job, url, size, "more")
            if end > start:
                yield block[max(start - position, 0) :]
            position = end
        if position < size:
            what = f"{shown(answer.url)!r} sent {position} bytes of {size}"
            raise Failed(what, answer.url, is_passing=True, hint=AGAIN)


def _other_size(job: Job, url: str, size: int, came: str) -> CorruptModuleError:
    return CorruptModuleError(
        f"{shown(job.handle)!r} did not come as it is listed: {shown(url)!r} is to have {size} bytes, and has {came}. "
        "Try again later."
    )
