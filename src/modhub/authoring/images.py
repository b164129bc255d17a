"""Image modules: the size that they expect, as the common image signatures say it.

Source: the "Common signatures for images" page of the TF Hub documentation: an input `images` of float32
[batch, height, width, channels]; height and width are static, or an ImageModuleInfo is attached.
"""

from __future__ import annotations

from typing import Any

from modhub import errors
from modhub.authoring.declarations import attach_message
from modhub.format import ImageModuleInfo

__all__ = ["attach_image_module_info", "get_expected_image_size", "get_image_module_info", "get_num_image_channels"]

_KEY = "image_module_info"


def attach_image_module_info(image_module_info: Any) -> None:
    """Attach an `ImageModuleInfo` to the variant that the surrounding module_fn defines.

    Args:
      image_module_info: the message; its `default_image_size` has `height` and `width` in pixels.

    Raises:
      DefinitionScopeError: no module_fn is running.
      ModuleDefinitionError: it is no ImageModuleInfo.
    """
    descriptor = getattr(image_module_info, "DESCRIPTOR", None)
    if descriptor is None or descriptor.full_name != ImageModuleInfo.DESCRIPTOR.full_name:
        raise errors.ModuleDefinitionError(
            f"attach_image_module_info() takes a hub.ImageModuleInfo, not {type(image_module_info).__name__}."
        )
    attach_message(_KEY, image_module_info)


def get_image_module_info(module_or_spec: Any, required: bool = False) -> Any:
    """Return the attached `ImageModuleInfo` of a `Module` or `ModuleSpec`; None where there is none.

    Raises:
      MissingAttachmentError: it is required and absent.
    """
    return module_or_spec.get_attached_message(_KEY, ImageModuleInfo, required=required)


def get_expected_image_size(
    module_or_spec: Any, signature: str | None = None, input_name: str | None = None
) -> list[int]:
    """Return the height and width, in pixels, of the images that a module expects.

    Args:
      module_or_spec: a `Module`, or a `ModuleSpec` (its variant without tags).
      signature: the signature to ask; None means "default".
      input_name: the input to ask; None means "images".

    Returns:
      [height, width]: those of the attached ImageModuleInfo if both are given there, else the input's static shape.

    Raises:
      UnknownInputError: the signature has no such input.
      InvalidInputError: the shape is not [batch, height, width, channels] with known height and width.
      UnknownSignatureError: there is no such signature.
    """
    info = get_image_module_info(module_or_spec)
    size = info.default_image_size if info is not None else None
    if size is not None and size.height and size.width:
        return [size.height, size.width]
    shape = _image_shape(module_or_spec, signature, input_name)
    if shape[1] is None or shape[2] is None:
        raise errors.InvalidInputError(
            f"Shape of module input is {shape}, expected [batch_size, height, width, num_channels] with known height "
            "and width; or the publisher attaches an ImageModuleInfo."
        )
    return [shape[1], shape[2]]


def get_num_image_channels(module_or_spec: Any, signature: str | None = None, input_name: str | None = None) -> int:
    """Return the number of channels of the images that a module expects; arguments as for the size.

    Raises:
      UnknownInputError, UnknownSignatureError: there is no such input or signature.
      InvalidInputError: the number of channels is not known.
    """
    channels: int | None = _image_shape(module_or_spec, signature, input_name)[3]
    if channels is None:
        raise errors.InvalidInputError("Shape of module input has no known number of channels.")
    return channels


def _image_shape(module_or_spec: Any, signature: str | None, input_name: str | None) -> list[int | None]:
    name = input_name or "images"
    infos = module_or_spec.get_input_info_dict(signature=signature)
    if name not in infos:
        raise errors.UnknownInputError(
            f"Module is missing input {name!r} in signature {signature or 'default'!r}. "
            + errors.accepted(name, infos, "inputs")
        )
    shape = infos[name].get_shape()
    if shape.rank != 4:
        raise errors.InvalidInputError(
            f"Shape of module input is {shape}, expected [batch_size, height, width, num_channels]."
        )
    return list(shape.as_list())
