"""Image files as a batch of images: float32 in [0, 1], as the common image signatures of TF Hub take them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from modhub import errors

__all__ = ["file_contents", "read_images"]

# As much as a camera has; a small file may claim to be larger than memory.
_MOST_PIXELS = 1 << 28


def read_images(paths: Sequence[str], spec: Any, size: tuple[int, int] | None, where: str) -> np.ndarray[Any, Any]:
    """Return image files as a batch.

    Args:
      paths: PNG, JPEG, BMP or GIF files, of which the first frame counts.
      spec: what the input is, [batch, height, width, channels]; of floats, which become 0 to 1, or of uint8.
      size: height and width to resize to (bilinear); None where all have to be of one size already.
      where: what messages call it.

    Raises:
      InvalidInputError: a file cannot be read; sizes differ; or the input is not for images.
    """
    rank = 4 if spec.shape.rank is None else spec.shape.rank
    if rank not in (3, 4) or not (spec.dtype.is_floating or spec.dtype == tf.uint8):
        raise errors.InvalidInputError(
            f"{where} is an image file, and the input is {spec.dtype.name} of shape {spec.shape}: images are float32 "
            "or uint8, [batch, height, width, channels]."
        )
    channels = spec.shape.as_list()[-1] if spec.shape.rank else 3
    if rank == 3:
        height, width = spec.shape.as_list()[:2]
        size = (height, width) if height and width else None
    images = [
        _decode(path, contents, channels or 3) for path, contents in zip(paths, file_contents(paths), strict=True)
    ]
    if size is not None:
        images = [tf.image.resize(image, size, antialias=False) for image in images]
    elif len({tuple(image.shape) for image in images}) > 1:
        shapes = sorted({f"{image.shape[0]}x{image.shape[1]}" for image in images})
        raise errors.InvalidInputError(
            f"{where} has images of different sizes ({', '.join(shapes)}), and the module says no size: resize them."
        )
    batch = np.stack([np.asarray(image) for image in images])
    found = np.rint(batch).astype(np.uint8) if spec.dtype == tf.uint8 else batch.astype(np.float32) / np.float32(255)
    found = found.astype(spec.dtype.as_numpy_dtype, copy=False)
    return found[0] if rank == 3 and len(found) == 1 else found


def file_contents(paths: Sequence[str]) -> list[bytes]:
    """Return the bytes of files."""
    found = []
    for path in paths:
        try:
            found.append(Path(path).read_bytes())
        except OSError as error:
            raise errors.InvalidInputError(f"The file {path!r} cannot be read: {error.strerror}.") from error
    return found


def _decode(path: str, contents: bytes, channels: int) -> Any:
    try:
        pixels = _pixels(contents)
        if pixels > _MOST_PIXELS:
            raise errors.InvalidInputError(
                f"{path!r} says that it has {pixels} pixels; at most {_MOST_PIXELS} are read."
            )
        return tf.io.decode_image(contents, channels=channels, expand_animations=False)
    except (tf.errors.OpError, struct.error) as error:
        reason = str(getattr(error, "message", error)).partition("[Op:")[0].strip().splitlines()
        raise errors.InvalidInputError(
            f"{path!r} cannot be decoded as an image of {channels} channels: {reason[0] if reason else error}."
        ) from error


def _pixels(contents: bytes) -> int:
    """Return how many pixels the header of an image file claims."""
    if contents.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", contents, 16)
    elif contents.startswith(b"GIF8"):
        width, height = struct.unpack_from("<HH", contents, 6)
    elif contents.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", contents, 18)
    else:
        height, width, _ = np.asarray(tf.image.extract_jpeg_shape(contents)).tolist()
    return int(abs(width) * abs(height))
