"""Feature columns: modules as columns of `tf.feature_column` and `tf.compat.v1.feature_column`."""

from modhub.columns.image import image_embedding_column
from modhub.columns.sparse_text import sparse_text_embedding_column
from modhub.columns.text import text_embedding_column
from modhub.columns.text_v2 import text_embedding_column_v2

__all__ = [
    "image_embedding_column",
    "sparse_text_embedding_column",
    "text_embedding_column",
    "text_embedding_column_v2",
]
