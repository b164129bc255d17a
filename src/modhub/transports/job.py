"""What a transport is asked to do, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from modhub.format.archive_limits import Limits
    from modhub.format.digests import FileDigest
    from modhub.settings import Settings
    from modhub.transports.progress import Progress

__all__ = ["Fetched", "Job", "Transport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One module to be fetched.

    Attributes:
      handle: as the user wrote it, for messages.
      directory: exists and is empty; to be filled with the module's files. What a failure leaves in it is the
        caller's to remove.
      partial: where a download that can be resumed is kept. It may be there from an earlier run, with
        `<partial>.json` beside it; neither has to.
      settings: timeouts, retries, credentials and the like.
      progress: is told of every byte.
      limits: above which an archive is refused.
    """

    handle: str
    directory: Path
    partial: Path
    settings: Settings
    progress: Progress
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was fetched.

    Attributes:
      url: where it came from in the end, without credentials.
      archive: size and digest of the archive as it came; None where it was none.
      files: size and digest of each file in the directory, by its name relative to it, with slashes.
    """

    url: str
    archive: FileDigest | None
    files: Mapping[str, FileDigest]


Transport: TypeAlias = Callable[[str, Job], Fetched]
"""Fetches a URL: fills the job's directory, every byte on the disk, or raises an error of `modhub.errors`."""
