"""How tests of bad input look at an error, and at the graph and the files that it leaves behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf


def graph_state(graph: tf.Graph) -> tuple[list[str], dict[str, int]]:
    """Return the names of a graph's operations, and how much each of its collections holds."""
    collections = {str(key): len(graph.get_collection_ref(key)) for key in graph.get_all_collection_keys()}
    return [op.name for op in graph.get_operations()], {key: held for key, held in collections.items() if held}


def file_state(folder: Path) -> dict[str, bytes | None]:
    """Return the contents of all files below a folder; None for a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@contextlib.contextmanager
def refused(
    error: type[Exception],
    *also: type[Exception],
    says: tuple[str, ...] = (),
    graph: tf.Graph | None = None,
    folder: Path | None = None,
) -> Iterator[pytest.ExceptionInfo[Any]]:
    """Expect an error of ours that is `also` of the classes that old code catches, and that changes nothing.

    Args:
      error: the class of modhub.errors.
      also: classes that it has to inherit too.
      says: what its message has to contain.
      graph: a graph that must be the same afterwards.
      folder: a folder whose files must be the same afterwards.

    Yields:
      What pytest.raises gives.
    """
    before = graph and graph_state(graph)
    files = folder and file_state(folder)
    with pytest.raises(error) as caught:
        yield caught
    for one in also:
        assert isinstance(caught.value, one), f"{type(caught.value).__mro__} lacks {one}"
    message = str(caught.value)
    for part in says:
        assert part in message
    assert "Traceback" not in message
    assert (graph and graph_state(graph)) == before
    assert (folder and file_state(folder)) == files
