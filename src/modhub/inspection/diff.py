"""`hub.diff`: in what two modules differ, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from modhub.format.names import show_tags
from modhub.inspection.contents import Contents, open_module
from modhub.inspection.description import Inspection, SignatureDescription, VariableDescription
from modhub.inspection.diff_contents import changed_files, changed_nodes, compare_values
from modhub.inspection.inspect import describe

__all__ = ["Change", "Difference", "diff"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing in which two modules differ.

    Attributes:
      what: "format", "variant", "signature", "method", "input", "output", "variable", "values", "asset", "file",
        "attachment", "collection", "trainable", "op", "function", "function op", "node" or "version".
      name: of what it is.
      tags: of the variant that it is in; None for what all variants share.
      signature: the signature that it is in, of inputs and outputs; else None.
      a: what the first module has there, in words; None where it has nothing.
      b: what the second has.
      unequal: of "values", how many elements differ.
      max_abs_difference: of "values" that are numbers, the greatest difference of two elements; infinite where only one
        of them is finite, or one is NaN and the other is not.
    """

    what: str
    name: str
    tags: tuple[str, ...] | None = None
    signature: str | None = None
    a: str | None = None
    b: str | None = None
    unequal: int | None = None
    max_abs_difference: float | None = None

    @property
    def place(self) -> str:
        """Where it is, in words: "variant {'train'}, signature 'default', input 'x'"."""
        parts = [] if self.tags is None else [f"variant {show_tags(self.tags)}"]
        if self.signature is not None:
            parts.append(f"signature {self.signature!r}")
        if self.what != "variant":
            parts.append(f"{self.what} {self.name!r}" if self.name else self.what)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """In what two modules differ.

    Attributes:
      a: the handle of the first.
      b: the handle of the second.
      changes: in the order: format, variants and what is in them, variables, assets, other files.
      compared_values: whether the values of variables were compared.
    """

    a: str
    b: str
    changes: tuple[Change, ...]
    compared_values: bool

    @property
    def same(self) -> bool:
        """Whether they differ in nothing that was compared."""
        return not self.changes

    def of(self, *what: str) -> tuple[Change, ...]:
        """Return the changes of some kinds: `found.of("input", "output")`."""
        return tuple([change for change in self.changes if change.what in what])


def diff(a: str | os.PathLike[str], b: str | os.PathLike[str], *, values: bool = True) -> Difference:
    """Compare two modules or SavedModels, without TensorFlow.

    Compared are formats, variants by their tags, signatures, collections' sizes, attachments, ops and functions by
    their numbers, each node of the graphs that has the same name in both, variables by name, and files by their
    contents. Two values are equal where their elements are: a NaN equals a NaN at the same place, whatever its bits,
    and -0.0 equals 0.0; strings are equal byte by byte.

    Args:
      a: a directory, or a tar archive.
      b: another one.
      values: whether to compare the values of variables, which reads both checkpoints.

    Raises:
      HandleNotFoundError, NotAModuleError, CorruptModuleError, UnsupportedFormatError: of either, as for `inspect`
        and `Inspection.read_variable`.

    Example:
      >>> diff("no/such/module", ".")
      Traceback (most recent call last):
      modhub.errors.HandleNotFoundError: 'no/such/module' does not exist. ...
    """
    one, other = open_module(a), open_module(b)
    first, second = describe(one), describe(other)
    changes = [
        *_texts("format", {"": first.format}, {"": second.format}),
        *_variants(one, first, other, second),
        *_variables(first, second, values),
        *(
            Change(what=what, name=name, a=left, b=right)
            for what, name, left, right in changed_files(one.files, other.files)
        ),
    ]
    return Difference(a=first.handle, b=second.handle, changes=tuple(changes), compared_values=values)


def _texts(
    what: str,
    a: Mapping[str, T],
    b: Mapping[str, T],
    show: Callable[[T], str] = str,
    *,
    tags: tuple[str, ...] | None = None,
    signature: str | None = None,
) -> Iterator[Change]:
    """Yield what is in one of two mappings only, or is another value in the other."""
    for name in sorted({*a, *b}):
        left, right = a.get(name), b.get(name)
        if left != right:
            yield Change(
                what=what,
                name=name,
                tags=tags,
                signature=signature,
                a=None if left is None else show(left),
                b=None if right is None else show(right),
            )


