"""The names of the members of an archive: one spelling for each, inside the root, and none that occurs twice."""

from __future__ import annotations

from modhub.format.archive_limits import Limits

__all__ = ["Names", "normal_name"]

_FILE = "file"
_DIRECTORY = "directory"
# Without an entry of its own: the name of a member below it tells of it.
_IMPLIED = "implied directory"


def normal_name(name: str, limits: Limits) -> str:
    """Return the one spelling of a name: without doubled slashes, parts that are ".", and a slash at the end.

    Args:
      name: as it is in an archive.
      limits: for its length and depth.

    Returns:
      A relative path with slashes; "" for the root.

    Raises:
      ValueError: the name leads out of the root, or does so on another system.

    Example:
      >>> normal_name("./variables//variables.index", Limits())
      'variables/variables.index'
    """
    # Asked for first: what is shown of a name in a message below is then bounded too.
    if len(name.encode()) > limits.name_bytes:
        raise ValueError(f"a name of more than {limits.name_bytes} bytes (Limits.name_bytes): {name[:40]!r}...")
    if name.startswith("/"):
        raise ValueError(f"the absolute name {name!r}; names in a module are relative")
    if "\0" in name or "\\" in name:
        raise ValueError(f"the name {name!r}, which holds a null byte or a backslash")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"the name {name!r}, which leads upwards with '..'")
    if any(part[1:2] == ":" and part[0].isascii() and part[0].isalpha() for part in parts):
        raise ValueError(f"the name {name!r}, which has a drive letter")
    if len(parts) > limits.depth:
        raise ValueError(f"the name {name!r} of more than {limits.depth} parts (Limits.depth)")
    return "/".join(parts)


class Names:
    """The names of an archive, one after the other. What `add` raises, a `ValueError`, is a finding about it."""

    __slots__ = ("_bytes", "_kinds", "_limits", "_others")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kinds: dict[str, str] = {}
        self._bytes = 0
        self._others = 0

    def count_other(self) -> None:
        """Count a header that adds no name, so that an archive of nothing else ends too."""
        self._others += 1
        self._check_count()

    def add(self, name: str, is_directory: bool) -> None:
        """Add the normal name of a member."""
        known = self._kinds.get(name)
        if known == _IMPLIED and is_directory:
            self._kinds[name] = _DIRECTORY
            return
        if known == _IMPLIED or (known is not None and (known == _DIRECTORY) != is_directory):
            raise ValueError(f"{name!r} both as a file and as a directory")
        if known is not None:
            raise ValueError(f"{name!r} twice; which one is meant cannot be told")
        self._put(name, _DIRECTORY if is_directory else _FILE)
        # Directories above one that is known are known.
        while "/" in name:
            name = name.rpartition("/")[0]
            above = self._kinds.get(name)
            if above == _FILE:
                raise ValueError(f"{name!r} both as a file and as a directory")
            if above is not None:
                return
            self._put(name, _IMPLIED)

    def _put(self, name: str, kind: str) -> None:
        self._kinds[name] = kind
        self._bytes += len(name.encode())
        if self._bytes > self._limits.all_name_bytes:
            raise ValueError(f"names of more than {self._limits.all_name_bytes} bytes (Limits.all_name_bytes)")
        self._check_count()

    def _check_count(self) -> None:
        if len(self._kinds) + self._others > self._limits.members:
            raise ValueError(f"more than {self._limits.members} files and directories (Limits.members)")
