"""The file beside an entry that tells people which module it is, as tensorflow_hub writes it. Nothing rests on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from modhub.cache.names import descriptor_name, temporary_name
from modhub.cache.owner import new_owner
from modhub.cache.regular import read_small

__all__ = ["DOWNLOADED", "MODULE", "read_descriptor", "write_descriptor"]

MODULE = "Module"
DOWNLOADED = "Download Time"


def write_descriptor(directory: Path, key: str, handle: str) -> None:
    """Write the descriptor of an entry, where that is possible.

    Args:
      directory: the cache.
      key: of the entry.
      handle: what it is of, as it may be shown.
    """
    text = (
        f"{MODULE}: {handle}\n{DOWNLOADED}: {datetime.now()}\n"
        f"Downloader Hostname: {socket.gethostname()} (PID:{os.getpid()})"
    )
    temporary = directory / temporary_name(key, new_owner(), "descriptor")
    try:
        with suppress(OSError):
            temporary.write_text(text, encoding="utf-8", errors="surrogatepass")
            os.replace(temporary, directory / descriptor_name(key))
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_descriptor(directory: Path, key: str) -> Mapping[str, str]:
    """Return what the descriptor of an entry says, by the words before the colons; nothing where it cannot be read."""
    try:
        text = read_small(directory / descriptor_name(key)).decode("utf-8", "surrogateescape")
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
