"""hub.eval_function_for_module: a module as a function of values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import affine, lookup, normalizing_spec, partitioned, publish, variable

v1 = tf.compat.v1


def test_values_in_and_out() -> None:
    with hub.eval_function_for_module(hub.create_module_spec(affine)) as function:
        y = function([[1.0, 2.0]])
        assert isinstance(y, np.ndarray)
        assert y.tolist() == [[7.5, 9.5]]
        assert function(np.zeros([3, 2])).shape == (3, 2)
        assert function({"default": [[1.0, 2.0]]}, as_dict=True)["default"].tolist() == [[7.5, 9.5]]


def test_a_path_gives_the_published_values(tmp_path: Path) -> None:
    with hub.eval_function_for_module(publish(affine, tmp_path / "module", {"b": [100.0, 200.0]})) as function:
        assert function([[0.0, 0.0]]).tolist() == [[100.0, 200.0]]


def test_tables_are_initialized(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    with hub.eval_function_for_module(publish(lookup(tmp_path / "words.txt"), tmp_path / "module")) as function:
        assert function(["b", "c"]).tolist() == [1, -1]


def test_parts(tmp_path: Path) -> None:
    with hub.eval_function_for_module(publish(partitioned, tmp_path / "module")) as function:
        assert function([9]).tolist() == [[18.0, 19.0]]


@pytest.mark.parametrize(("tags", "expected"), [(None, [[1.0, 2.0], [3.0, 6.0]]), ({"train"}, [[-1, -2], [1, 2]])])
def test_tags_choose_the_variant(tags: set[str] | None, expected: list[list[float]]) -> None:
    with hub.eval_function_for_module(normalizing_spec(), tags=tags) as function:
        assert function([[1.0, 1.0], [3.0, 3.0]]).tolist() == expected


def several() -> None:
    """Signatures of no input, of two, of a sparse one and of a ragged one."""
    w = variable("w", 2.0)
    x, y = v1.placeholder(tf.float32, []), v1.placeholder(tf.float32, [])
    sparse = v1.sparse_placeholder(tf.float32, [None, 3])
    ragged = v1.ragged.placeholder(tf.int64, 1, [])
    hub.add_signature("constant", outputs=w * 3.0)
    hub.add_signature("product", {"x": x, "y": y}, {"product": x * y * w})
    hub.add_signature("sparse", {"rows": sparse}, {"sums": tf.sparse.reduce_sum(sparse, 1), "same": sparse * 1.0})
    hub.add_signature("ragged", ragged, ragged.row_lengths())


def test_several_signatures() -> None:
    rows = v1.SparseTensorValue([[0, 0], [1, 2]], [1.0, 2.0], [2, 3])
    with hub.eval_function_for_module(hub.create_module_spec(several)) as function:
        assert function(signature="constant") == 6.0
        assert function({"x": 3.0, "y": 4.0}, signature="product", as_dict=True) == {"product": 24.0}
        found = function({"rows": rows}, signature="sparse", as_dict=True)
        assert found["sums"].tolist() == [1.0, 2.0]
        assert isinstance(found["same"], v1.SparseTensorValue)
        assert found["same"].values.tolist() == [1.0, 2.0]
        lengths = function(v1.ragged.constant_value([[1, 2], [], [3]], dtype=np.int64), signature="ragged")
        assert lengths.tolist() == [2, 0, 1]


def test_the_users_graph_is_not_touched(graph: tf.Graph) -> None:
    with hub.eval_function_for_module(hub.create_module_spec(affine)) as function:
        assert tf.compat.v1.get_default_graph() is graph
        function([[1.0, 2.0]])
    assert graph.get_operations() == []
    assert graph.get_all_collection_keys() == []


def test_it_works_in_eager_mode() -> None:
    assert tf.executing_eagerly()
    with hub.eval_function_for_module(hub.create_module_spec(affine)) as function:
        assert tf.executing_eagerly()
        assert function([[1.0, 2.0]]).tolist() == [[7.5, 9.5]]


def test_an_unknown_signature_is_refused() -> None:
    with hub.eval_function_for_module(hub.create_module_spec(several)) as function:
        with pytest.raises(errors.UnknownSignatureError) as caught:
            function(1.0, signature="spars")
        assert isinstance(caught.value, KeyError)
        assert "'spars'" in str(caught.value)
        assert "Did you mean 'sparse'?" in str(caught.value)
        assert function(signature="constant") == 6.0


def test_a_missing_input_is_refused() -> None:
    with hub.eval_function_for_module(hub.create_module_spec(several)) as function:
        with pytest.raises(errors.InvalidInputError, match="y"):
            function({"x": 3.0}, signature="product", as_dict=True)
        with pytest.raises(TypeError):
            function({"x": 3.0, "y": 4.0}, signature="product")
