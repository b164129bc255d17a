"""What is refused when a column is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import modhub as hub
from modhub.columns import (
    image_embedding_column,
    sparse_text_embedding_column,
    text_embedding_column,
    text_embedding_column_v2,
)
from tests.columns.modules import lengths, pooled

v1 = tf.compat.v1
NOT_TEXT = r"^Module is not a text-embedding: \["
NOT_IMAGES = r"^Module is not usable as image embedding: \["


def signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> hub.ModuleSpec:
    """A spec with placeholders of these dtypes and shapes as inputs and outputs."""

    def module_fn() -> None:
        fed = {name: v1.placeholder(*of) for name, of in inputs.items()}
        hub.add_signature(inputs=fed, outputs={name: v1.placeholder_with_default(*of) for name, of in outputs.items()})

    return hub.create_module_spec(module_fn)


TEXT = {"text": (tf.string, [None])}
PIXELS = {"images": (tf.float32, [None, 8, 8, 3])}
VECTORS = {"default": ([[0.0]], [None, 1])}
BAD_OUTPUTS = [
    ({"vectors": ([[0.0]], [None, 1])}, "an output 'default', and has 'vectors'"),
    ({"default": ([[0]], [None, 1])}, r"is a Tensor of int32 of shape \(None, 1\)"),
    ({"default": ([0.0], [None])}, r"of float32 of shape \(None,\)"),
    ({"default": ([[0.0]], [None, None])}, r"of shape \(None, None\)"),
    ({"default": ([[0.0]], None)}, r"of shape <unknown>"),
]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({**TEXT, "more": (tf.string, [None])}, VECTORS, "one input, and has 'more', 'text'"),
        ({}, VECTORS, "one input, and has none"),
        ({"text": (tf.int64, [None])}, VECTORS, r"strings of shape \(\?,\), and is a Tensor of int64"),
        ({"text": (tf.string, [None, None])}, VECTORS, r"of string of shape \(None, None\)"),
        ({"text": (tf.string, [2])}, VECTORS, r"of string of shape \(2,\)"),
        ({"text": (tf.string, None)}, VECTORS, "of string of shape <unknown>"),
        *((TEXT, outputs, message) for outputs, message in BAD_OUTPUTS),
    ],
)
def test_modules_that_are_no_text_embeddings(inputs: Any, outputs: Any, message: str) -> None:
    spec = signature(inputs, outputs)
    with pytest.raises(ValueError, match=NOT_TEXT + f".*{message}"):
        text_embedding_column("key", spec)
    with pytest.raises(ValueError, match=NOT_TEXT + f".*{message}"):
        sparse_text_embedding_column("key", spec, "mean", None)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({"image": PIXELS["images"]}, VECTORS, "one input, 'images', and has 'image'"),
        ({**PIXELS, "more": (tf.float32, [])}, VECTORS, "has 'images', 'more'"),
        ({"images": (tf.uint8, [None, 8, 8, 3])}, VECTORS, "must be float32, and is a Tensor of uint8"),
        *((PIXELS, outputs, message) for outputs, message in BAD_OUTPUTS),
    ],
)
@pytest.mark.parametrize("image_size", [None, (8, 8)])
def test_modules_that_are_no_image_embeddings(inputs: Any, outputs: Any, message: str, image_size: Any) -> None:
    with pytest.raises(ValueError, match=NOT_IMAGES + f".*{message}"):
        image_embedding_column("key", signature(inputs, outputs), image_size)


def test_a_size_that_the_module_does_not_take() -> None:
    with pytest.raises(ValueError, match=NOT_IMAGES + r".*image_size=\(8, 9\) does not fit.*\(None, 8, 8, 3\)"):
        image_embedding_column("key", signature(PIXELS, VECTORS), (8, 9))


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"\['its input .*', \"its default signature must have an output .*\"\]"):
        text_embedding_column("key", signature({"text": (tf.int64, [None])}, {"vectors": ([[0.0]], [None, 1])}))


def test_a_sparse_input_is_no_text() -> None:
    def module_fn() -> None:
        text = v1.sparse_placeholder(tf.string, [None])
        hub.add_signature(inputs=text, outputs=tf.zeros([tf.size(text.values), 1]))

    with pytest.raises(ValueError, match=NOT_TEXT + ".*SparseTensor of string"):
        text_embedding_column("key", hub.create_module_spec(module_fn))


def test_the_size_of_images() -> None:
    unknown = hub.create_module_spec(pooled(size=None))
    with pytest.raises(ValueError, match=NOT_IMAGES + r".*image_size=\(height, width\): Shape of module input"):
        image_embedding_column("key", unknown)
    given = image_embedding_column("key", unknown, [5, 6])
    attached = image_embedding_column("key", hub.create_module_spec(pooled(size=None, attached=7)))
    static = image_embedding_column("key", hub.create_module_spec(pooled(size=4)))
    both = image_embedding_column("key", hub.create_module_spec(pooled(size=None, attached=7)), (5, 6))
    shapes = [column.parse_example_spec["key"].shape for column in (given, attached, static, both)]
    assert shapes == [[5, 6, 3], [7, 7, 3], [4, 4, 3], [5, 6, 3]]
    assert given.image_size == (5, 6)


@pytest.mark.parametrize("size", [(8,), (8, 8, 3), (0, 8), (8.0, 8), (True, 8), "88", 8])
def test_a_bad_image_size(size: Any) -> None:
    with pytest.raises(hub.errors.InvalidArgumentError, match=r"image_size=.*height and a width"):
        image_embedding_column("key", hub.create_module_spec(pooled()), size)


@pytest.mark.parametrize("combiner", ["sqrt", None, ["mean"]])
def test_a_bad_combiner(combiner: Any) -> None:
    with pytest.raises(ValueError, match=r"^combiner must be 'mean', 'sqrtn' or 'sum': "):
        sparse_text_embedding_column("key", hub.create_module_spec(lengths), combiner, None)


def makers() -> list[Callable[..., Any]]:
    spec = hub.create_module_spec(lengths)
    return [
        lambda key="key", **given: text_embedding_column(key, spec, **given),
        lambda key="key", **given: text_embedding_column_v2(key, "path", **given),
        lambda key="key", **given: sparse_text_embedding_column(key, spec, "mean", None, **given),
    ]


def test_arguments_of_the_wrong_kind() -> None:
    for make in makers():
        for key in (None, 3, ["comment"]):
            with pytest.raises(hub.errors.InvalidArgumentError, match="neither the name of a feature nor"):
                make(key)
        with pytest.raises(hub.errors.InvalidArgumentError, match="neither True nor False"):
            make(trainable="yes")
    spec = hub.create_module_spec(lengths)
    with pytest.raises(hub.errors.InvalidArgumentError, match="default_value=3 is no text"):
        sparse_text_embedding_column("key", spec, "mean", 3)
    with pytest.raises(hub.errors.InvalidArgumentError, match="text_embedding_column takes a ModuleSpec"):
        text_embedding_column_v2("key", spec)
    with pytest.raises(hub.errors.InvalidArgumentError, match="output_key=3"):
        text_embedding_column_v2("key", "path", output_key=3)
    with pytest.raises(hub.errors.InvalidArgumentError, match="Expected the path of a module"):
        text_embedding_column("key", 3)


def test_a_handle_that_names_nothing(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(hub.errors.HandleNotFoundError):
        text_embedding_column("key", missing)
    with pytest.raises(hub.errors.HandleNotFoundError):
        image_embedding_column("key", missing)
    column = text_embedding_column_v2("key", missing)  # which loads nothing yet
    with pytest.raises(hub.errors.HandleNotFoundError):
        assert column.variable_shape
