"""Ways to damage a file: every byte flipped, every length cut; or a fixed sample of them for larger files."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["Mutation", "apply_mutation", "mutations"]

Mutation = tuple[str, int, int]  # ("flip", offset, mask) or ("cut", length, 0)


def mutations(size: int, sample: int | None = None, seed: int = 0) -> Iterator[Mutation]:
    """Yield a flip for every byte and a cut at every length of a file of `size` bytes, or a sample of each.

    Args:
      size: of the file, in bytes.
      sample: how many flips, and how many cuts, to yield at most; None means all.
      seed: of the choice of bits and of the sample.
    """
    chance = random.Random(seed)
    flips = [("flip", offset, 1 << chance.randrange(8)) for offset in range(size)]
    cuts = [("cut", length, 0) for length in range(size)]
    for each in (flips, cuts):
        yield from each if sample is None or sample >= size else chance.sample(each, sample)


def apply_mutation(data: bytes, mutation: Mutation) -> bytes:
    """Return damaged data."""
    kind, place, mask = mutation
    if kind == "cut":
        return data[:place]
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]
