from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from google.protobuf import descriptor_pool

from modhub.format import ImageModuleInfo, ModuleAttachment, ModuleDef, protos


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (ModuleDef(format=3), b"\x08\x03"),
        (ModuleDef(format=3, required_features=["a", "bc"]), b"\x08\x03\x12\x01a\x12\x02bc"),
        (ModuleAttachment(key="k", value=b"\x00\xff"), b"\x0a\x01k\x12\x02\x00\xff"),
        (ImageModuleInfo(default_image_size={"height": 299, "width": 300}), b"\x0a\x06\x08\xab\x02\x10\xac\x02"),
        (ImageModuleInfo(default_image_size={}), b"\x0a\x00"),
        (protos.BundleHeaderProto(num_shards=1, version={"producer": 1}), b"\x08\x01\x1a\x02\x08\x01"),
        (
            protos.BundleHeaderProto(endianness=1, version={"min_consumer": 2, "bad_consumers": [3]}),
            b"\x10\x01\x1a\x05\x10\x02\x1a\x01\x03",
        ),
        (
            protos.BundleEntryProto(dtype=1, shape={"dim": [{"size": 2}]}, shard_id=1, offset=2, size=8, crc32c=5),
            b"\x08\x01\x12\x04\x12\x02\x08\x02\x18\x01\x20\x02\x28\x08\x35\x05\x00\x00\x00",
        ),
        (
            protos.BundleEntryProto(slices=[{"extent": [{"start": 2, "length": 0}, {}]}]),
            b"\x3a\x08\x0a\x04\x08\x02\x10\x00\x0a\x00",
        ),
        (protos.TensorShapeProto(unknown_rank=True), b"\x18\x01"),
    ],
)
def test_messages_have_the_wire_format_of_the_originals(message: Any, wire: bytes) -> None:
    assert message.SerializeToString() == wire
    assert type(message).FromString(wire) == message


def test_a_slice_without_length_differs_from_one_of_length_zero() -> None:
    whole, empty = protos.TensorSliceProto(extent=[{}, {"length": 0}]).extent
    assert (whole.HasField("length"), empty.HasField("length")) == (False, True)


def test_a_message_can_be_filled_copied_and_pickled() -> None:
    info = ImageModuleInfo()
    size = info.default_image_size
    size.height, size.width = 224, 192
    assert info == ImageModuleInfo(default_image_size=ImageModuleInfo.InputSize(height=224, width=192))
    assert copy.deepcopy(info) == info
    assert pickle.loads(pickle.dumps(info)) == info
    assert str(info) == "default_image_size {\n  height: 224\n  width: 192\n}\n"


def test_the_default_pool_is_left_to_others() -> None:
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("tensorflow_hub.ModuleDef")
    assert ModuleDef.DESCRIPTOR.full_name == "tensorflow_hub.ModuleDef"
    assert ModuleDef.FORMAT_V3 == 3
