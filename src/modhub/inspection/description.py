"""What `hub.inspect` returns: a module described in values of Python, none of them TensorFlow's."""

from __future__ import annotations

import bisect
import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modhub.errors import (
    InvalidArgumentError,
    UnknownSignatureError,
    UnknownVariableError,
    UnknownVariantError,
    accepted,
)
from modhub.format import Bundle, Slice
from modhub.format.files import ModuleFiles
from modhub.format.names import show_tags

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from modhub.format.statistics import VariableStatistics

__all__ = [
    "AssetDescription",
    "AttachmentDescription",
    "Inspection",
    "SignatureDescription",
    "TensorDescription",
    "VariableDescription",
    "VariantDescription",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDescription:
    """An input or output of a signature.

    Attributes:
      name: its key in the signature.
      kind: "dense", "sparse", "ragged", or the name of another composite tensor's type.
      dtype: of its elements, as TensorFlow calls it: "float32", "string".
      shape: the static sizes, None where a size is not fixed; None where not even the rank is.
      tensors: the names of the tensors in the graph that it is made of.
      optional: whether it is an input that may be left out, since the graph has a value for it.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int | None, ...] | None
    tensors: tuple[str, ...]
    optional: bool = False

    def __str__(self) -> str:
        """Return what fits it, in one line: "float32 [?, 2]", "sparse int64 [?, ?]", "string, any shape"."""
        kind = "" if self.kind == "dense" else f"{self.kind} "
        if self.shape is None:
            return f"{kind}{self.dtype}, any shape"
        return f"{kind}{self.dtype} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureDescription:
    """A signature of a graph variant.

    Attributes:
      name: its name.
      inputs: sorted by name.
      outputs: sorted by name.
      method_name: what serving systems call the method; empty in modules.
    """

    name: str
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    method_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableDescription:
    """A variable, as the checkpoint holds it.

    Attributes:
      name: its name in the checkpoint; of a TF2 SavedModel the path of attributes that leads to it.
      dtype: of its elements.
      shape: of the whole variable.
      bytes: what its values take in the file.
      partitions: of a partitioned variable its slices, each with (start, length) per dimension; else empty.
      trainable: whether any variant declares it trainable; None where no variant declares the variable.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    partitions: tuple[Slice, ...]
    trainable: bool | None

    @property
    def elements(self) -> int:
        """The number of its elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDescription:
    """A file below `assets/`.

    Attributes:
      name: its path below `assets/`.
      bytes: its size; None where the graph names a file that is missing.
      used_by: the tags of the variants that name it.
    """

    name: str
    bytes: int | None
    used_by: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentDescription:
    """A message attached to a variant.

    Attributes:
      key: its key.
      bytes: the size of the serialized message.
      value: what it says, decoded: of "image_module_info" {"default_image_size": {"height", "width"}}; of others the
        text if it is text, else None, since the message's type is the publisher's own.
      raw: the serialized message.
    """

    key: str
    bytes: int
    value: Any
    raw: builtins.bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VariantDescription:
    """A graph variant. Its repr is one line; the attributes, of which there may be thousands of items, have the rest.

    Attributes:
      tags: its tags, sorted.
      signatures: sorted by name.
      collections: name of a collection -> the number of its items.
      variables: the names of its variables in the checkpoint, sorted.
      trainable: the names of those that are trainable, sorted.
      regularization_losses: the tensors of the collection REGULARIZATION_LOSSES.
      update_ops: the ops or tensors of the collection UPDATE_OPS.
      assets: the names of its assets, sorted.
      attachments: sorted by key.
      ops: name of an op -> how many nodes of the graph have it.
      functions: name of a function of the library -> the number of its nodes.
      function_ops: name of an op -> how many nodes of functions have it.
      producer: the version of GraphDefs that its writer made.
      min_consumer: the version that a reader must know.
      tensorflow_version: of the writer, where it is recorded.
    """

    tags: tuple[str, ...]
    signatures: tuple[SignatureDescription, ...]
    collections: Mapping[str, int]
    variables: tuple[str, ...]
    trainable: tuple[str, ...]
    regularization_losses: tuple[str, ...]
    update_ops: tuple[str, ...]
    assets: tuple[str, ...]
    attachments: tuple[AttachmentDescription, ...]
    ops: Mapping[str, int]
    functions: Mapping[str, int]
    function_ops: Mapping[str, int]
    producer: int
    min_consumer: int
    tensorflow_version: str

    def __repr__(self) -> str:
        """Return which variant it is, and how large."""
        return (
            f"<VariantDescription tags={show_tags(self.tags)} signatures={len(self.signatures)} "
            f"nodes={sum(self.ops.values())} functions={len(self.functions)} variables={len(self.variables)}>"
        )

    def signature(self, name: str = "default") -> SignatureDescription:
        """Return a signature.

        Raises:
          UnknownSignatureError: the variant lacks it.
        """
        for signature in self.signatures:
            if signature.name == name:
                return signature
        known = [signature.name for signature in self.signatures]
        raise UnknownSignatureError(
            f"Signature {name!r} is missing from the graph variant with tags {show_tags(self.tags)}. "
            + accepted(name, known, "signatures")
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Inspection:
    """A module or SavedModel, described. Its repr is one line; the attributes have the rest.

    Attributes:
      handle: what was inspected.
      format: "TF1 Hub module", "TF1 SavedModel" or "TF2 SavedModel".
      variants: in the order in which they are stored.
      variables: sorted by name.
      assets: sorted by name.
      files: path of a file, relative to the module -> its size in bytes.
    """

    handle: str
    format: str
    variants: tuple[VariantDescription, ...]
    variables: tuple[VariableDescription, ...]
    assets: tuple[AssetDescription, ...]
    files: Mapping[str, int]
    _files: ModuleFiles = field(repr=False, compare=False)
    _bundle: Bundle | None = field(repr=False, compare=False)

    def __repr__(self) -> str:
        """Return what was inspected, and how much there is of what."""
        return (
            f"<Inspection handle={self.handle!r} format={self.format!r} variants={len(self.variants)} "
            f"variables={len(self.variables)} assets={len(self.assets)} files={len(self.files)}>"
        )

    @property
    def bytes(self) -> int:
        """The size of all files, in bytes."""
        return sum(self.files.values())

    def variant(self, *tags: str) -> VariantDescription:
        """Return the variant that has exactly these tags: `variant("train")`, `variant()` for that without any.

        Raises:
          UnknownVariantError: there is none.
          InvalidArgumentError: a tag is no string.
        """
        if not all(isinstance(tag, str) for tag in tags):
            raise InvalidArgumentError(
                f"variant() takes tags as strings, one by one, and not {', '.join(map(repr, tags))}: "
                "variant('train'), variant(*tags), or variant() for the variant without tags."
            )
        wanted = tuple(sorted(tags))
        for variant in self.variants:
            if variant.tags == wanted:
                return variant
        known = [show_tags(variant.tags) for variant in self.variants]
        raise UnknownVariantError(
            f"No such graph variant: tags={show_tags(wanted)}. "
            + accepted(show_tags(wanted), known, "tag sets", show=str)
        )

    def variable(self, name: str) -> VariableDescription:
        """Return a variable.

        Raises:
          UnknownVariableError: there is none of this name.
          InvalidArgumentError: the name is no string.
        """
        if not isinstance(name, str):
            raise InvalidArgumentError(f"A variable is named by a string, and not {name!r}.")
        at = bisect.bisect_left(self.variables, name, key=lambda variable: variable.name)
        if at < len(self.variables) and self.variables[at].name == name:
            return self.variables[at]
        known = [variable.name for variable in self.variables]
        raise UnknownVariableError(f"{self.handle!r} has no variable {name!r}. " + accepted(name, known, "variables"))

    def read_variable(self, name: str) -> npt.NDArray[np.generic]:
        """Return the published value of a variable; its checksum is verified first.

        Args:
          name: the variable's name.

        Returns:
          An array of its dtype and shape, read-only. Of a module in a directory it is a view of the mapped file, but
          for partitioned variables and strings, which are copies.

        Raises:
          UnknownVariableError: there is none of this name.
          CorruptModuleError: its bytes are not those that were published.
          UnsupportedFormatError: its type needs the package ml_dtypes, or is not known.
        """
        from modhub.format.values import read_value

        self.variable(name)
        assert self._bundle is not None  # it has the variable
        return read_value(self._files, self._bundle, checkpoint_key(name, self._bundle))

    def read_variables(self, names: Iterable[str] | None = None) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
        """Yield names and published values, as `read_variable` does; an archive is gone through once for all of them.

        Args:
          names: of variables, as a list or another iterable; None for all.
        """
        from modhub.format.values import read_values

        if isinstance(names, str):
            raise InvalidArgumentError(f"read_variables() takes a list of names, and not {names!r}: pass [{names!r}].")
        wanted = [variable.name for variable in self.variables] if names is None else list(names)
        for name in wanted:
            self.variable(name)
        if self._bundle is not None:
            keys = [checkpoint_key(name, self._bundle) for name in wanted]
            for name, (_, value) in zip(wanted, read_values(self._files, self._bundle, keys), strict=True):
                yield name, value

    def statistics(self, name: str) -> VariableStatistics:
        """Return minimum, maximum, mean and the like of a variable's published value; errors as `read_variable`."""
        from modhub.format.statistics import statistics

        return statistics(self.read_variable(name))


_TF2_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def checkpoint_key(name: str, bundle: Bundle) -> str:
    """Return the key in the checkpoint of a variable by the name that is shown for it."""
    return name if name in bundle.entries else name + _TF2_SUFFIX


def shown_name(key: str, bundle: Bundle) -> str:
    """Return the name that is shown for a variable, by its key in the checkpoint; no two keys share one."""
    short = key.removesuffix(_TF2_SUFFIX)
    return key if short in bundle.entries else short
