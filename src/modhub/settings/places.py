"""Where the platform keeps a user's caches and configuration."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["user_cache_place", "user_config_place"]

_NAME = "modhub"


def user_cache_place() -> str | None:
    """Return the directory of modhub in the user's caches; None where no home directory is known.

    Example:
      >>> os.path.basename(user_cache_place() or "modhub").lower() in ("modhub", "cache")
      True
    """
    import platformdirs

    return _known(platformdirs.user_cache_dir)


def user_config_place() -> str | None:
    """Return the directory of modhub in the user's configuration; None where no home directory is known."""
    import platformdirs

    return _known(platformdirs.user_config_dir)


def _known(place: Callable[[str], str]) -> str | None:
    try:
        directory = place(_NAME)
    except RuntimeError:  # platformdirs of 2026; earlier ones return a path with "~"
        return None
    return directory if os.path.isabs(directory) else None
