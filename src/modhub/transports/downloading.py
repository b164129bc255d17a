"""Downloads one archive and unpacks it: attempts, what is kept between them, and when it is begun anew."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modhub.errors import CacheError, CorruptModuleError, ModhubError
from modhub.settings.redact import shown
from modhub.transports.asking import Answer, Asker
from modhub.transports.failures import AGAIN, Failed, download_error, status_failure
from modhub.transports.header_digests import expected_digest
from modhub.transports.hosting import START_BYTES, is_archive, is_packed, looks_like
from modhub.transports.job import Fetched, Job
from modhub.transports.partial import Partial, Validator, strong_etag
from modhub.transports.progress import portion
from modhub.transports.retry import Attempts, retry_after
from modhub.transports.unpacking import Unpacking, clear

if TYPE_CHECKING:
    from modhub.format.unpack import Unpacked

__all__ = ["Download"]

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
# An attempt that brought less than this part of the whole is a failure like others, so that their number has an end.
_LEAST_PROGRESS = 100


class Download:
    """One download, from its first request to the last file."""

    def __init__(self, asker: Asker, request: str, userinfo: str | None, job: Job) -> None:
        """Take up what an earlier run left.

        Args:
          asker: makes the requests.
          request: the URL to ask for.
          userinfo: that was in the handle.
          job: what to fill.

        Raises:
          CacheError: the partial file cannot be used.
        """
        self._asker = asker
        self._request = request
        self._userinfo = userinfo
        self._job = job
        self._attempts = Attempts(job)
        self._unpacking: Unpacking | None = None
        self._was_damaged = False
        with self._writing():
            self._partial = Partial(job.partial, shown(request))
        # The most that was ever there: what is fetched again after a new start is no progress.
        self._best = self._partial.size

    def run(self) -> Fetched:
        """Download and unpack.

        Raises:
          DownloadError, CorruptModuleError, NotAModuleError, CacheError: as `fetch_http`.
        """
        is_kept = False
        try:
            while True:
                self._attempts.begin()
                try:
                    return self._attempt()
                except CorruptModuleError as error:
                    self._after_damage(error)
                    continue
                except Failed as failed:
                    failure = failed
                # Outside of the handler: errors of requests tell the whole URL, and must not be in the context of ours.
                is_kept = failure.is_passing
                self._after(failure)
                is_kept = False
        except Exception:
            raise
        except BaseException:  # Ctrl-C, or the end of the program
            is_kept = True
            raise
        finally:
            self._end(is_kept)

    def _attempt(self) -> Fetched:
        """Make a request, and take what comes to the end."""
        headers = {}
        validator = self._partial.validator
        if self._partial.can_resume and validator is not None and validator.etag is not None:
            headers = {"Range": f"bytes={self._partial.size}-", "If-Range": validator.etag}
        with self._asker.get(self._request, headers, self._userinfo) as answer:
            self._write(answer, self._take(answer, bool(headers)))
            # The answer is closed before the last files are written.
        unpacked = self._finish(answer)
        return Fetched(url=shown(answer.url), archive=unpacked.archive, files=unpacked.files)

    def _take(self, answer: Answer, is_resumed: bool) -> Iterator[bytes]:
        """Look at the head of an answer, and return what of its body is to be written."""
        if answer.status == _OK:
            return self._take_whole(answer)
        if is_resumed and answer.status == _PARTIAL:
            return self._take_part(answer)
        if is_resumed and answer.status == _NOT_SATISFIABLE:
            self._discard()
            what = f"{shown(answer.url)!r} has less than was fetched of it before (status 416)"
            raise Failed(what, answer.url, status=answer.status, is_passing=True)
        raise status_failure(answer.url, answer.status, answer.credentials, retry_after(answer.headers))

    def _take_whole(self, answer: Answer) -> Iterator[bytes]:
        total = answer.length
        self._check_room(answer, total)
        blocks, start = self._asker.blocks(answer), b""
        while len(start) < START_BYTES and (block := next(blocks, b"")):
            start += block
        if not is_archive(start[:START_BYTES]):
            raise _no_archive(answer, start[:START_BYTES])
        self._discard()
        with self._writing():
            self._partial.restart(Validator(etag=strong_etag(answer.headers.get("ETag")), total=total))
            self._partial.expect(expected_digest(answer.headers, is_part=False))
        self._start(answer, total)
        return itertools.chain([start], blocks)

    def _take_part(self, answer: Answer) -> Iterator[bytes]:
        partial, known = self._partial, self._partial.validator
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        first, last, total = map(int, match.groups()) if match else (-1, -1, -1)
        is_same = known is not None and known.etag == strong_etag(answer.headers.get("ETag"))
        is_same = is_same and known is not None and known.total in (None, total)
        if known is None or not is_same or first != partial.size or not first <= last < total:
            self._discard()
            what = f"{shown(answer.url)!r} answered with another part, or of another file, than was asked for"
            raise Failed(what, answer.url, status=answer.status, is_passing=True)
        self._check_room(answer, total)
        partial.validator = Validator(etag=known.etag, total=total)
        with self._writing():
            partial.expect(expected_digest(answer.headers, is_part=True))
        if self._unpacking is None:
            self._start(answer, total)
        self._job.progress.note(f"Going on at {portion(partial.size, total)}")
        return self._asker.blocks(answer)

    def _start(self, answer: Answer, total: int | None) -> None:
        """Start to unpack what there is and what will be."""
        self._job.progress.start(total, shown(self._job.handle))
        self._job.progress.advance(self._partial.size)
        with self._writing():
            self._unpacking = Unpacking(self._partial.path, self._partial.size, self._job, shown(answer.url), total)

    def _write(self, answer: Answer, blocks: Iterator[bytes]) -> None:
        partial, unpacking = self._partial, self._unpacking
        assert unpacking is not None
        for block in blocks:
            self._check_size(answer, partial.size + len(block))
            with self._writing():
                partial.append(block)
            unpacking.grow(partial.size)
            self._job.progress.advance(len(block))
            unpacking.check()
        total = partial.validator.total if partial.validator is not None else None
        if total is None or partial.size == total:
            return
        if partial.size > total:
            self._discard()
        what = f"{shown(answer.url)!r} sent {partial.size} bytes of {total}"
        raise Failed(what, answer.url, is_passing=True, hint=AGAIN, brief="the answer ended early")

    def _finish(self, answer: Answer) -> Unpacked:
        """Wait for the last files, check the digest, and remove the archive."""
        assert self._unpacking is not None
        unpacked = self._unpacking.finish()
        expected, found = self._partial.expected, self._partial.digest(unpacked.archive.sha256)
        if expected is not None and found != expected[1]:
            raise CorruptModuleError(
                f"{shown(answer.url)!r} says that its {expected[0]} is {expected[1].hex()}; what came has "
                f"{found.hex() if found else 'none'}."
            )
        return unpacked

    def _after(self, failure: Failed) -> None:
        """Wait for the next attempt, or raise."""
        partial = self._partial
        total = partial.validator.total if partial.validator is not None else None
        gained = partial.size - self._best if partial.can_resume else 0
        self._best += max(gained, 0)
        more = self._attempts.after(failure, progressed=gained > (total or 2**30) // _LEAST_PROGRESS)
        if more is not None:
            made = self._attempts.made
            if total is not None and partial.size:
                more = f"{partial.size} of {total} bytes had come. {more}".rstrip()
            raise download_error(self._job.handle, failure, made, self._asker.proxy, more) from failure.cause

    def _after_damage(self, error: CorruptModuleError) -> None:
        """Prepare for a second download from the start; raise after a second one."""
        self._discard()
        if self._was_damaged:
            raise CorruptModuleError(
                f"{shown(self._job.handle)!r} was fetched twice, and came to no good: {error}"
            ) from error
        self._was_damaged = True
        self._job.progress.note("What came cannot be used, and is fetched once more")

    def _discard(self) -> None:
        """Drop what was fetched and unpacked."""
        if self._unpacking is not None:
            self._unpacking.stop()
            self._unpacking = None
        with self._writing():
            self._partial.remove()
            clear(self._job.directory)

    def _end(self, is_kept: bool) -> None:
        if self._unpacking is not None:
            self._unpacking.stop()
        # What was raised says more than that a leftover stays; the caller owns both files and removes them in time.
        with contextlib.suppress(OSError):
            if is_kept and self._partial.can_resume:
                self._partial.keep()
                self._job.progress.stopped(goes_on=True)
            else:
                self._partial.remove()

    def _check_size(self, answer: Answer, size: int) -> None:
        most = self._job.settings.max_download_bytes
        if size > most:
            hint = "If you want it, allow more with MODHUB_MAX_DOWNLOAD."
            raise Failed(f"{shown(answer.url)!r} has more than {most} bytes", answer.url, hint=hint)

    def _check_room(self, answer: Answer, total: int | None) -> None:
        """Refuse what cannot go well: unpacked files are as large as the archive at least, which stays until then."""
        if total is None:
            return
        self._check_size(answer, total)
        with self._writing():
            free = shutil.disk_usage(self._job.directory).free
        needed = 2 * total - self._partial.size
        if needed > free:
            raise CacheError(
                f"{shown(self._job.handle)!r} needs {needed} bytes to be fetched and unpacked, and only {free} are "
                f"free at {str(self._job.directory.parent)!r}. Make room there, or name another directory with "
                "TFHUB_CACHE_DIR."
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Make a `CacheError` of what the system says about our own files."""
        try:
            yield
        except ModhubError:
            raise
        except OSError as error:
            raise CacheError(
                f"{shown(self._job.handle)!r} cannot be kept at {str(self._job.partial.parent)!r}: "
                f"{error.strerror or error}. Make room there, or name another directory with TFHUB_CACHE_DIR."
            ) from error


def _no_archive(answer: Answer, start: bytes) -> Failed:
    looks = looks_like(start, answer.headers.get("Content-Type", ""))
    if is_packed(start):
        hint = "Accepted are .tar and .tar.gz: its publisher has to pack the module as one of these."
    else:
        hint = "A server of hub modules answers with a .tar.gz when it is asked with tf-hub-format=compressed. Is the "
        hint += (
            "handle spelt right, and is there no log-in page on the way?" if "HTML" in looks else "handle spelt right?"
        )
    what = f"{shown(answer.url)!r} answered with what is no archive ({looks})"
    # Without a length, nothing is what is left of an answer that broke off.
    is_passing = not start and answer.length is None
    return Failed(what, answer.url, status=answer.status, is_passing=is_passing, hint=hint)
