"""The protocol buffer messages of a module's files, in a descriptor pool of their own.

tensorflow and tensorflow_hub register messages of the same full names in the default pool, where a second definition
is an error. A private pool lets all of them live in one process, and needs no TensorFlow to read a module.

Field numbers and types are the wire facts of the TF1 Hub format and of TensorFlow's tensor bundles, below, and of
SavedModels, in `schema.txt`. Each top-level message of these is an attribute of this module; the first use of one of
`schema.txt` builds all of them, so that who reads no graph does not wait for them.
"""

from __future__ import annotations

import copyreg
import threading
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, EncodeError, Message

from modhub.format.schema import parse_schema

__all__ = [  # noqa: F822 - the messages are defined below, by name
    "AssetFileDef",
    "AttrValue",
    "BundleEntryProto",
    "BundleHeaderProto",
    "CollectionDef",
    "CondContextDef",
    "FunctionDef",
    "GraphDef",
    "ImageModuleInfo",
    "MetaGraphDef",
    "ModuleAttachment",
    "ModuleDef",
    "NodeDef",
    "SavedModel",
    "SavedObjectGraph",
    "SaverDef",
    "SignatureDef",
    "TensorInfo",
    "TensorProto",
    "TensorShapeProto",
    "TensorSliceProto",
    "TrackableObjectGraph",
    "VariableDef",
    "VersionDef",
    "WhileContextDef",
    "parse_text",
]

MessageT = TypeVar("MessageT", bound=Message)

_HUB = """
ModuleDef: format 1 ModuleDef.Format; required_features 2 string*
enum ModuleDef.Format: FORMAT_UNSPECIFIED 0; FORMAT_V3 3
ModuleAttachment: key 1 string; value 2 bytes
ImageModuleInfo: default_image_size 1 ImageModuleInfo.InputSize
ImageModuleInfo.InputSize: height 1 int32; width 2 int32
"""

# A oneof of one field, in proto3, tells a length of 0 from no length, which means "the whole dimension". The dtype of
# an entry is an enum on paper; an int32 has the same encoding, and needs none of schema.txt.
_BUNDLE = """
TensorShapeProto: dim 2 TensorShapeProto.Dim*; unknown_rank 3 bool
TensorShapeProto.Dim: size 1 int64; name 2 string
TensorSliceProto: extent 1 TensorSliceProto.Extent*
TensorSliceProto.Extent: start 1 int64; length 2 int64 has_length_hack
VersionDef: producer 1 int32; min_consumer 2 int32; bad_consumers 3 int32*
BundleHeaderProto: num_shards 1 int32; endianness 2 BundleHeaderProto.Endianness; version 3 VersionDef
enum BundleHeaderProto.Endianness: LITTLE 0; BIG 1
BundleEntryProto: dtype 1 int32; shape 2 TensorShapeProto; shard_id 3 int32; offset 4 int64; size 5 int64;
  crc32c 6 fixed32; slices 7 TensorSliceProto*
"""

# The one file in proto2, which knows a line 0 from no line, and whose strings may be any bytes.
_DEBUG_INFO = """
GraphDebugInfo: files 1 string*; frames_by_id 4 map<fixed64,GraphDebugInfo.FileLineCol>;
  traces_by_id 6 map<fixed64,GraphDebugInfo.StackTrace>; traces 2 map<string,GraphDebugInfo.StackTrace>;
  name_to_trace_id 5 map<string,fixed64>
GraphDebugInfo.FileLineCol: file_index 1 int32; line 2 int32; col 3 int32; func 4 string; code 5 string
GraphDebugInfo.StackTrace: file_line_cols 1 GraphDebugInfo.FileLineCol*; frame_id 2 fixed64*
"""

_BUNDLE_FILE = "modhub/format/bundle.proto"
_DEBUG_INFO_FILE = "modhub/format/debug_info.proto"

_SHOWN = 150  # characters of the start and of the end of a parser's message, which may quote a whole line

_POOL = descriptor_pool.DescriptorPool()
_LOCK = threading.Lock()


