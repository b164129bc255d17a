"""Columns as values: equality, copies, and the config that makes them again."""

from __future__ import annotations

import copy
import json
import pickle
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
from tests.columns.modules import lengths, pooled, published

api = tf.__internal__.feature_column
KEY = tf.feature_column.numeric_column("pixels", [4, 4, 3])


@pytest.fixture
def columns(tmp_path: Path) -> list[Any]:
    """One of each kind, of a path."""
    text, images = published(tmp_path / "text"), published(tmp_path / "images", pooled())
    return [
        text_embedding_column("text", text, trainable=True),
        text_embedding_column_v2("text", text, "default"),
        sparse_text_embedding_column("text", text, "sqrtn", "none"),
        image_embedding_column("photo", images, [4, 4]),
        image_embedding_column(KEY, images),
    ]


def test_configs_make_equal_columns(columns: list[Any]) -> None:
    for column in columns:
        config = json.loads(json.dumps(api.serialize_feature_column(column)))
        again = api.deserialize_feature_column(config)
        assert again == column
        assert hash(again) == hash(column)
        assert type(again) is type(column)


def test_what_a_config_has(columns: list[Any]) -> None:
    path = columns[0].module_spec_path
    assert columns[0].get_config() == {"key": "text", "module_spec_path": path, "trainable": True}
    assert columns[1].get_config() == {
        "key": "text",
        "module_path": path,
        "output_key": "default",
        "trainable": False,
    }
    assert set(columns[3].get_config()) == {"key", "module_spec_path", "image_size"}


def test_a_spec_has_no_config() -> None:
    for column in (
        text_embedding_column("key", hub.create_module_spec(lengths)),
        image_embedding_column("key", hub.create_module_spec(pooled())),
        sparse_text_embedding_column("key", hub.create_module_spec(lengths), "mean", None),
    ):
        with pytest.raises(NotImplementedError, match="Can only generate a valid config"):
            column.get_config()


def test_copies(columns: list[Any]) -> None:
    for column in columns:
        assert copy.deepcopy({"columns": [column]}) == {"columns": [column]}
        assert len({column, copy.copy(column)}) == 1


def test_a_path_as_an_object(tmp_path: Path) -> None:
    path = published(tmp_path)
    assert text_embedding_column("key", Path(path)) == text_embedding_column("key", path)
    assert text_embedding_column_v2("key", Path(path)) == text_embedding_column_v2("key", path)
    assert text_embedding_column("key", path) != text_embedding_column("key", path, trainable=True)
    assert text_embedding_column("key", path) != text_embedding_column("other", path)


def test_what_a_column_says(columns: list[Any]) -> None:
    assert [column.name for column in columns] == [
        f"{key}_hub_module_embedding" for key in ("text", "text", "text", "photo", "pixels")
    ]
    assert [column.variable_shape.as_list() for column in columns] == [[3], [3], [3], [2], [2]]
    assert all(isinstance(column, api.DenseColumn) for column in columns)
    assert hub.get_expected_image_size(columns[3].module_spec) == [4, 4]
    assert "trainable=True" in repr(columns[0])


def test_pickled_v2(columns: list[Any]) -> None:
    assert pickle.loads(pickle.dumps(columns[1])) == columns[1]
