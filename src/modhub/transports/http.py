"""Fetches a module by http or https, following the hosting protocol of hub modules."""

from __future__ import annotations

import re

from modhub.errors import DownloadError, InvalidArgumentError
from modhub.settings.redact import shown
from modhub.transports.asking import Answer, Asker
from modhub.transports.credentials import origin, split_userinfo
from modhub.transports.downloading import Download
from modhub.transports.failures import Failed, download_error, status_failure
from modhub.transports.hosting import START_BYTES, asks_for_location, looks_like, request_url
from modhub.transports.job import Fetched, Job
from modhub.transports.kaggle_pages import download_url
from modhub.transports.retry import Attempts, retry_after

__all__ = ["fetch_http"]

_MOST_LOCATION_BYTES = 4096
_SEE_OTHER = 303
_LOCATION = re.compile(r"gs://[^\s\x00-\x1f]{1,2048}")


def fetch_http(url: str, job: Job) -> Fetched:
    """Fetch a module.

    What is asked for is told by `hosting.request_url`; a page of Kaggle's stands for the archive of its model. The
    archive is unpacked while it comes. A download that breaks off goes on where it was, also in a later process, if
    the server gave a strong ETag; else it begins anew. A digest in the headers is checked.

    Args:
      url: "http://..." or "https://...", perhaps with "user:password@".
      job: what to fill, and how.

    Returns:
      What was fetched; the job's directory is then complete and on the disk.

    Raises:
      DownloadError: no module came from the URL. The message names the last failure and what to do.
      CorruptModuleError: what came is damaged, twice, or holds what no module may.
      NotAModuleError: what came is packed, but no archive.
      CacheError: there is no room for it, or it cannot be written.
      InvalidArgumentError: the URL is none, or a setting cannot be used.
    """
    request, userinfo = _request(url, job)
    with Asker(job.settings) as asker:
        if not asks_for_location(request):
            return Download(asker, request, userinfo, job).run()
        location = _location(asker, request, userinfo, job)
        if location is None:
            # The handle leads to Kaggle, which has archives only.
            return Download(asker, request, userinfo, job).run()
    return _fetch_location(location, request, job)


def _request(url: str, job: Job) -> tuple[str, str | None]:
    """Return what to ask for, and the userinfo that was in the URL."""
    try:
        bare, userinfo = split_userinfo(url.partition("#")[0])
        scheme, host, _ = origin(bare)
    except ValueError:
        scheme = host = ""
    if scheme not in ("http", "https") or not host:
        raise InvalidArgumentError(
            f"{shown(url)!r} is no URL: give 'https://host/path', with a number as port, if any."
        )
    return bare if download_url(bare) is not None else request_url(bare, job.settings.load_format), userinfo


def _location(asker: Asker, request: str, userinfo: str | None, job: Job) -> str | None:
    """Return the gs:// location that a server gives; None where it leads to Kaggle instead."""
    attempts = Attempts(job)
    while True:
        attempts.begin()
        try:
            with asker.get(request, {}, userinfo, takes_303=True) as answer:
                return None if answer.at_kaggle else _read_location(asker, answer)
        except Failed as failed:
            failure = failed
        more = attempts.after(failure, progressed=False)
        if more is not None:
            raise download_error(job.handle, failure, attempts.made, asker.proxy, more) from failure.cause


def _read_location(asker: Asker, answer: Answer) -> str:
    """Return the gs:// location in an answer.

    Raises:
      Failed: there is none.
    """
    if answer.status not in (200, _SEE_OTHER):
        raise status_failure(answer.url, answer.status, answer.credentials, retry_after(answer.headers))
    body = b""
    for block in asker.blocks(answer):
        body += block
        if len(body) > _MOST_LOCATION_BYTES:
            break
    hint = (
        "A server of the hosting protocol answers with status 303 and a gs:// location. If this one does not, fetch "
        "the packed form: TFHUB_MODEL_LOAD_FORMAT=COMPRESSED."
    )
    if answer.status != _SEE_OTHER:
        looks = looks_like(body[:START_BYTES], answer.headers.get("Content-Type", ""))
        what = f"{shown(answer.url)!r} was asked for the uncompressed form, and answered with status 200 and {looks}"
        raise Failed(what, answer.url, status=answer.status, hint=hint)
    for text in (body.decode("utf-8", "replace").strip(), answer.headers.get("Location", "").strip()):
        if _LOCATION.fullmatch(text):
            return text
    looks = looks_like(body[:START_BYTES], answer.headers.get("Content-Type", ""))
    what = f"{shown(answer.url)!r} answered with status 303 and no gs:// location; its body is {looks}"
    raise Failed(what, answer.url, status=answer.status, hint=hint)


def _fetch_location(location: str, request: str, job: Job) -> Fetched:
    from modhub.transports import transport_for

    transport = transport_for(location)
    if transport is None:
        raise DownloadError(f"{shown(job.handle)!r} is at {location!r}, which nothing here fetches.", shown(request))
    return transport(location, job)
