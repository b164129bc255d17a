"""What a contestant notes in its own process: how long each step took, how much memory, how many ops."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["Notes", "example_input"]


class Notes:
    """Figures by name: seconds, bytes, or counts, as the name says."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    @contextlib.contextmanager
    def seconds(self, name: str) -> Iterator[None]:
        """Note how long the block takes."""
        start = time.perf_counter()
        yield
        self.figures[name] = time.perf_counter() - start

    @contextlib.contextmanager
    def ops(self, name: str, graph: Any) -> Iterator[None]:
        """Note how many ops the block adds to the graph."""
        before = len(graph.get_operations())
        yield
        self.figures[name] = len(graph.get_operations()) - before

    def peak_memory(self, name: str) -> None:
        """Note the most memory that the process has held so far, in bytes."""
        unit = 1 if sys.platform == "darwin" else 1024
        self.figures[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def output(self, value: Any) -> None:
        """Note a digest of the first output, by which contestants show that they compute the same."""
        self.figures["output"] = float(np.sum(np.abs(value)))

    def total_to_first_output(self) -> None:
        """Note the sum of the steps from `Module()` to the end of the first run."""
        steps = ("Module()", "first apply", "init", "first run")
        self.figures["total to first output"] = sum(self.figures[step] for step in steps)


def example_input(dtype: str, shape: Any) -> Any:
    """Return a value to feed to an input: sentences, one image, or three numbers."""
    if dtype == "string":
        return ["token1 token399999 token17", "", "token200000 not-in-the-vocabulary"]
    if shape.rank == 4:
        image = shape.as_list()[1:]
        return np.linspace(0.0, 1.0, int(np.prod(image)), dtype=dtype).reshape(1, *image)
    return np.array([1.0, 2.0, 10.0], dtype)
