"""What a module is, before any of it is in a graph: its variants, and where its weights and assets lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modhub import errors
from modhub.format import Bundle, ModuleAttachment
from modhub.format.collections import ATTACHMENTS, asset_files, attached_messages, collection_items
from modhub.format.names import show_tags

__all__ = ["ModuleDescription", "Variant", "as_tag_set", "set_attachments"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """One graph variant of a module.

    Attributes:
      tags: its tags; the empty set is the variant for inference by convention.
      meta_graph: its MetaGraphDef, as published; never changed.
      source: the directory that it was read from; None for one that a module_fn of this process made.
      memo: what the engine has derived from it (the graph's index, plans), kept for the next call.
    """

    tags: frozenset[str]
    meta_graph: Any
    source: str | None = None
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"the graph variant with tags {show_tags(self.tags)} of {self.source or 'the module_fn'}"

    @property
    def signatures(self) -> Mapping[str, Any]:
        """SignatureDefs by name."""
        return self.meta_graph.signature_def  # type: ignore[no-any-return]

    def signature(self, name: str | None) -> tuple[str, Any]:
        """Return a signature's name (None means "default") and its SignatureDef.

        Raises:
          UnknownSignatureError: the variant lacks it.
        """
        name = "default" if name is None else name
        if not isinstance(name, str) or name not in self.signatures:
            raise errors.UnknownSignatureError(
                f"Signature {name!r} is missing from {self.where}. "
                + errors.accepted(name, self.signatures, "signatures")
            )
        return name, self.signatures[name]

    def collection(self, key: str) -> list[Any]:
        """Return a collection's items: names for a node list, bytes or messages for the other kinds."""
        return collection_items(self.meta_graph, key)

    def attachments(self) -> dict[str, bytes]:
        """Return the serialized attached messages by key."""
        return attached_messages(self.meta_graph)

    def assets(self) -> dict[str, str]:
        """Return the asset constants: name of the tensor -> file name below `assets/`."""
        return asset_files(self.meta_graph)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModuleDescription:
    """A module as published, or as a module_fn defines it.

    Attributes:
      variants: at least one, no two of the same tags.
      directory: where its assets lie; None for a module that was never written.
      weights: the checkpoint that its variables are read from; None: their own initializers apply.
    """

    variants: tuple[Variant, ...]
    directory: Path | None = None
    weights: Bundle | None = None

    def variant(self, tags: Iterable[str] | None) -> Variant:
        """Return the variant that has exactly these tags.

        Raises:
          InvalidArgumentError: `tags` is a string, or no iterable of strings.
          UnknownVariantError: there is no such variant.
        """
        wanted = as_tag_set(tags)
        for variant in self.variants:
            if variant.tags == wanted:
                return variant
        known = [show_tags(variant.tags) for variant in self.variants]
        raise errors.UnknownVariantError(
            f"No such graph variant: tags={show_tags(wanted)}. "
            + errors.accepted(show_tags(wanted), known, "tag sets", show=str)
        )

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.variants)


def set_attachments(meta_graph: Any, messages: Mapping[str, bytes]) -> None:
    """Store serialized attached messages, by key, in a MetaGraphDef."""
    for key, value in messages.items():
        item = ModuleAttachment(key=key, value=value)
        meta_graph.collection_def[ATTACHMENTS].bytes_list.value.append(item.SerializeToString())


def as_tag_set(tags: Iterable[str] | None) -> frozenset[str]:
    """Return tags as a set.

    Raises:
      InvalidArgumentError: they are a string, or no iterable of strings.
    """
    if isinstance(tags, str | bytes):
        raise errors.InvalidArgumentError(
            f"tags={tags!r} is a string, where a set of strings is expected: write tags={{{tags!r}}}."
        )
    try:
        wanted = frozenset(tags or ())
    except TypeError as error:
        raise errors.InvalidArgumentError(f"tags={tags!r} is not a set of strings.") from error
    if not all(isinstance(tag, str) for tag in wanted):
        raise errors.InvalidArgumentError(f"tags={tags!r} holds something else than strings.")
    return wanted
