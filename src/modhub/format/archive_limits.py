"""How much of an archive is read before it is refused, and the place where its unpacked size is counted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may ask of its reader. Where it asks for more it is refused, at the point where it does.

    Attributes:
      members: how many files and directories it may have. Directories that only the names of others tell of count,
        and so do entries for the root and headers that describe no member.
      bytes: how long the unpacked tar archive may be, with its headers and padding.
      ratio: how many times as long as the compressed file the unpacked archive may be. gzip reaches 1032; weights
        seldom reach 2, graphs 20.
      ratio_from: up to so many unpacked bytes any ratio is taken, as small archives of zeros are harmless.
      depth: how many parts a name may have.
      name_bytes: how many bytes a name may have, in UTF-8.
      all_name_bytes: how many bytes the names of all members and their directories may have together. They are kept
        in memory, to find names that occur twice.
    """

    members: int = 100_000
    bytes: int = 64 * 2**30
    ratio: int = 200
    ratio_from: int = 16 * 2**20
    depth: int = 32
    name_bytes: int = 1024
    all_name_bytes: int = 8 * 2**20

    def check_unpacked(self, unpacked: int, packed: int) -> None:
        """Check the length of an unpacked archive, or of as much of it as is known.

        Args:
          unpacked: so many bytes.
          packed: the size of the file, in bytes.

        Raises:
          ValueError: it is too long.
        """
        if unpacked > self.bytes:
            raise ValueError(f"it unpacks to more than {self.bytes} bytes, the most that is accepted")
        if unpacked > max(self.ratio_from, self.ratio * packed):
            raise ValueError(f"it unpacks to more than {self.ratio} times its {packed} bytes, which is refused")


DEFAULT_LIMITS = Limits()
