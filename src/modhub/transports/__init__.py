"""How modules come from afar: one transport for each scheme of a URL. Nothing is imported before it is used."""

from __future__ import annotations

import importlib
from typing import cast

from modhub.transports.job import Fetched, Job, Transport

__all__ = ["Fetched", "Job", "Transport", "known_schemes", "transport_for"]

# scheme -> the module and its function
_BUILT_IN = {
    "http": ("modhub.transports.http", "fetch_http"),
    "https": ("modhub.transports.http", "fetch_http"),
    "gs": ("modhub.transports.filesystems", "fetch_filesystem"),
    "s3": ("modhub.transports.filesystems", "fetch_filesystem"),
    "kaggle": ("modhub.transports.kaggle", "fetch_kaggle"),
    "hf": ("modhub.transports.hugging_face", "fetch_hugging_face"),
}


def transport_for(url: str) -> Transport | None:
    """Return what fetches a URL.

    Built-in schemes come first, then plug-ins (entry points of the group "modhub.transports"), then the file systems
    that fsspec knows. A plug-in for a built-in scheme is never asked: no distribution takes https:// over.

    Args:
      url: "scheme:..."; only the scheme is looked at.

    Returns:
      A transport; None where no one knows the scheme.

    Raises:
      InvalidArgumentError: a plug-in for the scheme is there and cannot be used.

    Example:
      >>> transport_for("https://example.com/module/1").__name__
      'fetch_http'
      >>> transport_for("no-such-scheme://x") is None
      True
    """
    scheme, separator, _ = url.partition(":")
    scheme = scheme.lower()
    if not separator:
        return None
    if scheme in _BUILT_IN:
        room, function = _BUILT_IN[scheme]
        return cast(Transport, getattr(importlib.import_module(room), function))
    from modhub.transports.filesystems import filesystem_schemes
    from modhub.transports.plugins import plugin_transport

    plugin = plugin_transport(scheme)
    if plugin is not None:
        return plugin
    if scheme in filesystem_schemes():
        return cast(Transport, importlib.import_module("modhub.transports.filesystems").fetch_filesystem)
    return None


def known_schemes() -> list[str]:
    """Return the schemes that `transport_for` knows, sorted: its own, those of plug-ins and of fsspec."""
    from modhub.transports.filesystems import filesystem_schemes
    from modhub.transports.plugins import plugin_schemes

    return sorted({*_BUILT_IN, *plugin_schemes(), *filesystem_schemes()})
