"""Directories put in the place of entries, and taken away: each in one step, whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from modhub.cache.names import temporary_name
from modhub.cache.owner import new_owner
from modhub.errors import CacheError
from modhub.format.syncing import sync_directory

__all__ = ["put_in_place", "remove_tree", "set_aside"]

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


def put_in_place(temporary: Path, target: Path, *, replaces: bool) -> bool:
    """Rename a directory to an entry.

    Args:
      temporary: the directory.
      target: the entry.
      replaces: whether an entry that is there goes.

    Returns:
      False where someone else was first, whose entry has to be looked at.

    Raises:
      CacheError: what is there is someone else's, and only they may replace it.
      OSError: the system refuses.
    """
    aside = None
    if replaces or target.is_symlink() or (target.exists() and not target.is_dir()):
        aside = set_aside(target)
    try:
        os.rename(temporary, target)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        return False
    finally:
        # Only now: it may be large, and until the rename nothing is in its place.
        if aside is not None:
            remove_tree(aside)
    sync_directory(target.parent.resolve())  # the cache may be a link
    return True


def set_aside(target: Path) -> Path | None:
    """Take an entry away; return what is to be removed then, if it was there.

    Raises:
      CacheError: it is someone else's, and only they may take it away.
      OSError: the system refuses.
    """
    aside = target.with_name(temporary_name(target.name, new_owner(), "old"))
    try:
        os.rename(target, aside)
    except FileNotFoundError:
        return None
    except PermissionError:
        # A directory that many share is sticky mostly: everyone may add to it, and take away only what is their own.
        user = _other_user(target)
        if user is None:
            raise
        raise CacheError(
            f"{str(target)!r} belongs to the user {user!r}, and nobody else may replace or remove it there. Have them "
            "remove it, or name another directory by TFHUB_CACHE_DIR."
        ) from None
    return aside


def remove_tree(path: Path) -> None:
    """Remove a directory, or a link or file in its place, as far as that can be done; others may be at it too."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)


def _other_user(path: Path) -> str | None:
    """Return the name of whom something belongs to; None where it is this user, or the system does not say."""
    with suppress(OSError, KeyError, ImportError, AttributeError):
        import pwd

        owner = path.lstat().st_uid
        return None if owner == os.geteuid() else pwd.getpwuid(owner).pw_name
    return None
