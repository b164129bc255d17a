"""image_embedding_column: what a module makes of the pixels of an image."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from modhub import errors
from modhub.authoring import ModuleSpec, get_expected_image_size
from modhub.columns._tensorflow import registered
from modhub.columns.checks import check_image_embedding
from modhub.columns.spec_column import SpecColumn, as_path

__all__ = ["ImageEmbeddingColumn", "image_embedding_column"]


def image_embedding_column(
    key: Any, module_spec: str | os.PathLike[str] | ModuleSpec, image_size: Sequence[int] | None = None
) -> ImageEmbeddingColumn:
    """Make a column of the embeddings of images; the module is never trained.

    It goes where a `text_embedding_column` goes.

    Args:
      key: the name of the feature, which is float32 [batch, height, width, 3] with pixels from 0 to 1; or a column
        that makes it, `tf.feature_column.numeric_column("pixels", [height, width, 3])` say.
      module_spec: the module's handle, see `modhub.resolve`, or a `ModuleSpec`. Its default signature takes "images"
        and gives float32 [batch, dim].
      image_size: height and width in pixels, for `parse_example`; None takes them from the module, see
        `get_expected_image_size`.

    Returns:
      The column, called "<key>_hub_module_embedding"; its values are float32 [batch, dim].

    Raises:
      InvalidArgumentError: the module has another signature, takes images of another size, or does not say their size
        and image_size is not given; or an argument is of the wrong kind.
      HandleNotFoundError: the handle names nothing; see `load_module_spec` for the other errors of loading.

    Example:
      >>> import modhub as hub, tensorflow as tf
      >>> from modhub.columns import image_embedding_column
      >>> def module_fn():
      ...     images = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3])
      ...     hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))
      >>> column = image_embedding_column("photo", hub.create_module_spec(module_fn))
      >>> column.parse_example_spec["photo"].shape, column.variable_shape.as_list()
      ([8, 8, 3], [3])
    """
    return ImageEmbeddingColumn(key=key, module_spec_path=as_path(module_spec), image_size=_as_size(image_size))


@registered
@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageEmbeddingColumn(SpecColumn):
    """What `image_embedding_column` returns.

    Attributes:
      image_size: height and width in pixels; None where the module says them.
    """

    image_size: tuple[int, int] | None

    def __post_init__(self) -> None:
        # A config from a file has a list here.
        object.__setattr__(self, "image_size", _as_size(self.image_size))
        super().__post_init__()

    def check(self) -> None:
        """Check that the module makes vectors of images."""
        check_image_embedding(self.module_spec, self.image_size)

    def feature(self) -> Any:
        """Return that each example has the pixels of one image."""
        height, width = self.image_size or get_expected_image_size(self.module_spec)
        return tf.io.FixedLenFeature([height, width, 3], tf.float32)

    def embed(self, feature: Any, module: Any) -> tf.Tensor:
        """Return the embeddings of images [batch, height, width, 3]."""
        return module({"images": feature})


def _as_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    if not (
        isinstance(size, list | tuple)
        and len(size) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size)
    ):
        raise errors.InvalidArgumentError(f"image_size={size!r} is not a height and a width in pixels, (224, 224) say.")
    return size[0], size[1]
