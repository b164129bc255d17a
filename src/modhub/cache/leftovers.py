"""What processes that were killed have left in a cache: taken up where that saves a download, and removed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modhub.cache.checking import listed_files, size_of
from modhub.cache.lock import is_abandoned
from modhub.cache.names import Temporary, key_of, parse_temporary, temporary_name
from modhub.cache.owner import is_alive, is_dead, new_owner
from modhub.cache.placing import remove_tree

__all__ = ["claimed_partial", "find_leftovers", "sweep"]

_OLD_S = 24 * 3600
_PART = "part"
# The downloads that this process has under way: one that failed can be taken up again, one that runs cannot.
_running: set[str] = set()


@contextmanager
def claimed_partial(directory: Path, handle: str, owner: str) -> Iterator[Path]:
    """Give the place of a download that can be taken up again, with what an earlier one has left.

    Args:
      directory: the cache.
      handle: what is downloaded.
      owner: who downloads; nobody else touches files of this name.

    Yields:
      The path of the file, which need not exist; beside it may be one with ".json" at its end.
    """
    key = key_of(handle)
    target = directory / temporary_name(key, owner, _PART)
    _running.add(owner)
    try:
        found = [path for path, each in _temporaries(directory, key) if each.kind == _PART and _is_free(each, path)]
        for path in sorted(found, key=size_of, reverse=True):
            sidecar = path.with_name(f"{path.name}.json")
            with suppress(OSError):
                os.rename(sidecar, target.with_name(f"{target.name}.json"))
                os.rename(path, target)
                break
        yield target
    finally:
        with suppress(OSError):  # a note that could not be written to its end
            target.with_name(f"{target.name}.json.tmp").unlink()
        _running.discard(owner)


def find_leftovers(directory: Path, key: str | None = None, *, older_than: float = _OLD_S) -> list[Path]:
    """Return temporary files and directories, and locks, that nobody is at work on.

    Those are the ones of processes of this machine that are gone, none of those that run, and others when nothing was
    written to them for long.

    Args:
      directory: the cache.
      key: only those for one entry.
      older_than: seconds since the last write, for those of other machines and of tensorflow_hub.
    """
    found = [path for path, each in _temporaries(directory, key) if _is_left(each, path, older_than)]
    return [*found, *_abandoned_locks(directory, key)]


def sweep(directory: Path, handle: str, *, keep: str) -> None:
    """Remove what earlier downloads of a handle have left.

    Args:
      directory: the cache.
      handle: which.
      keep: the owner whose files stay.
    """
    for path in find_leftovers(directory, key_of(handle)):
        if f".{keep}." not in path.name:
            remove_tree(path)


def _abandoned_locks(directory: Path, key: str | None) -> Iterator[Path]:
    for path in directory.glob(f"{key or '*'}.lock"):
        if parse_temporary(path.name) is None and is_abandoned(path):
            yield path


def _temporaries(directory: Path, key: str | None) -> Iterator[tuple[Path, Temporary]]:
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        each = parse_temporary(name)
        if each is not None and (key is None or each.key == key):
            yield directory / name, each


def _is_left(each: Temporary, path: Path, older_than: float) -> bool:
    if each.owner in _running or is_alive(each.owner):
        return False
    return is_dead(each.owner) or _age(path) > older_than


def _is_free(each: Temporary, path: Path) -> bool:
    """Tell whether a download may be taken up: its process is gone, or it is this one and has given up."""
    is_own = each.owner.rpartition("r")[0] == new_owner().rpartition("r")[0]
    return each.owner not in _running and (is_own or _is_left(each, path, _OLD_S))


def _age(path: Path) -> float:
    """Return how long ago something was written, in seconds, to a file, or anywhere into a directory."""
    try:
        times = [path.lstat().st_mtime]
        if path.is_dir() and not path.is_symlink():
            times += [status.st_mtime for _, status in listed_files(path)]
        return time.time() - max(times)
    except OSError:
        return 0.0
