"""The reader of saved_model.pb, and a check of its constants before TensorFlow expands them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from modhub.errors import CorruptModuleError, NotAModuleError
from modhub.format.dtypes import ITEM_BYTES, RESOURCE, STRING, VARIANT, element_count
from modhub.format.layout import SAVED_MODEL

__all__ = ["MAX_CONSTANT_BYTES", "check_constants", "check_tensor", "read_saved_model"]

MAX_CONSTANT_BYTES = 256 * 2**20

MessageT = TypeVar("MessageT", bound=Message)

# The field of a TensorProto that holds the values of a type, and how many of its items make an element.
_VALUES: dict[int, tuple[str, int]] = (
    {1: ("float_val", 1), 2: ("double_val", 1), 9: ("int64_val", 1), 10: ("bool_val", 1)}
    | {8: ("scomplex_val", 2), 18: ("dcomplex_val", 2), 22: ("uint32_val", 1), 23: ("uint64_val", 1)}
    | dict.fromkeys((3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 29, 30, 31, 32), ("int_val", 1))
    | dict.fromkeys((14, 19), ("half_val", 1))
    | dict.fromkeys((24, 25, 26, 27, 28, 33), ("float8_val", 1))
    | {STRING: ("string_val", 1), RESOURCE: ("resource_handle_val", 1), VARIANT: ("variant_val", 1)}
)

# What an element of the other types, strings and handles, takes in memory at the least.
_OBJECT_BYTES = 24


def read_saved_model(directory: Path, message_class: type[MessageT]) -> MessageT:
    """Read `saved_model.pb`.

    Args:
      directory: the module directory.
      message_class: the class to read into, a `tensorflow.SavedModel` of any descriptor pool.

    Returns:
      The message: one meta graph or more, no two for the same set of tags.

    Raises:
      NotAModuleError: there is no such file.
      CorruptModuleError: it does not parse, or holds no meta graph, or two with the same tags.
    """
    path = directory / SAVED_MODEL
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        text = path.with_suffix(".pbtxt")
        hint = f" There is {text.name!r}, the text form, which modules do not use." if text.exists() else ""
        raise NotAModuleError(f"{str(path)!r} does not exist.{hint}") from error
    except IsADirectoryError as error:
        raise CorruptModuleError(f"{str(path)!r} is a directory; a module has a file there.") from error
    saved_model = message_class()
    try:
        saved_model.ParseFromString(data)
    except DecodeError as error:
        raise CorruptModuleError(f"Cannot parse file {str(path)!r}: {error}.") from error
    _check_tags(saved_model, path)
    return saved_model


def check_constants(graph_def: Any, where: str) -> None:
    """Check that the constants of a graph hold what they declare.

    A constant of a few bytes can declare any shape, and TensorFlow allocates it in full when it imports the graph. The
    default attributes that a GraphDef lacks are not its matter.

    Args:
      graph_def: a `tensorflow.GraphDef` of any descriptor pool.
      where: the name of the file, for messages.

    Raises:
      CorruptModuleError: a shape is impossible, its values are missing or too many, or a constant that is stored
        compressed would take more than `MAX_CONSTANT_BYTES`.
    """
    for name, tensor in _tensors(graph_def):
        try:
            check_tensor(tensor)
        except ValueError as error:
            raise CorruptModuleError(f"{where!r}: the constant of node {name!r} has {error}.") from error


def _check_tags(saved_model: Any, path: Path) -> None:
    seen: set[frozenset[str]] = set()
    for meta_graph in saved_model.meta_graphs:
        tags = frozenset(meta_graph.meta_info_def.tags)
        if tags in seen:
            raise CorruptModuleError(f"{str(path)!r} holds two graph variants with the tags {sorted(tags)!r}.")
        seen.add(tags)
    if not seen:
        raise CorruptModuleError(f"{str(path)!r} holds no graph. Download or export the module again.")


def _tensors(graph_def: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in a graph with the names of their nodes."""
    for node in graph_def.node:
        # Reading an attribute costs more than reading the op, and there are thousands of nodes.
        if node.op == "Const":
            if "value" not in node.attr:
                raise CorruptModuleError(f"The constant {node.name!r} has no value.")
            yield node.name, node.attr["value"].tensor
    for function in graph_def.library.function:
        for node in function.node_def:
            yield from _attribute_tensors(f"{function.signature.name}/{node.name}", node.attr.values())


def _attribute_tensors(name: str, attributes: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for attribute in attributes:
        kind = attribute.WhichOneof("value")
        if kind == "tensor":
            yield name, attribute.tensor
        elif kind == "list":
            for tensor in attribute.list.tensor:
                yield name, tensor


def check_tensor(tensor: Any) -> None:
    """Check that a constant holds what it declares.

    Raises:
      ValueError: its shape is impossible, its values are missing or too many, or it would unpack to too much.
    """
    shape = tensor.tensor_shape
    if shape.unknown_rank:
        raise ValueError("no shape")
    count = element_count(tuple([dim.size for dim in shape.dim]))
    item = ITEM_BYTES.get(tensor.dtype)
    if tensor.tensor_content:
        held = len(tensor.tensor_content)
        # Of strings, each takes a byte or more for its length.
        if (held != count * item) if item is not None else (held < count):
            raise ValueError(f"{held} bytes for {count} elements of type {tensor.dtype}")
        return
    if tensor.dtype not in _VALUES:
        raise ValueError(f"the type number {tensor.dtype}, which modhub does not know")
    field, width = _VALUES[tensor.dtype]
    held, rest = divmod(len(getattr(tensor, field, ())), width)
    if rest or held > count:
        raise ValueError(f"{held} values for {count} elements")
    if held < count and count * (item or _OBJECT_BYTES) > MAX_CONSTANT_BYTES:
        raise ValueError(f"{held} values for {count} elements, which take more than {MAX_CONSTANT_BYTES} bytes")
