"""The digests that servers give in headers, and whether what came has them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Digester", "expected_digest"]

_BYTES = {"sha-256": 32, "crc32c": 4, "md5": 16}
_PAIR = re.compile(r"([a-z0-9-]+)\s*=\s*:?([A-Za-z0-9+/]+={0,2}):?\s*(?:[,;]|$)", re.IGNORECASE)


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


def expected_digest(headers: Mapping[str, str], *, is_part: bool) -> tuple[str, bytes] | None:
    """Return the digest of the whole file that a server gives.

    Read are Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230), Content-MD5 (RFC 1864) and x-goog-hash
    (Google Cloud Storage). What cannot be read is passed over.

    Args:
      headers: of the answer, found in any case.
      is_part: whether it is the answer with a part (206), of which Content-Digest and Content-MD5 then are.

    Returns:
      "sha-256", "crc32c" or "md5", the first that there is, and its bytes; None without any.
    """
    found: dict[str, bytes] = {}
    names = ["Repr-Digest", "Digest"]
    if not is_part:
        names.append("Content-Digest")
        found |= _decoded("md5", headers.get("Content-MD5", ""))
    if not _is_unpacked_on_the_way(headers):
        names.append("x-goog-hash")
    for name in names:
        for match in _PAIR.finditer(headers.get(name, "")):
            found |= _decoded(match[1].lower(), match[2])
    return next(((name, found[name]) for name in _BYTES if name in found), None)


class Digester:
    """Computes one digest of bytes as they come."""

    __slots__ = ("_hash", "name")

    def __init__(self, name: str) -> None:
        """Compute the digest of this name, as `expected_digest` returns it."""
        self.name = name
        self._hash: _Hash = _new(name)

    def update(self, data: bytes) -> None:
        """Go on with these bytes."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """Return the digest of the bytes so far."""
        return self._hash.digest()


def _new(name: str) -> _Hash:
    if name == "crc32c":
        import crc32c

        return crc32c.CRC32CHash()
    import hashlib

    return hashlib.md5(usedforsecurity=False) if name == "md5" else hashlib.sha256()


def _decoded(name: str, text: str) -> dict[str, bytes]:
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return {}
    return {name: value} if value and len(value) == _BYTES.get(name) else {}


def _is_unpacked_on_the_way(headers: Mapping[str, str]) -> bool:
    """Return whether Google's storage unpacked the file; the digest is then that of the packed one."""
    stored = headers.get("x-goog-stored-content-encoding", "identity").lower()
    return stored not in ("", "identity", headers.get("Content-Encoding", "").lower())
