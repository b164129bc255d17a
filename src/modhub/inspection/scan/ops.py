"""What each op of stock TensorFlow can do beside computing, from the table `ops.tsv`.

The classes were judged by hand, from the ops' definitions and, where these leave a doubt, from their kernels.
`make ops` compares the table with the registries of the TensorFlows at hand and adds what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path

__all__ = ["FileArgument", "OpClass", "file_arguments", "op_classes"]

_TABLE = Path(__file__).with_name("ops.tsv")
_MOST_KEPT = 2048  # about as many as the table has ops: a hostile module may name any number of others


class OpClass(StrEnum):
    """What an op does, or can be made to do by its inputs and attributes."""

    PURE = "pure"
    """Computes; random ops, control flow, calls of functions in the graph, and datasets made of them, too."""
    STATE = "state"
    """Keeps or reads state in the process or on its accelerator: variables, tables, queues, iterators."""
    SAVER = "saver"
    """Is one that `tf.train.Saver` puts into a graph; those that touch files have that class as well."""
    READS_FILES = "reads-files"
    """Reads files, or lists directories."""
    WRITES_FILES = "writes-files"
    """Makes, changes or deletes files."""
    RUNS_CODE = "runs-code"
    """Calls Python or native code that is not in the graph."""
    NETWORK = "network"
    """Talks to other processes, machines or replicas, or sets up how that is done."""
    HIDDEN_GRAPH = "hidden-graph"
    """Runs a graph or program that it is given as bytes, as a file, or by a key."""
    DENIAL_OF_SERVICE = "denial-of-service"
    """Ends or blocks the process, or shuts down what it computes with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileArgument:
    """An input or attribute of an op that says which file, directory, URL or server it uses.

    Attributes:
      name: the name in the op's definition.
      index: which of the node's inputs it is, from 0; None for an attribute, which is a string or a list of them.
      harmless: the values with which the op leaves files and servers alone.
    """

    name: str
    index: int | None
    harmless: frozenset[str]


@lru_cache(_MOST_KEPT)
def op_classes(op: str) -> frozenset[OpClass] | None:
    """Return what an op can do.

    Args:
      op: the type of a node, e.g. "ReadFile".

    Returns:
      One or more classes; None for what is no op of stock TensorFlow.

    Example:
      >>> sorted(op_classes("SaveV2"))
      [<OpClass.SAVER: 'saver'>, <OpClass.WRITES_FILES: 'writes-files'>]
      >>> op_classes("IO>KafkaReadableInit") is None
      True
    """
    row = _rows().get(op)
    return None if row is None else frozenset(map(OpClass, row.partition("\t")[0].split(" ")))


@lru_cache(_MOST_KEPT)
def file_arguments(op: str) -> tuple[FileArgument, ...]:
    """Return the inputs and attributes that say which files or servers an op uses.

    Args:
      op: the type of a node, e.g. "ReadFile".

    Returns:
      In the order of the op's definition, inputs first. Empty for an op that uses none or is not known, and for one
      whose file another op has opened: the summary writer's, for instance.

    Example:
      >>> file_arguments("ReadFile")
      (FileArgument(name='filename', index=0, harmless=frozenset()),)
      >>> sorted(file_arguments("PrintV2")[0].harmless)
      ['log(error)', 'log(info)', 'log(warning)', 'stderr', 'stdout']
    """
    listed = _rows().get(op, "").partition("\t")[2]
    return tuple(map(_file_argument, listed.split(" "))) if listed else ()


def _file_argument(text: str) -> FileArgument:
    """Read "1:filename|" (input 1, harmless if empty) or "attr:vocab_file" (an attribute, never harmless)."""
    where, _, rest = text.partition(":")
    name, *harmless = rest.split("|")
    return FileArgument(name=name, index=None if where == "attr" else int(where), harmless=frozenset(harmless))


@cache
def _rows() -> Mapping[str, str]:
    """Return the table: op -> the rest of its line, which is read when an op is asked for (0.7 ms instead of 3)."""
    lines = _TABLE.read_text(encoding="utf-8").splitlines()
    return {op: rest for op, _, rest in (line.partition("\t") for line in lines if not line.startswith("#"))}
