"""The names of what lies in a cache directory; those of entries, descriptors and locks are tensorflow_hub's."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from modhub.cache.owner import OWNER
from modhub.settings.redact import shown

__all__ = [
    "HIDDEN",
    "PIN",
    "Temporary",
    "descriptor_name",
    "is_key",
    "key_of",
    "keys_of",
    "lock_name",
    "parse_temporary",
    "pinned_key",
    "temporary_name",
]

PIN = "#sha256="
# What `shown` puts in the place of a secret.
HIDDEN = "***"

_KEY = re.compile(r"[0-9a-f]{40}")
# `<key>.<owner>.<kind>`; tensorflow_hub's owners are 32 hexadecimal digits, and its only kind is tmp.
_TEMPORARY = re.compile(
    rf"(?P<key>{_KEY.pattern})\.(?P<owner>{OWNER.pattern.replace('?P<', '?P<o_')}|[0-9a-f]{{32}})\.(?P<kind>[a-z.]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Temporary:
    """What the name of a temporary file says.

    Attributes:
      key: of the entry that it is for.
      owner: whose it is.
      kind: "tmp" for a directory that is being filled, "part" and "part.json" for a download, "old" for a directory
        that was replaced or removed, "lock" for a lock that is being made or broken, "descriptor" and "manifest" for
        files that are being written.
    """

    key: str
    owner: str
    kind: str


def key_of(handle: str) -> str:
    """Return the name of a handle's entry: the SHA-1 of the handle as it is written, as in tensorflow_hub's cache.

    Example:
      >>> key_of("https://tfhub.dev/google/nnlm-en-dim128/1")
      '32f2b2259e1cc8ca58c876921748361283e73997'
    """
    return hashlib.sha1(handle.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def pinned_key(handle: str, sha256: str, key: str | None = None) -> str:
    """Return the name of the entry for a handle and a digest, where the handle's own entry has another digest.

    Args:
      handle: as it is written, or as it is kept, without secrets.
      sha256: the digest.
      key: of the handle as it is written; None where that is given.
    """
    key = key or key_of(handle)
    # Of a handle that has secrets, only its key is the same when they are not known.
    name = handle if key_of(shown(handle)) == key else key
    return key_of(f"{name}{PIN}{sha256}")


def keys_of(handle: str, *digests: str | None, key: str | None = None) -> list[str]:
    """Return the names that entries of a handle with these digests, as far as they are known, may have.

    Args:
      handle: see `pinned_key`.
      digests: of all files, and of the archive.
      key: see `pinned_key`.
    """
    return [key or key_of(handle), *(pinned_key(handle, digest, key) for digest in digests if digest)]


def is_key(name: str) -> bool:
    """Tell whether a name is one that entries have."""
    return _KEY.fullmatch(name) is not None


def descriptor_name(key: str) -> str:
    """Return the name of the file that says for people which handle an entry is of."""
    return f"{key}.descriptor.txt"


def lock_name(key: str) -> str:
    """Return the name of the file that is there while an entry is made."""
    return f"{key}.lock"


def temporary_name(key: str, owner: str, kind: str) -> str:
    """Return the name of a temporary file or directory, see `Temporary`."""
    return f"{key}.{owner}.{kind}"


def parse_temporary(name: str) -> Temporary | None:
    """Read the name of a temporary file; None for any other.

    Example:
      >>> parse_temporary("32f2b2259e1cc8ca58c876921748361283e73997.lock") is None
      True
    """
    found = _TEMPORARY.fullmatch(name)
    return Temporary(key=found["key"], owner=found["owner"], kind=found["kind"]) if found else None
