"""Whether the arguments and the module fit a column."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec, get_expected_image_size

__all__ = ["check_bool", "check_image_embedding", "check_text_embedding"]


def check_text_embedding(spec: ModuleSpec) -> None:
    """Check that a module makes vectors of strings.

    Raises:
      InvalidArgumentError: its default signature is another than string [batch] -> float32 [batch, dim], with `dim`
        known.
      UnknownVariantError, UnknownSignatureError: it has no variant without tags, or no default signature.
    """
    inputs = spec.get_input_info_dict()
    problems = []
    if len(inputs) != 1:
        problems.append(f"its default signature must have one input, and has {_listed(inputs)}")
    else:
        (info,) = inputs.values()
        if not (_is_dense(info, tf.string) and info.shape.rank == 1 and info.shape.as_list() == [None]):
            problems.append(f"its input must be strings of shape (?,), and is {_shown(info)}")
    problems += _problems_of_output(spec)
    _refuse("Module is not a text-embedding", spec, problems)


def check_image_embedding(spec: ModuleSpec, image_size: tuple[int, int] | None) -> None:
    """Check that a module makes vectors of images.

    Args:
      spec: of the module.
      image_size: the size of the images; None where the module has to say it.

    Raises:
      InvalidArgumentError: its default signature is another than {"images": float32} -> float32 [batch, dim], with
        `dim` known, or the size is not known or not that of its images.
      UnknownVariantError, UnknownSignatureError: it has no variant without tags, or no default signature.
    """
    inputs = spec.get_input_info_dict()
    problems = []
    if list(inputs) != ["images"]:
        problems.append(f"its default signature must have one input, 'images', and has {_listed(inputs)}")
    elif not _is_dense(inputs["images"], tf.float32):
        problems.append(f"its input 'images' must be float32, and is {_shown(inputs['images'])}")
    elif image_size is not None:
        if not inputs["images"].shape.is_compatible_with([None, *image_size, None]):
            problems.append(f"image_size={image_size} does not fit its input 'images', {_shown(inputs['images'])}")
    else:
        try:
            get_expected_image_size(spec)
        except ValueError as error:
            problems.append(f"it does not say the size of its images, pass image_size=(height, width): {error}")
    problems += _problems_of_output(spec)
    _refuse("Module is not usable as image embedding", spec, problems)


def check_bool(trainable: Any) -> None:
    """Check that `trainable` is a bool: a column trains all of its module or nothing."""
    if not isinstance(trainable, bool):
        raise errors.InvalidArgumentError(f"trainable={trainable!r} is neither True nor False.")


def _problems_of_output(spec: ModuleSpec) -> list[str]:
    outputs = spec.get_output_info_dict()
    if "default" not in outputs:
        return [f"its default signature must have an output 'default', and has {_listed(outputs)}"]
    info = outputs["default"]
    if _is_dense(info, tf.float32) and info.shape.rank == 2 and info.shape.as_list()[1] is not None:
        return []
    return [f"its output 'default' must be float32 of shape (?,K) with K known, and is {_shown(info)}"]


def _is_dense(info: Any, dtype: tf.DType) -> bool:
    return isinstance(info.type_spec, tf.TensorSpec) and info.dtype == dtype


def _listed(infos: Any) -> str:
    return ", ".join(map(repr, infos)) or "none"


def _shown(info: Any) -> str:
    if info.type_spec is None:
        return "of a kind that this TensorFlow does not know"
    kind = type(info.type_spec).__name__.removesuffix("Spec")
    return f"a {kind} of {info.dtype.name} of shape {info.shape}"


def _refuse(what: str, spec: ModuleSpec, problems: list[str]) -> None:
    if problems:
        raise errors.InvalidArgumentError(f"{what}: {problems}. It is {spec!r}.")
