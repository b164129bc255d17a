"""The packages behind fsspec: their schemes, what modhub's settings are called there, and advice for their errors."""

from __future__ import annotations

import importlib
import inspect
import os
import types
from collections.abc import Mapping
from typing import Any

from modhub.errors import MissingDependencyError
from modhub.settings import Settings

__all__ = ["advice", "filesystem_schemes", "missing_package", "open_filesystem"]

# Wrappers of other file systems, and what is on this machine or in this process's hands already.
_NOT_AFAR = frozenset(
    {
        *("async_wrapper", "asynclocal", "asyncwrapper", "blockcache", "cached", "dask", "data", "dir", "file"),
        *("filecache", "generic", "git", "http", "https", "jlab", "jupyter", "libarchive", "local", "pyscript"),
        *("reference", "simplecache", "tar", "zip"),
    }
)
# Known without fsspec too, so that a handle can say what to install.
_WELL_KNOWN = frozenset(
    {
        *("abfs", "abfss", "adl", "az", "box", "dbfs", "dropbox", "ftp", "gcs", "gdrive", "github", "gs", "hdfs"),
        *("lakefs", "memory", "oci", "oss", "s3", "s3a", "sftp", "smb", "ssh", "tos", "webdav", "webhdfs"),
    }
)
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}


def filesystem_schemes() -> frozenset[str]:
    """Return the schemes of file systems that fsspec reaches; without fsspec, the well-known ones of them."""
    try:
        registry = importlib.import_module("fsspec.registry")
    except ImportError:
        return _WELL_KNOWN
    return (_WELL_KNOWN | frozenset(registry.known_implementations)) - _NOT_AFAR


def missing_package(scheme: str, shown: str, reason: str) -> MissingDependencyError:
    """Return the error for a package that is not installed.

    Args:
      scheme: of the file system.
      shown: the URL.
      reason: what the import said; fsspec's own advice where it has one.
    """
    extra = _EXTRAS.get(scheme, "fsspec")
    also = "" if scheme in _EXTRAS else f", and the package for {scheme}://"
    return MissingDependencyError(
        f"{shown!r} is read with a package that is not installed: {reason}. Install it with "
        f"pip install 'modhub[{extra}]'{also}."
    )


def open_filesystem(scheme: str, url: str, settings: Settings) -> tuple[Any, str, bool]:
    """Return the file system of a URL, the path in it, and whether it asks just once, so that retries are ours.

    Args:
      scheme: of the URL, in lower case.
      url: of a file or directory.
      settings: for the timeouts.

    Raises:
      ImportError: fsspec or the package of the file system is not installed.
      Exception: whatever the package raises.
    """
    core = importlib.import_module("fsspec.core")
    configured = importlib.import_module("fsspec.config").conf.get(scheme, {})
    options = _options(scheme, settings, configured)
    if scheme in ("gs", "gcs") and "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT" not in os.environ:
        # gcsfs asks for the kind of the bucket through gRPC, and where a proxy lets only HTTP pass, it waits a minute
        # before each request. Only zonal buckets need that.
        importlib.import_module("fsspec").get_filesystem_class(scheme)  # with advice where it is not installed
        kind = importlib.import_module("gcsfs.core").GCSFileSystem
        system, path = kind(**options), kind._strip_protocol(url)
    else:
        system, path = core.url_to_fs(url, **options)
    if options:
        # It is of these options, so nobody else's: theirs keep the retries of the packages.
        _ask_once(scheme, system)
    return system, str(path), bool(options)


def advice(scheme: str) -> str:
    """Return what to look at when a file system refuses."""
    if scheme in ("s3", "s3a"):
        return "Check credentials and region, as for the aws command; for a public bucket set FSSPEC_S3_ANON=true."
    if scheme in ("gs", "gcs"):
        return (
            "Check credentials (gcloud auth application-default login); for a public bucket set FSSPEC_GS_TOKEN=anon."
        )
    return f"Check its settings: fsspec reads them from variables like FSSPEC_{scheme.upper()}_HOST."


def _options(scheme: str, settings: Settings, configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what modhub's settings are called by a file system; what fsspec's configuration has goes first."""
    connect, read = settings.connect_timeout, settings.read_timeout
    if scheme in ("s3", "s3a") and "config_kwargs" not in configured:
        retries = {"total_max_attempts": 1, "mode": "standard"}
        return {"config_kwargs": {"connect_timeout": connect, "read_timeout": read, "retries": retries}}
    if scheme in ("gs", "gcs") and "session_kwargs" not in configured:
        try:
            timeout = importlib.import_module("aiohttp").ClientTimeout(sock_connect=connect, sock_read=read)
        except ImportError:  # gcsfs needs it too, and says so
            return {}
        return {"session_kwargs": {"timeout": timeout}}
    return {}


def _ask_once(scheme: str, system: Any) -> None:
    """Have a package make no attempts of its own: they ask for unknown hosts again, wait for long, and are silent."""
    if scheme in ("s3", "s3a"):
        system.retries = 1
    else:
        # gcsfs has the number of its attempts in a decorator.
        system._request = types.MethodType(inspect.unwrap(type(system)._request), system)
