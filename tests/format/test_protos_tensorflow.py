from __future__ import annotations

from typing import Any

import pytest

from modhub.format import protos

pytest.importorskip("tensorflow")

from tensorflow.core.framework import tensor_shape_pb2, tensor_slice_pb2, versions_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2


@pytest.mark.parametrize(
    "original",
    [
        tensor_bundle_pb2.BundleHeaderProto,
        tensor_bundle_pb2.BundleEntryProto,
        tensor_shape_pb2.TensorShapeProto,
        tensor_slice_pb2.TensorSliceProto,
        versions_pb2.VersionDef,
    ],
)
def test_the_fields_are_those_of_tensorflow(original: Any) -> None:
    assert _fields(getattr(protos, original.__name__).DESCRIPTOR) == _fields(original.DESCRIPTOR)


def _fields(descriptor: Any) -> dict[str, object]:
    """Name, number and type of each field, and of the messages below."""
    fields = {}
    for field in descriptor.fields:
        # An enum is an int32 on the wire, and one of ours is declared as that.
        kind = field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type
        below = _fields(field.message_type) if field.message_type else None
        fields[field.name] = (field.number, kind, field.has_presence, below)
    return fields
