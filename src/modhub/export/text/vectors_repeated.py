"""Which words came before, in 8 bytes a word: their hashes are kept, and what they find is checked in the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

__all__ = ["Repeated"]


class Repeated:
    """Finds words that are already in a file of words, or came earlier in the block that is to be added to it."""

    __slots__ = ("_path", "_runs")

    def __init__(self, path: Path) -> None:
        """Start with no words.

        Args:
          path: the file that holds the words so far, one a line; it is read only where two hashes are equal.
        """
        self._path = path
        # Sorted, and each at least twice as long as the next: few to search, and each word is moved a few times.
        self._runs: list[npt.NDArray[np.int64]] = []

    def find(self, tokens: list[bytes], start: int) -> dict[int, int]:
        """Note some words, and tell which of them are repeated.

        Args:
          tokens: words to come; the file holds those before, and has been flushed.
          start: how many words the file holds.

        Returns:
          For each row that repeats a word, where that came first, counted from the first word of the file.
        """
        import numpy as np

        hashes = np.fromiter(map(hash, tokens), np.int64, len(tokens))
        ordered = np.sort(hashes)
        equal = [ordered[1:][ordered[1:] == ordered[:-1]]]
        for run in self._runs:
            at = np.searchsorted(run, ordered)
            equal.append(ordered[run[np.minimum(at, len(run) - 1)] == ordered])
        self._keep(ordered)
        found = set(np.concatenate(equal).tolist())
        if not found:
            return {}
        suspects = {token for token, hash_ in zip(tokens, hashes.tolist(), strict=True) if hash_ in found}
        first = self._written(suspects, start)
        rows = {}
        for row, token in enumerate(tokens):
            if token in suspects and first.setdefault(token, start + row) != start + row:
                rows[row] = first[token]
        return rows

    def _keep(self, ordered: npt.NDArray[np.int64]) -> None:
        import numpy as np

        if len(ordered):
            self._runs.append(ordered)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.concatenate([self._runs[-1], last])
            self._runs[-1].sort(kind="stable")  # merges runs that are sorted

    def _written(self, suspects: set[bytes], count: int) -> dict[bytes, int]:
        if not count:
            return {}
        with self._path.open("rb") as file:
            lines: Iterable[bytes] = (line.removesuffix(b"\n") for line in file)
            return {line: index for index, line in enumerate(lines) if line in suspects}
