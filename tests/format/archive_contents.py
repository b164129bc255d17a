"""How the tests of archives write one and read all of it."""

from __future__ import annotations

from pathlib import Path

from modhub.format.archive import Limits, members

__all__ = ["contents", "put"]


def put(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


def contents(path: Path, limits: Limits | None = None) -> dict[str, bytes | None]:
    """Everything in an archive; None for a directory."""
    found: dict[str, bytes | None] = {}
    for member, reader in members(path, limits or Limits()):
        data = reader.read(member.size + 1)
        assert len(data) == member.size
        assert member.name not in found
        found[member.name] = None if member.is_directory else data
    return found
