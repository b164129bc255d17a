"""What a call of a module takes, returns, and adds to the graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import affine, collected, doubling, evaluated, lookup, op_types, publish, started, variable

v1 = tf.compat.v1

X = [[1.0, 2.0], [3.0, 4.0]]
Y = [[7.5, 9.5], [15.5, 21.5]]


@pytest.fixture(scope="module", params=["from a spec", "from disk"])
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> hub.ModuleSpec | str:
    if request.param == "from a spec":
        return hub.create_module_spec(affine)
    return publish(affine, tmp_path_factory.mktemp("it") / "module")


GIVEN: dict[str, Callable[[], Any]] = {
    "list": lambda: X,
    "tuple": lambda: tuple(map(tuple, X)),
    "list of ints": lambda: [[1, 2], [3, 4]],
    "list of arrays": lambda: [np.array(row, np.float32) for row in X],
    "list of tensors": lambda: [tf.constant(row) for row in X],
    "float32 array": lambda: np.array(X, np.float32),
    "float64 array": lambda: np.array(X, np.float64),
    "int array": lambda: np.array(X, np.int64),
    "transposed array": lambda: np.array(X, np.float32).T.copy().T,
    "tensor": lambda: tf.constant(X),
    "placeholder of unknown shape": lambda: v1.placeholder_with_default(tf.constant(X), None),
    "resource variable": lambda: v1.get_variable("mine", initializer=tf.constant(X), use_resource=True),
    "ref variable": lambda: v1.get_variable("mine", initializer=tf.constant(X), use_resource=False),
    "dict": lambda: {"default": X},
    "dict of tensors": lambda: {"default": tf.constant(X)},
}


@pytest.mark.parametrize("given", GIVEN)
def test_inputs_of_a_dense_signature(graph: tf.Graph, spec: hub.ModuleSpec | str, given: str) -> None:
    y = hub.Module(spec)(GIVEN[given]())
    assert y.dtype == tf.float32
    assert y.shape[1] == 2
    np.testing.assert_allclose(evaluated(y), Y)


def test_a_partitioned_variable_is_an_input(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    mine = v1.get_variable("mine", [4, 2], initializer=v1.ones_initializer(), partitioner=v1.fixed_size_partitioner(2))
    y = hub.Module(spec)(tf.convert_to_tensor(mine))
    assert evaluated(y).shape == (4, 2)


def test_a_dict_is_not_changed(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    inputs = {"default": X}
    hub.Module(spec)(inputs)
    assert inputs == {"default": X}


@pytest.mark.parametrize(
    "words", [["a", "z"], np.array(["a", "z"]), np.array([b"a", b"z"], object), [b"a", b"z"]], ids=repr
)
def test_strings(graph: tf.Graph, tmp_path: Path, words: Any) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("b\na\n")
    assert evaluated(hub.Module(hub.create_module_spec(lookup(vocabulary)))(words)).tolist() == [1, -1]


def sparse_sum() -> None:
    """A sparse [batch, 3] -> its dense row sums, and itself doubled."""
    x = v1.sparse_placeholder(tf.float32, [None, 3])
    hub.add_signature(inputs=x, outputs={"default": tf.sparse.reduce_sum(x, 1), "doubled": x * 2.0})


INDICES, ELEMENTS, SHAPE = [[0, 0], [1, 2], [1, 0]], [1.0, 2.0, 3.0], [2, 3]


@pytest.mark.parametrize("kind", ["SparseTensor", "SparseTensorValue", "sparse_placeholder"])
def test_sparse_inputs(graph: tf.Graph, kind: str) -> None:
    module = hub.Module(hub.create_module_spec(sparse_sum))
    value = v1.SparseTensorValue(INDICES, np.array(ELEMENTS, np.float32), SHAPE)
    feed = {}
    x: Any = value
    if kind == "SparseTensor":
        x = tf.SparseTensor(INDICES, ELEMENTS, SHAPE)
    elif kind == "sparse_placeholder":
        x = v1.sparse_placeholder(tf.float32)
        feed = {x: value}
    found = evaluated(module(x, as_dict=True), feed)
    assert found["default"].tolist() == [1.0, 5.0]
    assert found["doubled"].indices.tolist() == INDICES
    assert found["doubled"].values.tolist() == [2.0, 4.0, 6.0]
    assert found["doubled"].dense_shape.tolist() == SHAPE


def test_a_sparse_output_is_a_sparse_tensor(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(publish(sparse_sum, tmp_path / "module"))
    doubled = module(tf.SparseTensor(INDICES, ELEMENTS, SHAPE), as_dict=True)["doubled"]
    assert isinstance(doubled, tf.SparseTensor)
    assert module.get_output_info_dict()["doubled"].is_sparse
    assert evaluated(tf.sparse.to_dense(tf.sparse.reorder(doubled))).tolist() == [[2.0, 0.0, 0.0], [6.0, 0.0, 4.0]]


def ragged_lengths() -> None:
    """Ragged ids [batch, none] -> how many there are in each row, and the ids plus one."""
    x = v1.ragged.placeholder(tf.int64, 1, [])
    hub.add_signature(inputs=x, outputs={"default": x.row_lengths(), "next": x + 1})


def test_ragged_inputs_and_outputs(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(publish(ragged_lengths, tmp_path / "module"))
    found = module(tf.ragged.constant([[1, 2, 3], [], [4]], dtype=tf.int64), as_dict=True)
    assert isinstance(found["next"], tf.RaggedTensor)
    values = evaluated(found)
    assert values["default"].tolist() == [3, 0, 1]
    assert values["next"].to_list() == [[2, 3, 4], [], [5]]


def fruit_to_pet() -> None:
    """Two inputs, two outputs, none of them called default, beside a default signature."""
    apples, oranges = v1.placeholder(tf.float32, [None]), v1.placeholder(tf.float32, [None])
    w = variable("w", 10.0)
    hub.add_signature("fruit_to_pet", {"apples": apples, "oranges": oranges}, {"cats": apples * w, "dogs": oranges})
    hub.add_signature("default", apples, apples + w)


@pytest.mark.parametrize("as_dict", [None, False, True])
def test_as_dict(graph: tf.Graph, as_dict: bool | None) -> None:
    found = hub.Module(hub.create_module_spec(doubling))([1.0], as_dict=as_dict)
    assert isinstance(found, dict) == bool(as_dict)
    assert evaluated(found["default"] if as_dict else found).tolist() == [2.0]


def test_several_inputs_come_as_a_dict(graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(fruit_to_pet))
    pets = module({"oranges": [1.0], "apples": [2.0]}, signature="fruit_to_pet", as_dict=True)
    assert sorted(pets) == ["cats", "dogs"]
    assert {name: value.tolist() for name, value in evaluated(pets).items()} == {"cats": [20.0], "dogs": [1.0]}


@pytest.mark.parametrize("signature", [None, "default"])
def test_the_default_signature(graph: tf.Graph, signature: str | None) -> None:
    module = hub.Module(hub.create_module_spec(fruit_to_pet))
    assert evaluated(module([2.0], signature=signature)).tolist() == [12.0]


@pytest.mark.parametrize("inputs", [None, {}], ids=repr)
def test_a_signature_without_inputs(graph: tf.Graph, inputs: dict[str, Any] | None, tmp_path: Path) -> None:
    def module_fn() -> None:
        hub.add_signature(outputs=2.0 * variable("w", [1.0, 2.0]))

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    assert evaluated(module(inputs)).tolist() == [2.0, 4.0]
    assert evaluated(module()).tolist() == [2.0, 4.0]


def test_calls_share_the_weights(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    module = hub.Module(spec)
    one, two = module(X), module([[0.0, 0.0]])
    assert collected(v1.GraphKeys.GLOBAL_VARIABLES) == ["module/b", "module/w"]
    with started() as session:
        session.run(module.variable_map["b"].assign([100.0, 200.0]))
        assert session.run(two).tolist() == [[100.0, 200.0]]
        np.testing.assert_allclose(session.run(one) - Y, [[99.5, 200.5]] * 2)


def test_an_output_that_is_an_input_comes_back_itself(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs={"default": x, "doubled": 2.0 * x})

    x = tf.constant([3.0])
    for module in (hub.Module(hub.create_module_spec(module_fn)), hub.Module(publish(module_fn, tmp_path / "module"))):
        found = module(x, as_dict=True)
        assert found["default"] is x
        assert evaluated(found["doubled"]).tolist() == [6.0]
        assert evaluated(module([4.0])).tolist() == [4.0]


def test_an_output_may_be_a_variables_value_or_a_constant(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        w = variable("w", [5.0])
        hub.add_signature(outputs={"value": w.value(), "read": w.read_value(), "constant": tf.constant(7)})

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    assert evaluated(module(as_dict=True)) == {"value": [5.0], "read": [5.0], "constant": 7}


@pytest.mark.parametrize("use_resource", [False, True])
def test_a_variable_as_an_output_stands_for_its_value(graph: tf.Graph, tmp_path: Path, use_resource: bool) -> None:
    path = publish(lambda: hub.add_signature(outputs=variable("w", [5.0], use_resource=use_resource)), tmp_path / "m")
    assert evaluated(hub.Module(path)()) == [5.0]


def test_one_tensor_may_be_two_inputs_and_two_outputs(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        y = x + 1.0
        hub.add_signature("ins", {"a": x}, {"default": y, "same": y})
        hub.add_signature("outs", {"a": x}, {"default": y})

    module = hub.Module(hub.create_module_spec(module_fn))
    found = module({"a": 1.0}, signature="ins", as_dict=True)
    assert evaluated(found) == {"default": 2.0, "same": 2.0}
    assert evaluated(module(1.0, signature="outs")) == 2.0


def test_an_unused_input_is_taken(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x, unused = v1.placeholder(tf.float32, []), v1.placeholder(tf.string, [None])
        hub.add_signature(inputs={"x": x, "unused": unused}, outputs=x * 2.0)

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    assert evaluated(module({"x": 1.0, "unused": ["a"]})) == 2.0


def test_a_fed_tensor_may_lie_behind_another_input(graph: tf.Graph) -> None:
    # Each input cuts the graph where it is: `middle` does not look at `x` once it is given.
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        middle = tf.identity(x * 2.0, name="middle")
        hub.add_signature("default", x, middle + 1.0)
        hub.add_signature("from_middle", {"middle": middle}, middle + 1.0)
        hub.add_signature("both", {"x": x, "middle": middle}, middle + x)

    module = hub.Module(hub.create_module_spec(module_fn))
    assert evaluated(module(5.0)) == 11.0
    assert evaluated(module(5.0, signature="from_middle")) == 6.0
    assert evaluated(module({"x": 1.0, "middle": 10.0}, signature="both")) == 11.0


def test_an_input_may_be_a_placeholder_with_default(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        scale = v1.placeholder_with_default(3.0, [])
        hub.add_signature("default", x, x * scale)
        hub.add_signature("scaled", {"x": x, "scale": scale}, x * scale)

    module = hub.Module(hub.create_module_spec(module_fn))
    assert evaluated(module(2.0)) == 6.0
    assert evaluated(module({"x": 2.0, "scale": 5.0}, signature="scaled")) == 10.0


@pytest.mark.parametrize("batch", [None, 3])
def test_static_shapes(graph: tf.Graph, spec: hub.ModuleSpec | str, batch: int | None) -> None:
    y = hub.Module(spec)(v1.placeholder(tf.float32, [batch, 2]))
    assert y.shape.as_list() == [batch, 2]


def test_static_shapes_that_only_the_signature_knows(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        y = v1.placeholder_with_default(x * 2.0, [None])
        y.set_shape([4])
        hub.add_signature(inputs=x, outputs=y)

    assert hub.Module(publish(module_fn, tmp_path / "module"))([0.0] * 4).shape.as_list() == [4]


def test_what_is_not_asked_for_does_not_run(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [])
        seen = variable("seen", 0.0, trainable=False)
        with tf.control_dependencies([v1.assign_add(seen, 1.0)]):
            counting = tf.identity(x)
        with tf.control_dependencies([v1.Assert(x < 0.0, ["always"])]):
            failing = tf.identity(x)
        hub.add_signature(inputs=x, outputs={"default": x * 2.0, "counting": counting, "failing": failing})

    module = hub.Module(hub.create_module_spec(module_fn))
    found = module(1.0, as_dict=True)
    with started() as session:
        assert session.run(found["default"]) == 2.0
        assert session.run(module.variable_map["seen"]) == 0.0
        assert session.run(found["counting"]) == 1.0
        assert session.run(module.variable_map["seen"]) == 1.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="always"):
            session.run(found["failing"])


def narrow_and_wide() -> None:
    """A signature of two nodes beside one of three hundred, which also reads a variable of its own."""
    x = v1.placeholder(tf.float32, [], name="x")
    y = x
    w = variable("w", 1.0)
    for _ in range(150):
        y = tf.sin(y) + w
    hub.add_signature("default", x, tf.exp(x))
    hub.add_signature("wide", x, y)


@pytest.mark.parametrize("published", [False, True])
def test_only_the_nodes_that_the_signature_needs_are_added(graph: tf.Graph, published: bool, tmp_path: Path) -> None:
    spec = publish(narrow_and_wide, tmp_path / "m") if published else hub.create_module_spec(narrow_and_wide)
    module = hub.Module(spec)
    x = tf.constant(0.0)
    added = []
    for signature in ("default", "default", "wide", "wide"):
        before = len(graph.get_operations())
        module(x, signature=signature)
        added.append(len(graph.get_operations()) - before)
    assert added[0] == added[1] <= 3
    assert 300 <= added[2] == added[3] <= 460


def test_construction_adds_the_state_alone(graph: tf.Graph, tmp_path: Path) -> None:
    hub.Module(publish(narrow_and_wide, tmp_path / "module"))
    assert "Sin" not in op_types(graph)
    assert "Placeholder" not in op_types(graph)
    assert len(graph.get_operations()) <= 20


def test_no_call_adds_a_placeholder(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    hub.Module(spec)(X)
    assert "Placeholder" not in op_types(graph)


def test_a_multi_output_op_feeds_several_outputs(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [4])
        a, b = tf.split(x, 2)
        top, where = tf.nn.top_k(x, 1)
        hub.add_signature(inputs=x, outputs={"default": b, "a": a, "top": top, "where": where})

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    found = evaluated(module([1.0, 9.0, 3.0, 4.0], as_dict=True))
    assert {name: value.tolist() for name, value in found.items()} == {
        "default": [3.0, 4.0],
        "a": [1.0, 9.0],
        "top": [9.0],
        "where": [1],
    }


def test_random_ops_differ_between_runs(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=x + tf.random.normal(tf.shape(x)))

    y = hub.Module(hub.create_module_spec(module_fn))([0.0, 0.0, 0.0])
    with started() as session:
        assert session.run(y).tolist() != session.run(y).tolist()


def test_a_function_inside_the_module_is_carried_along(graph: tf.Graph, tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def squared(x: tf.Tensor) -> tf.Tensor:
        return x * x

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=squared(x) * variable("w", 2.0))

    module = hub.Module(publish(module_fn, tmp_path / "module"))
    assert evaluated([module([3.0]), module([4.0])])[1].tolist() == [32.0]


def test_a_function_that_reads_a_variable(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        w = variable("w", 2.0)

        @tf.function(autograph=False)
        def scaled(x: tf.Tensor) -> tf.Tensor:
            return x * w

        hub.add_signature(inputs=x, outputs=scaled(x))

    module = hub.Module(publish(module_fn, tmp_path / "module", {"w": 5.0}))
    assert evaluated(module([3.0])).tolist() == [15.0]


def test_several_modules_side_by_side(graph: tf.Graph, spec: hub.ModuleSpec | str) -> None:
    one, two = hub.Module(spec, name="one"), hub.Module(hub.create_module_spec(doubling), name="two")
    assert evaluated(two(one(X)[0])).tolist() == [15.0, 19.0]
