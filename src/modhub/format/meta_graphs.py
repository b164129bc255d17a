"""The reader of saved_model.pb and saved_model.pbtxt: meta graphs, without TensorFlow and in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from google.protobuf.message import DecodeError

from modhub.errors import CorruptModuleError, NotAModuleError, UnsupportedFormatError
from modhub.format.collections import asset_files, attached_messages, collection_items, collection_messages
from modhub.format.files import ModuleFiles
from modhub.format.graph import Budget, Graph, read_graph
from modhub.format.layout import SAVED_MODEL
from modhub.format.names import show_tags
from modhub.format.protos import MetaGraphDef, SavedModel, parse_text
from modhub.format.wire import BYTES, Buffer, fields

__all__ = ["SAVED_MODEL_TEXT", "MetaGraph", "read_meta_graphs", "saved_model_names", "unreadable"]

SAVED_MODEL_TEXT = "saved_model.pbtxt"
# What TensorFlow's proto splitter writes for models of more than 2 GiB.
_CHUNKED = "saved_model.cpb"

# The field numbers of tensorflow's saved_model.proto and meta_graph.proto.
_META_GRAPH, _GRAPH = 2, 2

# Text takes some 100 times its size in memory, and seconds a MB; the writers of modules write the binary form.
_MOST_TEXT_BYTES = 2**22
# Of a MetaGraphDef without its graph: signatures, collections, the objects of a TF2 SavedModel.
_MOST_REST_BYTES = 2**26


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetaGraph:
    """One graph variant of a module or SavedModel, as it is stored.

    Attributes:
      tags: its tags.
      graph: its nodes and functions.
      definition: the MetaGraphDef without `graph_def`.
      where: what messages call it.
    """

    tags: frozenset[str]
    graph: Graph
    definition: Any
    where: str

    @property
    def signatures(self) -> Mapping[str, Any]:
        """SignatureDefs by name."""
        return self.definition.signature_def  # type: ignore[no-any-return]

    def collection(self, key: str) -> list[Any]:
        """Return a collection's items: names for a node list, bytes or messages for the other kinds."""
        return collection_items(self.definition, key)

    def messages(self, key: str) -> list[bytes]:
        """Return the serialized messages of a collection; none where there is no such one.

        Raises:
          CorruptModuleError: it holds something else.
        """
        with unreadable(self.where):
            return collection_messages(self.definition, key)

    def attachments(self) -> dict[str, bytes]:
        """Return the serialized attached messages by key."""
        with unreadable(self.where):
            return attached_messages(self.definition)

    def assets(self) -> dict[str, str]:
        """Return the asset constants: name of the tensor -> file name below `assets/`."""
        with unreadable(self.where):
            return asset_files(self.definition)


def saved_model_names(files: ModuleFiles) -> tuple[str, ...]:
    """Return which of saved_model.pb and .pbtxt are there; TensorFlow reads the first.

    Raises:
      NotAModuleError: neither is.
      UnsupportedFormatError: there is only the chunked form of models of more than 2 GiB.
    """
    names = tuple(name for name in (SAVED_MODEL, SAVED_MODEL_TEXT) if name in files.sizes)
    if not names:
        if _CHUNKED in files.sizes:
            raise UnsupportedFormatError(
                f"{files.where!r} holds {_CHUNKED!r}, TensorFlow's form for models of more than 2 GiB, which modhub "
                "does not read: save it again in a smaller form."
            )
        nested = [name for name in sorted(files.sizes) if PurePosixPath(name).name == SAVED_MODEL]
        if nested:
            inside = f"{files.where}/{PurePosixPath(nested[0]).parent}"
            raise NotAModuleError(f"{files.where!r} has no {SAVED_MODEL!r}. Did you mean {inside!r}?")
        shown = ", ".join(map(repr, sorted(files.sizes)[:5])) or "nothing"
        raise NotAModuleError(f"{files.where!r} has no {SAVED_MODEL!r}; it holds {shown}. Check the path.")
    return names


def read_meta_graphs(files: ModuleFiles, name: str | None = None) -> tuple[MetaGraph, ...]:
    """Read the meta graphs of a module or SavedModel.

    Nodes are read one by one, and large constants stay in the file, so that memory is that of names and signatures.

    Args:
      files: the files of the module.
      name: which file to read; None: the one that TensorFlow would.

    Returns:
      The meta graphs, in the order in which they are stored; no two have the same tags.

    Raises:
      NotAModuleError: there is no such file.
      CorruptModuleError: it is malformed, holds no graph, two for the same tags, or more than any module does.
      UnsupportedFormatError: it is in the chunked form.
    """
    name = saved_model_names(files)[0] if name is None else name
    where = f"{files.where}/{name}"
    budget = Budget()
    found: dict[frozenset[str], MetaGraph] = {}
    with unreadable(where):
        data = _encoded(files, name)
        for number, kind, start, end in fields(data):
            if (number, kind) != (_META_GRAPH, BYTES):
                continue
            meta_graph = _read(data, start, end, budget, where)
            if meta_graph.tags in found:
                raise ValueError(f"it holds two graph variants with the tags {show_tags(meta_graph.tags)}")
            found[meta_graph.tags] = meta_graph
        if not found:
            raise ValueError("it holds no graph")
    return tuple(found.values())


@contextmanager
def unreadable(where: str) -> Iterator[None]:
    """Turn what a malformed message raises into the error of modhub that names the file."""
    try:
        yield
    except (DecodeError, ValueError, RecursionError) as error:
        if isinstance(error, CorruptModuleError | UnsupportedFormatError | NotAModuleError):
            raise
        raise CorruptModuleError(f"Cannot parse {where!r}: {error}. Download or export the module again.") from error


def _encoded(files: ModuleFiles, name: str) -> Buffer:
    if name == SAVED_MODEL_TEXT:
        return bytes(parse_text(files.read(name, _MOST_TEXT_BYTES), SavedModel()).SerializeToString())
    return files.mapped(name)


def _read(data: Buffer, first: int, last: int, budget: Budget, where: str) -> MetaGraph:
    spans, rest, position = [], bytearray(), first
    for number, kind, start, end in fields(data, first, last):
        if (number, kind) == (_GRAPH, BYTES):
            spans.append((start, end))
        else:
            if len(rest) + end - position > _MOST_REST_BYTES:
                raise ValueError(f"a graph variant has more than {_MOST_REST_BYTES} bytes beside its graph")
            rest += data[position:end]
        position = end
    definition = MetaGraphDef.FromString(bytes(rest))
    tags = frozenset(definition.meta_info_def.tags)
    graph = read_graph(data, spans, budget)
    return MetaGraph(tags=tags, graph=graph, definition=definition, where=f"{where}, tags {show_tags(tags)}")
