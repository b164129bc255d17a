"""A small language that describes protocol buffer messages, and its parser: a line says what takes protoc a paragraph.

    # A comment is a line of its own. A line that starts with two spaces goes on with the one above.
    enum Colour: RED 0; BLUE 5
    Car: name 1 string; colours 2 Colour*; wheels 3 map<string,Car.Wheel>; fuel 4 float drive; cells 5 int32 drive;
      made 6 .google.protobuf.BoolValue
    Car.Wheel: radius 1 double
    enum Car.Gear: NEUTRAL 0; FIRST 1

A field is a name, a number and a type, and the name of its oneof if it is in one. `*` repeats a type; repeated numbers
are packed. Messages and enums are named from the package on, wherever they are used, and one that
lies in another comes after it; a name with a leading dot is of another package. An enum is of the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

__all__ = ["parse_schema"]

_OPTIONAL, _REPEATED = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
_SCALARS: Mapping[str, int] = MappingProxyType(
    {name.removeprefix("TYPE_").lower(): number for name, number in FieldDescriptorProto.Type.items()}
)
_NEVER_PACKED = frozenset(_SCALARS[name] for name in ("string", "bytes", "message"))


def parse_schema(
    text: str, *, name: str, package: str, imports: Iterable[str] = (), syntax: str = "proto3"
) -> FileDescriptorProto:
    """Return the description of a .proto file that a text in the language above gives.

    The text is ours, not a user's: a mistake in it is an error of Python here, or of protobuf in the descriptor pool.

    Args:
      text: the messages and enums.
      name: what the file is called in a descriptor pool.
      package: the package of its messages.
      imports: the names of the files with the messages of other packages, or of other texts.
      syntax: "proto3", or "proto2" for fields that know 0 from nothing.

    Returns:
      The description, of which a descriptor pool makes the messages.

    Example:
      >>> file = parse_schema("Size: height 1 int32; width 2 int32", name="size.proto", package="pictures")
      >>> [field.name for field in file.message_type[0].field]
      ['height', 'width']
    """
    file = FileDescriptorProto(name=name, package=package, syntax=syntax, dependency=imports)
    lines = [line for line in text.replace("\n  ", " ").splitlines() if line and not line.startswith("#")]
    enums = {line.partition(":")[0].removeprefix("enum ") for line in lines if line.startswith("enum ")}
    scopes: dict[str, Any] = {"": file}
    for line in lines:
        head, _, body = line.partition(":")
        items = [item.split() for item in body.split(";")] if body else []
        full_name = head.removeprefix("enum ")
        outer, _, own = full_name.rpartition(".")
        if full_name in enums:
            values = scopes[outer].enum_type.add(name=own).value
            for key, number in items:
                values.add(name=key, number=int(number))
        else:
            message = (scopes[outer].nested_type if outer else file.message_type).add(name=own)
            scopes[full_name] = message
            for item in items:
                _add_field(message, item, f"{package}.{full_name}", package, enums)
    return file


def _add_field(message: Any, item: list[str], full_name: str, package: str, enums: Set[str]) -> None:
    name, number, kind, *oneof = item
    repeated = kind.endswith("*")
    if kind.startswith("map<"):
        # On the wire, and so in a description, a map is a repeated message of a key and a value.
        entry = message.nested_type.add(name="".join(word.capitalize() for word in name.split("_")) + "Entry")
        entry.options.map_entry = True
        of_key, of_value = kind[4:-1].split(",")
        for part, at, of in (("key", 1, of_key), ("value", 2, of_value)):
            entry.field.add(name=part, number=at, label=_OPTIONAL, **_kind(of, package, enums))
        repeated, kind = True, f".{full_name}.{entry.name}"
    field = message.field.add(
        name=name,
        number=int(number),
        label=_REPEATED if repeated else _OPTIONAL,
        **_kind(kind.removesuffix("*"), package, enums),
    )
    if repeated and field.type not in _NEVER_PACKED:
        field.options.packed = True
    if oneof:
        names = [declared.name for declared in message.oneof_decl]
        if oneof[0] not in names:
            message.oneof_decl.add(name=oneof[0])
            names.append(oneof[0])
        field.oneof_index = names.index(oneof[0])


def _kind(kind: str, package: str, enums: Set[str]) -> dict[str, Any]:
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    return {
        "type": FieldDescriptorProto.TYPE_ENUM if kind in enums else FieldDescriptorProto.TYPE_MESSAGE,
        "type_name": kind if kind.startswith(".") else f".{package}.{kind}",
    }