def _variants(one: Contents, first: Inspection, other: Contents, second: Inspection) -> Iterator[Change]:
    left = {variant.tags: (variant, graph) for variant, graph in zip(first.variants, one.meta_graphs, strict=True)}
    right = {variant.tags: (variant, graph) for variant, graph in zip(second.variants, other.meta_graphs, strict=True)}
    for tags in sorted({*left, *right}):
        if tags not in left or tags not in right:
            yield Change(
                what="variant",
                name=show_tags(tags),
                tags=tags,
                a="present" if tags in left else None,
                b="present" if tags in right else None,
            )
            continue
        (a, graph_of_a), (b, graph_of_b) = left[tags], right[tags]
        yield from _signatures(tags, a.signatures, b.signatures)
        yield from _texts("collection", a.collections, b.collections, tags=tags)
        yield from _texts(
            "trainable", dict.fromkeys(a.trainable, "trainable"), dict.fromkeys(b.trainable, "trainable"), tags=tags
        )
        raw_of_a, raw_of_b = ({each.key: each.raw for each in variant.attachments} for variant in (a, b))
        yield from _texts("attachment", raw_of_a, raw_of_b, _shown_bytes, tags=tags)
        yield from _texts("op", a.ops, b.ops, tags=tags)
        yield from _texts("function", a.functions, b.functions, lambda nodes: f"{nodes} nodes", tags=tags)
        yield from _texts("function op", a.function_ops, b.function_ops, tags=tags)
        for name, before, after in changed_nodes(graph_of_a.graph, graph_of_b.graph):
            yield Change(what="node", name=name, tags=tags, a=before, b=after)
        versions_of_a, versions_of_b = (
            {
                "producer": str(variant.producer),
                "min_consumer": str(variant.min_consumer),
                "tensorflow_version": variant.tensorflow_version,
            }
            for variant in (a, b)
        )
        yield from _texts("version", versions_of_a, versions_of_b, tags=tags)


def _signatures(
    tags: tuple[str, ...], a: Sequence[SignatureDescription], b: Sequence[SignatureDescription]
) -> Iterator[Change]:
    left, right = ({signature.name: signature for signature in signatures} for signatures in (a, b))
    for name in sorted({*left, *right}):
        if name not in left or name not in right:
            yield Change(
                what="signature",
                name=name,
                tags=tags,
                a="present" if name in left else None,
                b="present" if name in right else None,
            )
            continue
        one, other = left[name], right[name]
        for what in ("input", "output"):
            of_one, of_other = (
                {tensor.name: str(tensor) + (", optional" if tensor.optional else "") for tensor in tensors}
                for tensors in (getattr(one, f"{what}s"), getattr(other, f"{what}s"))
            )
            yield from _texts(what, of_one, of_other, tags=tags, signature=name)
        yield from _texts("method", {"": one.method_name}, {"": other.method_name}, tags=tags, signature=name)


def _variables(first: Inspection, second: Inspection, values: bool) -> Iterator[Change]:
    left, right = ({variable.name: variable for variable in each.variables} for each in (first, second))
    alike = [
        name
        for name in sorted({*left} & {*right})
        if (left[name].dtype, left[name].shape) == (right[name].dtype, right[name].shape)
    ]
    yield from _texts(
        "variable",
        {name: _shown(variable) for name, variable in left.items()},
        {name: _shown(variable) for name, variable in right.items()},
    )
    if not values:
        return
    pairs: Any = zip(first.read_variables(alike), second.read_variables(alike), strict=True)
    for (name, one), (_, other) in pairs:
        unequal, greatest = compare_values(one, other)
        if unequal:
            yield Change(
                what="values",
                name=name,
                a=_shown(left[name]),
                b=_shown(right[name]),
                unequal=unequal,
                max_abs_difference=greatest,
            )


def _shown(variable: VariableDescription) -> str:
    partitions = f" in {len(variable.partitions)} partitions" if variable.partitions else ""
    return f"{variable.dtype} {list(variable.shape)}{partitions}"


def _shown_bytes(raw: bytes) -> str:
    return f"{len(raw)} bytes, {raw[:24]!r}{'...' if len(raw) > 24 else ''}"
