"""The protocol buffer messages of a module's files, in a descriptor pool of their own.

tensorflow and tensorflow_hub register messages of the same full names in the default pool, where a second definition
is an error. A private pool lets all of them live in one process, and needs no TensorFlow to read a module.

Field numbers and types are the wire facts of the TF1 Hub format and of TensorFlow's tensor bundles.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = [
    "BundleEntryProto",
    "BundleHeaderProto",
    "ImageModuleInfo",
    "ModuleAttachment",
    "ModuleDef",
    "TensorShapeProto",
    "TensorSliceProto",
    "VersionDef",
]

_Field = descriptor_pb2.FieldDescriptorProto
_INT32, _INT64, _FIXED32 = _Field.TYPE_INT32, _Field.TYPE_INT64, _Field.TYPE_FIXED32
_BOOL, _STRING, _BYTES = _Field.TYPE_BOOL, _Field.TYPE_STRING, _Field.TYPE_BYTES


def _field(number: int, name: str, kind: int | str, *, repeated: bool = False, enum: bool = False) -> Any:
    """Describe one field; a `str` kind is the full name of a message, or of an enum."""
    field = _Field(name=name, number=number, label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL)
    if isinstance(kind, str):
        field.type = _Field.TYPE_ENUM if enum else _Field.TYPE_MESSAGE
        field.type_name = f".{kind}"
    else:
        # The stubs give the enum a type of its own; at run time it is an int.
        field.type = kind  # type: ignore[assignment]
    return field


def _message(name: str, *fields: Any, nested: Any = None, enum: tuple[str, dict[str, int]] | None = None) -> Any:
    """Describe one message with at most one nested message and one nested enum."""
    message = descriptor_pb2.DescriptorProto(name=name, field=fields)
    if nested is not None:
        message.nested_type.append(nested)
    if enum is not None:
        values = [descriptor_pb2.EnumValueDescriptorProto(name=key, number=number) for key, number in enum[1].items()]
        message.enum_type.append(descriptor_pb2.EnumDescriptorProto(name=enum[0], value=values))
    return message


_HUB = [
    _message(
        "ModuleDef",
        _field(1, "format", "tensorflow_hub.ModuleDef.Format", enum=True),
        _field(2, "required_features", _STRING, repeated=True),
        enum=("Format", {"FORMAT_UNSPECIFIED": 0, "FORMAT_V3": 3}),
    ),
    _message("ModuleAttachment", _field(1, "key", _STRING), _field(2, "value", _BYTES)),
    _message(
        "ImageModuleInfo",
        _field(1, "default_image_size", "tensorflow_hub.ImageModuleInfo.InputSize"),
        nested=_message("InputSize", _field(1, "height", _INT32), _field(2, "width", _INT32)),
    ),
]

_EXTENT = _message("Extent", _field(1, "start", _INT64), _field(2, "length", _INT64))
# A oneof of one field: in proto3 it tells a length of 0 from no length, which means "the whole dimension".
_EXTENT.oneof_decl.add(name="has_length_hack")
_EXTENT.field[1].oneof_index = 0

_BUNDLE = [
    _message(
        "TensorShapeProto",
        _field(2, "dim", "tensorflow.TensorShapeProto.Dim", repeated=True),
        _field(3, "unknown_rank", _BOOL),
        nested=_message("Dim", _field(1, "size", _INT64), _field(2, "name", _STRING)),
    ),
    _message(
        "TensorSliceProto", _field(1, "extent", "tensorflow.TensorSliceProto.Extent", repeated=True), nested=_EXTENT
    ),
    _message(
        "VersionDef",
        _field(1, "producer", _INT32),
        _field(2, "min_consumer", _INT32),
        _field(3, "bad_consumers", _INT32, repeated=True),
    ),
    _message(
        "BundleHeaderProto",
        _field(1, "num_shards", _INT32),
        _field(2, "endianness", "tensorflow.BundleHeaderProto.Endianness", enum=True),
        _field(3, "version", "tensorflow.VersionDef"),
        enum=("Endianness", {"LITTLE": 0, "BIG": 1}),
    ),
    _message(
        "BundleEntryProto",
        # An enum on paper; an int32 has the same encoding and keeps numbers that this version does not know.
        _field(1, "dtype", _INT32),
        _field(2, "shape", "tensorflow.TensorShapeProto"),
        _field(3, "shard_id", _INT32),
        _field(4, "offset", _INT64),
        _field(5, "size", _INT64),
        _field(6, "crc32c", _FIXED32),
        _field(7, "slices", "tensorflow.TensorSliceProto", repeated=True),
    ),
]

_POOL = descriptor_pool.DescriptorPool()
for _package, _messages in (("tensorflow_hub", _HUB), ("tensorflow", _BUNDLE)):
    _POOL.AddSerializedFile(
        descriptor_pb2.FileDescriptorProto(
            name=f"modhub/format/{_package}.proto", package=_package, syntax="proto3", message_type=_messages
        ).SerializeToString()
    )


def _message_class(full_name: str) -> Any:
    """Return the class of a message. It is `Any` because its fields exist only at run time."""
    generated = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(full_name))
    # Pickle finds a class by its module, which would otherwise be derived from the name of the .proto file.
    generated.__module__ = __name__
    return generated


ModuleDef = _message_class("tensorflow_hub.ModuleDef")
ModuleAttachment = _message_class("tensorflow_hub.ModuleAttachment")
ImageModuleInfo = _message_class("tensorflow_hub.ImageModuleInfo")
BundleHeaderProto = _message_class("tensorflow.BundleHeaderProto")
BundleEntryProto = _message_class("tensorflow.BundleEntryProto")
TensorShapeProto = _message_class("tensorflow.TensorShapeProto")
TensorSliceProto = _message_class("tensorflow.TensorSliceProto")
VersionDef = _message_class("tensorflow.VersionDef")
