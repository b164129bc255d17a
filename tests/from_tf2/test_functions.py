"""tf.Modules and functions as modules: what hub.Module computes with them, and how their variables are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import collected, evaluated, op_types, started

v1 = tf.compat.v1
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
PAIRS = tf.TensorSpec([None, 2])


def exported(obj: Any, path: Path, *args: Any, **options: Any) -> str:
    hub.export_module(obj, path / "module", *args, **options)
    return str(path / "module")


class Affine(tf.Module):
    """x [batch, 2] -> x @ w + b; in training it counts its calls, and adds noise that the count scales."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable([[1.0, 2.0], [3.0, 4.0]], name="w")
        self.b = tf.Variable([0.5, -0.5], name="b")
        self.count = tf.Variable(0, trainable=False, name="count")
        self.regularization_losses = [lambda: 0.5 * tf.reduce_sum(self.w**2)]

    @tf.function
    def __call__(self, x: Any, training: bool = False) -> Any:
        if training:
            self.count.assign_add(1)
        return tf.matmul(x, self.w) + self.b


class Stack(tf.Module):
    """Two modules whose variables have the same names, one without any, and a variable that nothing tracks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = [Affine(), Affine()]
        self.unnamed = tf.Variable(2.0)
        hidden = tf.Variable(1.0, name="hidden")
        self.hidden = lambda: hidden

    @tf.function(input_signature=[PAIRS])
    def encode(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return {"codes": x * self.unnamed, "default": x + self.hidden()}

    @tf.function(input_signature=[tf.TensorSpec([], name="left"), tf.TensorSpec([])])
    def add(self, a: Any, b: Any) -> Any:
        return a + b, a - b


def test_a_module_that_trains(tmp_path: Path) -> None:
    module = Affine()
    path = exported(module, tmp_path, inputs=PAIRS)
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X), module(X))
    with tf.Graph().as_default():
        loaded = hub.Module(path, trainable=True, tags={"train"})
        outputs = loaded(X)
        assert sorted(loaded.variable_map) == ["b", "count", "w"]
        assert collected(v1.GraphKeys.TRAINABLE_VARIABLES) == ["module/b", "module/w"]
        (loss,) = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        gradient = tf.gradients(loss + tf.reduce_sum(outputs), loaded.variable_map["w"])[0]
        with started() as session:
            np.testing.assert_allclose(session.run(gradient), [[5.0, 6.0], [9.0, 10.0]])
            assert session.run([outputs, loaded.variable_map["count"]])[1] == 0
            session.run(updates)
            assert session.run(loaded.variable_map["count"]) == 1


def test_a_module_that_was_called(tmp_path: Path) -> None:
    module = Affine()
    module(X)
    module(X, training=True)
    path = exported(module, tmp_path)
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X), module(X))
    assert len(hub.load_module_spec(path).get_tags()) == 2


@pytest.mark.parametrize("decorated", [True, False])
def test_training_beside_an_input_signature(tmp_path: Path, decorated: bool) -> None:
    class Doubling(tf.Module):
        def call(self, x: Any, training: bool = True) -> Any:
            return 2.0 * x if training else x

        __call__ = tf.function(call, input_signature=[PAIRS]) if decorated else call

    path = exported(Doubling(), tmp_path, inputs=None if decorated else PAIRS)
    for tags, factor in ((None, 1.0), ({"train"}, 2.0)):
        with hub.eval_function_for_module(path, tags) as f:
            np.testing.assert_array_equal(f(X), factor * X)


def test_all_functions_of_an_object_without_a_call(tmp_path: Path) -> None:
    stack = Stack()
    path = exported(stack, tmp_path)
    spec = hub.load_module_spec(path)
    assert spec.get_signature_names() == ["add", "encode"]
    assert sorted(spec.get_input_info_dict("encode")) == ["default"]
    assert sorted(spec.get_input_info_dict("add")) == ["b", "left"]
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X, signature="encode"), stack.encode(X)["default"])
        assert f({"left": 3.0, "b": 2.0}, signature="add", as_dict=True) == {"output_0": 5.0, "output_1": 1.0}


def test_variables_of_one_name_are_called_by_their_paths(tmp_path: Path) -> None:
    path = exported(Stack(), tmp_path)
    names = [name for name, _ in tf.train.list_variables(f"{path}/variables/variables")]
    assert names == ["hidden", "parts/0/b", "parts/0/w", "parts/1/b", "parts/1/w", "unnamed"]


def test_chosen_functions(tmp_path: Path) -> None:
    module = Affine()
    plain = tf.function(lambda x: tf.nn.relu(module(x)))
    plain(X)
    concrete = tf.function(lambda tokens: tf.strings.length(tokens)).get_concrete_function(
        tf.TensorSpec([None], tf.string)
    )
    path = exported(module, tmp_path, signatures={"default": plain, "lengths": concrete})
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X), plain(X))
        assert f({"tokens": ["a", "bcd"]}, signature="lengths").tolist() == [1, 3]


def test_a_function_by_itself(tmp_path: Path) -> None:
    scale = tf.Variable(3.0, name="scale")

    @tf.function(input_signature=[{"a": tf.TensorSpec([]), "b": tf.TensorSpec([])}])
    def f(values: Any) -> Any:
        return scale * values["a"] - values["b"]

    with hub.eval_function_for_module(exported(f, tmp_path)) as g:
        assert g({"a": 2.0, "b": 1.0}) == 5.0


@pytest.mark.parametrize(
    "inputs",
    [{"a": tf.TensorSpec([]), "b": tf.TensorSpec([])}, [tf.TensorSpec([]), tf.TensorSpec([])]],
    ids=["by name", "by place"],
)
def test_a_plain_function_with_its_inputs(tmp_path: Path, inputs: Any) -> None:
    with hub.eval_function_for_module(exported(lambda a, b: a - b, tmp_path, inputs=inputs)) as g:
        assert g({"a": 2.0, "b": 0.5}) == 1.5


def test_what_tensorflow_loads(tmp_path: Path) -> None:
    module = Affine()
    signature = module.__call__.get_concrete_function(PAIRS)
    tf.saved_model.save(module, str(tmp_path / "saved_model"), signatures={"serving_default": signature})
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    path = exported(loaded, tmp_path, loaded.signatures)
    with hub.eval_function_for_module(path) as f:
        (outputs,) = f({"x": X}, signature="serving_default", as_dict=True).values()
    np.testing.assert_allclose(outputs, module(X))
    hub.export_module(loaded, tmp_path / "itself", inputs=PAIRS)
    with hub.eval_function_for_module(tmp_path / "itself") as f:
        np.testing.assert_allclose(f(X), module(X))


def test_a_module_without_inputs(tmp_path: Path) -> None:
    v = tf.Variable([1.0, 2.0], name="v")
    with hub.eval_function_for_module(exported(tf.function(lambda: v + 1.0, input_signature=[]), tmp_path)) as f:
        assert f().tolist() == [2.0, 3.0]


def test_sparse_and_ragged(tmp_path: Path) -> None:
    def f(sparse: Any, ragged: Any) -> Any:
        return {"dense": tf.sparse.to_dense(sparse), "ragged": 2 * ragged, "sparse": sparse * 2}

    inputs = {
        "sparse": tf.SparseTensorSpec([None, None], tf.int32),
        "ragged": tf.RaggedTensorSpec([None, None], tf.int32),
    }
    path = exported(f, tmp_path, inputs=inputs)
    with tf.Graph().as_default():
        values = {
            "sparse": tf.sparse.from_dense([[0, 1], [2, 0]]),
            "ragged": tf.ragged.constant([[1], [2, 3]]),
        }
        outputs = evaluated(hub.Module(path)(values, as_dict=True))
    assert outputs["dense"].tolist() == [[0, 1], [2, 0]]
    assert outputs["ragged"].to_list() == [[2], [4, 6]]
    assert outputs["sparse"].values.tolist() == [2, 4]


def test_nested_functions_become_nodes(tmp_path: Path) -> None:
    w = tf.Variable(3.0, name="w")

    @tf.function
    def inner(x: Any) -> Any:
        return x * w, x

    @tf.function
    def outer(x: Any) -> Any:
        first, second = inner(x)
        return inner(first)[0] + second

    path = exported(tf.function(lambda x: outer(x) + outer(2.0 * x)), tmp_path, inputs=tf.TensorSpec([]))
    with tf.Graph().as_default() as graph:
        module = hub.Module(path)
        x = tf.constant(1.0)
        y = module(x)
        assert not {"PartitionedCall", "StatefulPartitionedCall"} & set(op_types(graph))
        assert evaluated([y, *tf.gradients(y, [x, module.variable_map["w"]])]) == [30.0, 30.0, 18.0]


def test_a_compiled_function(tmp_path: Path) -> None:
    w = tf.Variable(3.0, name="w")
    compiled = tf.function(lambda x: tf.nn.silu(w * x), jit_compile=True, input_signature=[tf.TensorSpec([])])
    path = exported(compiled, tmp_path)
    with tf.Graph().as_default():
        x = tf.constant(0.5)
        y = hub.Module(path)(x)
        seen = evaluated([y, tf.gradients(y, x)[0]])
    x = tf.constant(0.5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.silu(w * x)
    np.testing.assert_allclose(seen, [y, tape.gradient(y, x)], rtol=1e-6)


def test_order_between_calls_is_kept(tmp_path: Path) -> None:
    v = tf.Variable(1.0, name="v")

    @tf.function
    def double() -> Any:
        v.assign(2.0 * v)
        return tf.constant(0)

    @tf.function
    def read() -> Any:
        return v.read_value()

    @tf.function
    def run(x: Any) -> Any:
        before = read()
        double()
        return {"before": before + x, "after": read() + x}

    path = exported(run, tmp_path, inputs=tf.TensorSpec([]))
    with hub.eval_function_for_module(path) as f:
        assert f(0.0, as_dict=True) == {"before": 1.0, "after": 2.0}


@pytest.mark.parametrize("flag", [True, False])
def test_branches_and_loops(tmp_path: Path, flag: bool) -> None:
    w = tf.Variable(3.0, name="w")

    @tf.function(input_signature=[tf.TensorSpec([]), tf.TensorSpec([], tf.bool)])
    def f(x: Any, flag: Any) -> Any:
        if flag:
            x = x * w
        else:
            for _ in tf.range(3):
                x = x + w
        return x

    path = exported(f, tmp_path)
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True)
        y = module({"x": tf.constant(1.0), "flag": tf.constant(flag)})
        assert collected(v1.GraphKeys.UPDATE_OPS) == []
        assert evaluated([y, tf.gradients(y, module.variable_map["w"])[0]]) == ([3.0, 1.0] if flag else [10.0, 3.0])


def test_updates_in_a_branch(tmp_path: Path) -> None:
    v = tf.Variable(1.0, name="v", trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([])])
    def f(x: Any) -> Any:
        if x > 0.0:
            v.assign_add(x)
        return 2.0 * x

    path = exported(f, tmp_path)
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True)
        y = module(tf.constant(5.0))
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        with started() as session:
            assert session.run([y, module.variable_map["v"]])[1] == 1.0
            session.run(updates)
            assert session.run(module.variable_map["v"]) == 6.0


def test_checks_run_with_the_outputs(tmp_path: Path) -> None:
    @tf.function
    def inner(x: Any) -> Any:
        tf.debugging.assert_positive(x, "must be positive")
        return x

    path = exported(lambda x: 2.0 * inner(x), tmp_path, inputs=tf.TensorSpec([]))
    with hub.eval_function_for_module(path) as f:
        assert f(1.0) == 2.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be positive"):
            f(-1.0)


def test_two_modules_with_loops_meet_in_one_graph(tmp_path: Path) -> None:
    def looping(factor: float) -> Any:
        return tf.function(
            lambda x: tf.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, s * factor), [0, x])[1],
            input_signature=[tf.TensorSpec([])],
        )

    paths = []
    for factor in (2.0, 3.0):
        paths.append(str(tmp_path / str(factor)))
        hub.export_module(looping(factor), paths[-1])
    with tf.Graph().as_default():
        assert evaluated([hub.Module(path)(1.0) for path in paths]) == [8.0, 27.0]


def test_the_same_object_gives_the_same_bytes(tmp_path: Path) -> None:
    module = Affine()
    for name in ("first", "second"):
        hub.export_module(module, tmp_path / name, inputs=PAIRS)
    first, second = ((tmp_path / name / "saved_model.pb").read_bytes() for name in ("first", "second"))
    assert first == second


def test_variables_of_other_kinds(tmp_path: Path) -> None:
    class Kinds(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = tf.Variable(["a", "b"], name="words", trainable=False)
            self.flags = tf.Variable([True, False], name="flags", trainable=False)
            self.brain = tf.Variable(tf.constant([1.5], tf.bfloat16), name="brain")
            self.rows = tf.Variable(np.ones([2, 3], np.float64), shape=[None, 3], name="rows")
            self.any = tf.Variable([[7]], shape=tf.TensorShape(None), name="any")
            self.empty = tf.Variable(tf.zeros([0, 2]), name="empty")

        @tf.function(input_signature=[])
        def __call__(self) -> Any:
            return {
                name: tf.identity(getattr(self, name)) for name in ("words", "flags", "brain", "rows", "any", "empty")
            }

    kinds = Kinds()
    with hub.eval_function_for_module(exported(kinds, tmp_path)) as f:
        outputs = f(as_dict=True)
    for name, value in kinds().items():
        np.testing.assert_array_equal(outputs[name], value.numpy())
