"""The hosting protocol: what is asked of a server, and what its answer looks like when it is not an archive.

A handle is a URL that shows documentation to people. With `tf-hub-format=compressed` in its query it answers with a
`.tar.gz`, with `tf-hub-format=uncompressed` with status 303 and a gs:// location in the body.
"""

from __future__ import annotations

import re
import zlib
from urllib.parse import unquote_plus, urlsplit

from modhub.format.tar_headers import BLOCK, is_archive_start

__all__ = [
    "ARCHIVE_SUFFIXES",
    "START_BYTES",
    "asks_for_location",
    "is_archive",
    "is_packed",
    "looks_like",
    "request_url",
]

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz")
# So many bytes tell whether an answer is an archive.
START_BYTES = BLOCK

_FORMAT_KEY = "tf-hub-format"
_GZIP = b"\x1f\x8b"
_PACKED = {b"PK\x03\x04": "a zip file", b"BZh": "a bzip2 file", b"\xfd7zXZ": "an xz file", b"\x28\xb5\x2f\xfd": "zstd"}


def request_url(url: str, load_format: str) -> str:
    """Return what is asked for.

    Args:
      url: a handle, or what stands for it.
      load_format: "AUTO", "COMPRESSED" or "UNCOMPRESSED".

    Returns:
      The URL without its fragment, and with the format in its query, unless its path is that of an archive or its query
      has a format. Nothing else changes, not even how the query is spelt.

    Example:
      >>> request_url("https://example.com/m/1?a=&b=%7e#x", "AUTO")
      'https://example.com/m/1?a=&b=%7e&tf-hub-format=compressed'
      >>> request_url("https://example.com/m.tar.gz", "AUTO")
      'https://example.com/m.tar.gz'
    """
    url = url.partition("#")[0]
    if urlsplit(url).path.lower().endswith(ARCHIVE_SUFFIXES) or _format(url) is not None:
        return url
    value = "uncompressed" if load_format == "UNCOMPRESSED" else "compressed"
    separator = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{separator}{_FORMAT_KEY}={value}"


def asks_for_location(url: str) -> bool:
    """Return whether the answer to a request is to be status 303 with a location."""
    return _format(url) == "uncompressed"


def is_archive(start: bytes) -> bool:
    """Return whether bytes begin as a `.tar.gz` or a `.tar` does; `START_BYTES` of them, or all there are."""
    return is_archive_start(start) or (start.startswith(_GZIP) and not _is_packed_twice(start))


def is_packed(start: bytes) -> bool:
    """Return whether bytes begin as an archive of another kind does."""
    return start.startswith(tuple(_PACKED))


def looks_like(start: bytes, content_type: str) -> str:
    """Say what an answer is that is no archive.

    Args:
      start: its first bytes.
      content_type: its header, or "".

    Returns:
      For example "an HTML page with the title 'Log in'".
    """
    if not start.strip():
        return "empty" if not start else "blank"
    packed = next((what for magic, what in _PACKED.items() if start.startswith(magic)), None)
    if packed:
        return packed
    if _is_packed_twice(start):
        return "gzip within gzip, as a server makes it that packs a .tar.gz again (Content-Encoding: gzip)"
    text = start.decode("utf-8", "replace").strip()
    if "html" in content_type.lower() or text[:14].lower().startswith(("<!doctype html", "<html")):
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        words = " ".join(title[1].split())[:60] if title else ""
        return f"an HTML page with the title {words!r}" if words else "an HTML page"
    if text.startswith("<"):
        return f"XML: {_shown(text)}"
    if text.startswith(("{", "[")):
        return f"JSON: {_shown(text)}"
    if "\ufffd" not in text and text.isprintable():
        return f"text: {_shown(text)}"
    return f"something else; it begins with the bytes {start[:8]!r}"


def _is_packed_twice(start: bytes) -> bool:
    try:
        return zlib.decompressobj(31).decompress(start, len(_GZIP)) == _GZIP  # 31: with the header of gzip
    except zlib.error:
        return False


def _shown(text: str) -> str:
    return repr(text[:80]) + ("..." if len(text) > 80 else "")


def _format(url: str) -> str | None:
    """Return the value of the query key, read as forms are."""
    query = urlsplit(url).query
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if unquote_plus(key) == _FORMAT_KEY:
            return unquote_plus(value).lower()
    return None
