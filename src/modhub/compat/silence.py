"""without_stderr: nothing is heard of what libraries say while they are loaded, at any level of logs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["without_stderr"]


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Send what the process writes to file descriptor 2, not what Python writes to it, to nowhere."""
    try:
        saved = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
