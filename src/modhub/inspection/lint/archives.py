"""Rules for the archive that a module comes in, as servers hand it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from modhub.errors import CorruptModuleError
from modhub.format.archive_limits import DEFAULT_LIMITS
from modhub.format.files import DirectoryFiles
from modhub.inspection.findings import Severity
from modhub.inspection.lint.rules import ANY_FORMAT, ARCHIVE_PAGE, Found, Rule, rule
from modhub.inspection.lint.subject import Subject

__all__ = ["RULES"]

RULES: list[Rule] = []

_PACK = "tar --owner=0 --group=0 --numeric-owner -cz -f module.tar.gz -C module_directory ."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A member of the archive: its name without "./", and who owns it."""

    name: str
    is_directory: bool
    owner: str


@rule(
    RULES, "archive-directories", Severity.WARNING, source=ARCHIVE_PAGE, fix=f"Pack with: {_PACK}", formats=ANY_FORMAT
)
def archive_directories(subject: Subject) -> Found:
    """The archive has no entry for a directory before the files in it.

    tensorflow_hub unpacks entry by entry and makes only those directories that have one, so it fails at the first file
    in another.
    """
    seen, told = {""}, set()
    for entry in _entries(subject):
        parent = entry.name.rpartition("/")[0]
        if entry.is_directory:
            seen.add(entry.name)
        elif parent not in seen and parent not in told:
            told.add(parent)
            yield f"{parent}/", f"There is no entry for it before the file {entry.name!r}."


@rule(RULES, "archive-root", Severity.WARNING, source=ARCHIVE_PAGE, fix=f"Pack with: {_PACK}", formats=ANY_FORMAT)
def archive_root(subject: Subject) -> Found:
    """The module is in a folder of the archive, not at its root.

    tensorflow_hub looks for the module where it unpacked the archive, and not below.
    """
    entries = _entries(subject)
    graphs = [
        entry.name for entry in entries if entry.name.rpartition("/")[2] in ("saved_model.pb", "saved_model.pbtxt")
    ]
    if graphs and all("/" in name for name in graphs):
        yield graphs[0], "The module is not at the root of the archive."


@rule(RULES, "archive-owner", Severity.NOTE, source=ARCHIVE_PAGE, fix=f"Pack with: {_PACK}", formats=ANY_FORMAT)
def archive_owner(subject: Subject) -> Found:
    """The archive tells which user packed it, and is another file for each who packs the same module."""
    owners = sorted({entry.owner for entry in _entries(subject) if entry.owner})
    if owners:
        yield "archive", f"Its files belong to {', '.join(owners[:3])}, not to user 0 and group 0."


def _entries(subject: Subject) -> tuple[_Entry, ...]:
    """Return the members of the archive; nothing for a directory."""
    if isinstance(subject.contents.files, DirectoryFiles):
        return ()
    path = Path(subject.contents.files.where)
    try:
        status = path.stat()
    except OSError as error:
        raise CorruptModuleError(f"{str(path)!r} cannot be read: {error}.") from error
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(1)
def _read(path: Path, _size: int, _time: int) -> tuple[_Entry, ...]:
    """Read the headers once for all rules. When the archive was opened, `modhub.format` has checked all its limits."""
    import tarfile

    try:
        with tarfile.open(path, "r|*") as archive:
            return tuple(_listed(archive))
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise CorruptModuleError(f"{str(path)!r} has changed while it was read: {error}. Try again.") from error


def _listed(archive: object) -> Iterator[_Entry]:
    for count, member in enumerate(archive):  # type: ignore[arg-type, var-annotated]  # a TarFile, whose import is late
        if count > DEFAULT_LIMITS.members:
            raise ValueError(f"more than {DEFAULT_LIMITS.members} members")
        name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
        yield _Entry(name=name, is_directory=member.isdir(), owner=_owner(member.uid, member.gid, member.uname))
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps what it has read


def _owner(user: int, group: int, name: str) -> str:
    if user == 0 and group == 0 and name in ("", "root"):
        return ""
    return f"user {user} group {group}" + (f" ({name})" if name else "")