def parse_text(data: bytes | str, message: MessageT) -> MessageT:
    """Fill a message from its text format, such as `saved_model.pbtxt`.

    A field or enum name that the messages here lack is an error: what is left out cannot be checked. An `Any` may hold
    any message of this module in the expanded form.

    Args:
      data: the text, in UTF-8 if it is bytes. The caller limits its size: a MB of a graph takes some 0.3 s and 10 MB of
        memory, and of a hostile text 2 s and 50 MB.
      message: an empty message of this module.

    Returns:
      The same message.

    Raises:
      ValueError: the text is no such message, or one that the binary format cannot hold (nested too deeply).

    Example:
      >>> from modhub.format import protos
      >>> protos.parse_text('node { name: "x" op: "Placeholder" }', protos.GraphDef()).node[0].op
      'Placeholder'
    """
    from google.protobuf import text_format

    try:
        # A str may hold half a surrogate pair, which protobuf looks up with a SystemError; bytes may not.
        text = data.decode() if isinstance(data, bytes) else data.encode().decode()
        text_format.Parse(text, message, descriptor_pool=_POOL)
        # The text may nest some 300 messages, the binary format 100: what is read here can be written, and read again.
        type(message).FromString(message.SerializeToString())
    except (RecursionError, EncodeError, DecodeError) as error:
        raise ValueError("its messages are nested too deeply") from error
    except (text_format.Error, ValueError) as error:
        said = str(error)
        raise ValueError(said if len(said) <= 2 * _SHOWN else f"{said[:_SHOWN]}...{said[-_SHOWN:]}") from error
    return message


def __getattr__(name: str) -> Any:
    # Python and its tools ask every module for names such as `__path__`.
    if not name.startswith("_"):
        # Two threads may come at once, and a pool takes a file once.
        with _LOCK:
            if "SavedModel" not in globals():
                _define_saved_model()
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _define_saved_model() -> None:
    """Add the messages of `schema.txt` to the pool and to this module."""
    from google.protobuf import any_pb2, wrappers_pb2

    for well_known in (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR):
        _POOL.AddSerializedFile(well_known.serialized_pb)
    text = Path(__file__).with_name("schema.txt").read_text(encoding="utf-8")
    imports = (any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name, _BUNDLE_FILE, _DEBUG_INFO_FILE)
    _define(_DEBUG_INFO, name=_DEBUG_INFO_FILE, package="tensorflow", syntax="proto2")
    _define(text, name="modhub/format/saved_model.proto", package="tensorflow", imports=imports)


def _define(text: str, *, name: str, package: str, imports: tuple[str, ...] = (), syntax: str = "proto3") -> None:
    """Add the messages of a schema to the pool and to this module."""
    file = parse_schema(text, name=name, package=package, imports=imports, syntax=syntax)
    _POOL.AddSerializedFile(file.SerializeToString())
    messages = {message.name: _POOL.FindMessageTypeByName(f"{package}.{message.name}") for message in file.message_type}
    globals().update({own: _message_class(descriptor, own) for own, descriptor in messages.items()})


def _message_class(descriptor: Any, qualified_name: str) -> Any:
    """Return the class of a message. It is `Any` because its fields exist only at run time."""
    generated: Any = message_factory.GetMessageClass(descriptor)
    # Pickle finds a class by its module and name; the module would otherwise be that of a generated file.
    generated.__module__ = __name__
    generated.__qualname__ = qualified_name
    if descriptor.containing_type is not None:
        copyreg.pickle(generated, _reduced)
    for nested in descriptor.nested_types:
        if not nested.GetOptions().map_entry:
            _message_class(nested, f"{qualified_name}.{nested.name}")
    return generated


def _reduced(message: Any) -> tuple[Any, ...]:
    """Say how a nested message is pickled: as others are; protobuf would look its class up in the default pool."""
    return type(message), (), message.__getstate__()


_define(_HUB, name="modhub/format/hub.proto", package="tensorflow_hub")
_define(_BUNDLE, name=_BUNDLE_FILE, package="tensorflow")
