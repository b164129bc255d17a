"""Image modules: ImageModuleInfo, the expected size and the number of channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import publish

v1 = tf.compat.v1


def image_spec(shape: list[int | None] | None, size: tuple[int, int] | None = None) -> hub.ModuleSpec:
    """A module of images of this static shape, with this size attached."""

    def module_fn() -> None:
        images = v1.placeholder(tf.float32, shape, name="images")
        hub.add_signature(inputs={"images": images}, outputs=tf.identity(images))
        hub.add_signature("other", {"pictures": v1.placeholder(tf.float32, [None, 5, 6, 1])}, tf.zeros([1]))
        if size is not None:
            info = hub.ImageModuleInfo()
            info.default_image_size.height, info.default_image_size.width = size
            hub.attach_image_module_info(info)

    return hub.create_module_spec(module_fn)


@pytest.mark.parametrize(
    ("shape", "attached", "expected"),
    [
        ([None, 4, 8, 3], None, [4, 8]),
        ([None, None, None, 3], (32, 16), [32, 16]),
        ([None, 4, 8, 3], (32, 16), [32, 16]),
        ([None, 4, 8, 3], (0, 16), [4, 8]),
        ([None, 4, 8, 3], (0, 0), [4, 8]),
        (None, (32, 16), [32, 16]),
    ],
)
def test_expected_size(
    graph: tf.Graph, shape: list[int | None] | None, attached: tuple[int, int] | None, expected: list[int]
) -> None:
    spec = image_spec(shape, attached)
    assert list(hub.get_expected_image_size(spec)) == expected
    assert list(hub.get_expected_image_size(hub.Module(spec))) == expected


def test_a_published_size(graph: tf.Graph, tmp_path: Path) -> None:
    path = publish(image_spec([None, None, None, 3], (32, 16)), tmp_path / "module")
    assert list(hub.get_expected_image_size(hub.load_module_spec(path))) == [32, 16]
    module = hub.Module(path)
    assert list(hub.get_expected_image_size(module)) == [32, 16]
    assert hub.get_num_image_channels(module) == 3


def test_another_signature_and_input() -> None:
    spec = image_spec([None, 4, 8, 3])
    assert list(hub.get_expected_image_size(spec, signature="other", input_name="pictures")) == [5, 6]
    assert hub.get_num_image_channels(spec, signature="other", input_name="pictures") == 1


@pytest.mark.parametrize("shape", [[None, None, 8, 3], [None, 4, None, 3], [None, 4, 8], None], ids=str)
def test_an_unknown_size_is_an_error(shape: list[int | None] | None) -> None:
    with pytest.raises(ValueError, match="height") as caught:
        hub.get_expected_image_size(image_spec(shape))
    assert isinstance(caught.value, errors.ModhubError)


@pytest.mark.parametrize("shape", [[None, 4, 8, None], None], ids=str)
def test_an_unknown_number_of_channels_is_an_error(shape: list[int | None] | None) -> None:
    with pytest.raises(ValueError, match="channels") as caught:
        hub.get_num_image_channels(image_spec(shape))
    assert isinstance(caught.value, errors.ModhubError)


@pytest.mark.parametrize("function", [hub.get_expected_image_size, hub.get_num_image_channels])
def test_a_missing_input_is_an_error(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="images") as caught:
        function(image_spec([None, 4, 8, 3]), signature="other")
    assert isinstance(caught.value, errors.UnknownInputError)
    assert "'pictures'" in str(caught.value)


def test_image_module_info_is_a_message() -> None:
    info = hub.ImageModuleInfo()
    info.default_image_size.height = 7
    again = hub.ImageModuleInfo.FromString(info.SerializeToString())
    assert again.default_image_size.height == 7
    assert again.default_image_size.width == 0


def test_image_module_info_can_be_got_by_its_key() -> None:
    message = image_spec([None, 4, 8, 3], (32, 16)).get_attached_message("image_module_info", hub.ImageModuleInfo)
    assert (message.default_image_size.height, message.default_image_size.width) == (32, 16)
