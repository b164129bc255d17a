"""Directories of exports that are named by the second: each appears whole, and the oldest go."""

from __future__ import annotations

import errno
import logging
import operator
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from modhub.cache.owner import OWNER, is_alive, is_dead, new_owner
from modhub.cache.placing import remove_tree
from modhub.errors import ExportError, InvalidArgumentError, ModhubError

__all__ = ["as_base_dir", "check_export_name", "check_exports_to_keep", "write_export"]

_LOG = logging.getLogger("modhub")
# TensorFlow Serving takes a directory whose name is a number for a version, and serves the largest.
_STAMP = re.compile(r"[0-9]{10}")
_LAST_STAMP = 9_999_999_999
_PARTIAL = re.compile(rf"\.export\.(?P<whose>{OWNER.pattern})\.partial")
_OLD_S = 24 * 3600
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
# Another process takes a second that was free a moment ago: that happens once or twice, not this often.
_MOST_ATTEMPTS = 1000


def write_export(base_dir: Path, exports_to_keep: int | None, write: Callable[[Path], None]) -> Path:
    """Write a directory `<base_dir>/<seconds since 1970, 10 digits>`, and remove the oldest ones.

    What is written appears by one rename. A name is never taken twice, by however many processes, and is larger than
    those that are there, even if the clock was set back. A process that is killed leaves earlier exports whole, and at
    most one directory called `.export.<owner>.partial`; the next export removes it.

    Args:
      base_dir: made if it is missing. What else is in it stays.
      exports_to_keep: how many directories named by 10 digits to leave, the newest; None for all.
      write: writes into an empty directory, at least one file.

    Returns:
      The new directory.

    Raises:
      ExportError: the system refused something, or no name is left. The exports are as they were.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     made = [write_export(Path(folder), 2, lambda new: (new / "x").touch()) for _ in range(3)]
      ...     [path.is_dir() for path in made]
      [False, True, True]
    """
    partial = base_dir / _partial_name()
    try:
        base_dir.mkdir(parents=True, exist_ok=True)
        _sweep(base_dir)
        try:
            partial.mkdir()
            write(partial)
            target = _put_in_place(partial, base_dir)
        except BaseException:
            remove_tree(partial)
            raise
        _remove_oldest(base_dir, exports_to_keep)
    except OSError as error:
        if isinstance(error, ModhubError):
            raise
        raise ExportError(
            f"Cannot export to {str(base_dir)!r}: {error}. Earlier exports there are as they were; base_dir has to be "
            "a directory, or a path where one can be made."
        ) from error
    return target


def as_base_dir(base_dir: object, argument: str = "base_dir") -> Path:
    """Return the directory that exports go to.

    Args:
      base_dir: as it was given.
      argument: what the user knows it as.

    Raises:
      InvalidArgumentError: it is no path of this machine.
    """
    if not isinstance(base_dir, str | bytes | os.PathLike):
        raise InvalidArgumentError(f"{argument} has to be a path; {base_dir!r} was given.")
    path = os.fsdecode(base_dir)
    if not path or "\0" in path or "://" in path:
        raise InvalidArgumentError(
            f"{argument} has to be the path of a directory on this machine; {path!r} was given. What is to go "
            "elsewhere is exported to a local directory and copied from there."
        )
    return Path(path)


def check_exports_to_keep(exports_to_keep: object) -> int | None:
    """Return how many exports stay: None for all.

    Raises:
      InvalidArgumentError: it is neither None nor a positive whole number.
    """
    if exports_to_keep is None:
        return None
    if not isinstance(exports_to_keep, bool):
        with suppress(TypeError):
            count = operator.index(exports_to_keep)  # type: ignore[arg-type] # that is what is asked
            if count > 0:
                return count
    raise InvalidArgumentError(
        "`exports_to_keep`, if provided, must be a positive number, of the newest exports that stay; "
        f"{exports_to_keep!r} was given. Pass None to keep all."
    )


def check_export_name(name: object) -> str:
    """Return the name under which a module is exported, or that of an exporter: a relative path.

    Raises:
      InvalidArgumentError: it would lead out of the export, or is none.
    """
    if isinstance(name, str) and name and "\0" not in name and "\\" not in name:
        parts = name.split("/")
        if all(parts) and not {".", ".."} & set(parts) and not any(part.endswith(":") for part in parts):
            return str(PurePosixPath(name))
    raise InvalidArgumentError(
        "What is exported goes into a directory of that name, so the name has to be like 'encoder' or 'text/encoder'; "
        f"{name!r} was given."
    )


def _partial_name() -> str:
    return f".export.{new_owner()}.partial"


def _put_in_place(partial: Path, base_dir: Path) -> Path:
    for _ in range(_MOST_ATTEMPTS):
        target = base_dir / _next_stamp(base_dir)
        try:
            # It fails on a directory with something in it, which every export is: who comes second takes the next.
            os.rename(partial, target)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
        else:
            return target
    raise ExportError(f"No name could be had in {str(base_dir)!r}: others took {_MOST_ATTEMPTS} of them first.")


def _next_stamp(base_dir: Path) -> str:
    newest = max((int(name) for name in os.listdir(base_dir) if _STAMP.fullmatch(name)), default=-1)
    if newest >= _LAST_STAMP:
        raise ExportError(
            f"{str(base_dir)!r} holds {str(newest)!r}, and no larger name has 10 digits: the new export would not be "
            "the latest. Move that away."
        )
    return f"{max(int(time.time()), newest + 1):010d}"


def _remove_oldest(base_dir: Path, exports_to_keep: int | None) -> None:
    if exports_to_keep is None:
        return
    try:
        with os.scandir(base_dir) as found:
            stamps = sorted(
                each.name for each in found if _STAMP.fullmatch(each.name) and each.is_dir(follow_symlinks=False)
            )
        for stamp in stamps[:-exports_to_keep]:
            _take_away(base_dir / stamp)
    except OSError as error:  # the new export is there, whatever becomes of the old
        _LOG.warning("Old exports in %r could not be removed: %s", str(base_dir), error)


def _sweep(base_dir: Path) -> None:
    """Remove what exports have left that were killed."""
    for name in os.listdir(base_dir):
        found = _PARTIAL.fullmatch(name)
        if found is not None and _is_left(found["whose"], base_dir / name):
            with suppress(OSError):
                _take_away(base_dir / name)


def _is_left(owner: str, path: Path) -> bool:
    return is_dead(owner) or (not is_alive(owner) and _age(path) > _OLD_S)


def _take_away(path: Path) -> None:
    """Remove a directory in such a way that nobody sees half of it, and that it is never in the way of a rename."""
    aside = path.with_name(_partial_name())
    try:
        os.rename(path, aside)
    except FileNotFoundError:  # someone else was first
        return
    remove_tree(aside)


def _age(path: Path) -> float:
    """Return how long ago something was written into a directory, in seconds."""
    times = [path.lstat().st_mtime] if path.exists() else [time.time()]
    for folder, _, files in os.walk(path):
        for name in [".", *files]:
            with suppress(OSError):
                times.append(os.lstat(os.path.join(folder, name)).st_mtime)
    return time.time() - max(times)
