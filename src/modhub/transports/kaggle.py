"""Modules at Kaggle through the package kagglehub, which has its own credentials, cache and retries."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from modhub.errors import CorruptModuleError, DownloadError, MissingDependencyError
from modhub.settings.redact import masked
from modhub.transports.copying import copy_directory
from modhub.transports.job import Fetched, Job
from modhub.transports.package_errors import package_failure

__all__ = ["fetch_kaggle"]

_FORM = "kaggle://OWNER/MODEL/FRAMEWORK/VARIATION, and /VERSION for another than the newest"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
# What kagglehub writes goes through handlers that all threads share.
_LOCK = threading.Lock()


def fetch_kaggle(url: str, job: Job) -> Fetched:
    """Fetch a model from Kaggle, a `Transport`.

    kagglehub downloads it into its own cache (KAGGLEHUB_CACHE), or finds it there, and it is copied. Credentials are
    those of kagglehub: KAGGLE_USERNAME and KAGGLE_KEY, KAGGLE_API_TOKEN, or ~/.kaggle. It has no timeouts, and what it
    has in its cache it takes to be whole.

    Args:
      url: "kaggle://owner/model/framework/variation" for the newest version, or ".../version".
      job: what is to be filled.

    Returns:
      What was fetched; its URL names the version.

    Raises:
      MissingDependencyError: kagglehub is not installed.
      DownloadError: the URL is of another form, or kagglehub fails.
      CorruptModuleError: what came has another checksum, or is no directory of files.
      CacheError: it cannot be written.
    """
    handle, version = _parsed(url)
    try:
        kagglehub = importlib.import_module("kagglehub")
        with _LOCK, _stdout_kept(kagglehub):
            directory = Path(kagglehub.model_download(handle))
    except ImportError as error:
        raise MissingDependencyError(
            f"{url!r} is read with a package that is not installed: {error}. Install it with "
            "pip install 'modhub[kaggle]'."
        ) from error
    except Exception as error:  # of its own, of requests, and plain ones for handles and its environment
        raise _failed(url, error) from error
    if not version and directory.name.isdecimal():
        # kagglehub's directory is named by the version it found.
        handle = f"{handle}/{directory.name}"
    final = f"kaggle://{handle}"
    return Fetched(url=final, archive=None, files=copy_directory(directory, final, job))


def _parsed(url: str) -> tuple[str, str | None]:
    """Return what kagglehub calls a handle, and its version."""
    path = re.split("[?#]", url.partition("://")[2], maxsplit=1)[0].rstrip("/")
    parts = path.split("/")
    if len(parts) not in (4, 5) or not all(map(_PART.fullmatch, parts)):
        raise DownloadError(f"{url!r} is no handle of a model at Kaggle. The form is {_FORM}.", url)
    version = parts[4] if len(parts) == 5 else None
    if version is not None and not _VERSION.fullmatch(version):
        raise DownloadError(
            f"{url!r} has the version {version!r}, and a version is a number. The form is {_FORM}.", url
        )
    return path, version


def _failed(url: str, error: Exception) -> Exception:
    text = masked(f"{type(error).__name__}: {error}")
    if type(error).__name__ == "DataCorruptionError":  # kagglehub's, in a room of it that older versions lack
        return CorruptModuleError(f"{url!r} was damaged on its way from Kaggle ({text}). Try again.")
    failed = package_failure(url, error)
    if failed.hint:  # there is no network
        return DownloadError(f"{url!r} could not be fetched: {failed.what}. {failed.hint}", url)
    advice = {
        401: "Check your credentials: KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json.",
        # Kaggle says so of what is private, of what needs consent, and of what does not exist.
        403: "Check the spelling; some models have to be asked for at their page, by the user whose credentials are in "
        "KAGGLE_USERNAME and KAGGLE_KEY or ~/.kaggle/kaggle.json.",
        404: "Check owner, model, framework, variation and version at https://www.kaggle.com/models.",
    }.get(failed.status or 0, "Try again later, or look at https://www.kaggle.com/models for the model.")
    return DownloadError(f"{url!r} could not be fetched with kagglehub ({text}). {advice}", url, failed.status)


@contextmanager
def _stdout_kept(kagglehub: ModuleType) -> Iterator[None]:
    """Have kagglehub write its log to stderr: stdout is for results, and its handlers write there."""
    moved = []
    for handler in logging.getLogger(kagglehub.__name__).handlers:
        if type(handler) is logging.StreamHandler and handler.stream is not sys.stderr:
            moved.append((handler, handler.stream))
            handler.setStream(sys.stderr)
    # The advice to update it is printed to stdout, unless this says that it was.
    clients = cast(Any, sys.modules.get(f"{kagglehub.__name__}.clients"))
    if hasattr(clients, "already_printed_version_warning"):
        clients.already_printed_version_warning = True
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)
