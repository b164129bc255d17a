"""How commands show entries of the cache."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modhub.cache.listing import Entry

__all__ = ["as_json", "counted", "name_of", "pin_of"]


def name_of(entry: Entry) -> str:
    """Return what an entry is called: its handle without passwords, or its key where nothing says the handle."""
    from modhub.settings.redact import masked

    return masked(entry.handle) or entry.key


def pin_of(entry: Entry) -> str | None:
    """Return the handle that also says what it has to name; None where no digest is known."""
    return f"{name_of(entry)}#sha256={entry.sha256}" if entry.handle and entry.sha256 else None


def as_json(entry: Entry) -> dict[str, Any]:
    """Return what --json prints of an entry."""
    from modhub.settings.redact import masked

    fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    return fields | {"handle": masked(entry.handle), "source": masked(entry.source)}


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
      >>> counted(1, "module"), counted(2, "module")
      ('1 module', '2 modules')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
