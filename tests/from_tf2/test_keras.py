"""Keras models as modules: what hub.Module computes with them, and how they train there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import collected, evaluated, started

# tf_keras 2.18 draws its seeds so.
pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")

v1 = tf.compat.v1
TRAIN = {"train"}
X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def exported(model: Any, path: Path, **options: Any) -> str:
    hub.export_module(model, path / "module", **options)
    return str(path / "module")


def tf_keras() -> Any:
    return pytest.importorskip("tf_keras")


def perceptron(api: Any) -> Any:
    """Dense layers under batch normalization and dropout, the first with a loss and with swish."""
    api.utils.set_random_seed(0)
    model = api.Sequential(
        [
            api.layers.InputLayer((3,)),
            api.layers.Dense(4, activation="swish", kernel_regularizer=api.regularizers.L2(0.1), name="first"),
            api.layers.BatchNormalization(momentum=0.5, name="norm"),
            api.layers.Dense(2, name="last"),
        ]
    )
    model.get_layer("norm").set_weights([np.float32(each) for each in ([1] * 4, [0] * 4, [0.5] * 4, [2] * 4)])
    return model


class Residual(keras.Model):
    """A subclassed model that is not built before it is called."""

    def __init__(self) -> None:
        super().__init__(name="residual")
        self.dense = keras.layers.Dense(3)
        self.dropout = keras.layers.Dropout(0.5)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return {"default": inputs + self.dropout(self.dense(inputs), training=training), "inputs": inputs}


@pytest.mark.parametrize("api", [lambda: keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_sequential_model(tmp_path: Path, api: Callable[[], Any]) -> None:
    model = perceptron(api())
    path = exported(model, tmp_path)
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X), model(X), rtol=1e-5)
    spec = hub.load_module_spec(path)
    assert spec.get_tags() == [frozenset(), frozenset(TRAIN)]
    assert spec.get_input_info_dict()["default"].shape.as_list() == [None, 3]
    assert spec.get_output_info_dict()["default"].shape.as_list() == [None, 2]


@pytest.mark.parametrize("api", [lambda: keras, tf_keras], ids=["keras", "tf_keras"])
def test_its_variables_have_their_names_and_collections(tmp_path: Path, api: Callable[[], Any]) -> None:
    path = exported(perceptron(api()), tmp_path)
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True, tags=TRAIN)
        module(X)
        assert sorted(module.variable_map) == [
            "first/bias", "first/kernel", "last/bias", "last/kernel",
            "norm/beta", "norm/gamma", "norm/moving_mean", "norm/moving_variance",
        ]  # fmt: skip
        assert len(collected(v1.GraphKeys.GLOBAL_VARIABLES)) == len(collected(v1.GraphKeys.MODEL_VARIABLES)) == 8
        assert len(collected(v1.GraphKeys.TRAINABLE_VARIABLES)) == 6
        assert len(collected(v1.GraphKeys.UPDATE_OPS)) == 2
        assert len(collected(v1.GraphKeys.REGULARIZATION_LOSSES)) == 1


@pytest.mark.parametrize("api", [lambda: keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_step_of_training_is_that_of_a_tape(tmp_path: Path, api: Callable[[], Any]) -> None:
    model = perceptron(api())
    path = exported(model, tmp_path)
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True, tags=TRAIN)
        outputs = module(X)
        penalty = v1.losses.get_regularization_loss()
        loss = tf.reduce_sum(outputs**2) + penalty
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        with started() as session:
            before = session.run(module.variable_map)
            seen = session.run([outputs, penalty])
            # Outputs alone change nothing.
            unchanged = session.run(module.variable_map)
            session.run(train_op)
            after = session.run(module.variable_map)
    with tf.GradientTape() as tape:
        expected = model(X, training=True)
        losses = tf.add_n(model.losses)
        total = tf.reduce_sum(expected**2) + losses
    trained = model.trainable_variables
    for variable, gradient in zip(trained, tape.gradient(total, trained), strict=True):
        variable.assign(variable - 0.1 * gradient)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(seen[1], losses, rtol=1e-5)
    for name, value in before.items():
        np.testing.assert_array_equal(unchanged[name], value)
    for variable in model.variables:
        name = getattr(variable, "path", variable.name).removeprefix(f"{model.name}/").removesuffix(":0")
        np.testing.assert_allclose(after[name], variable, rtol=1e-3, atol=1e-5, err_msg=name)
        assert np.any(after[name] != before[name])


def test_updates_of_a_layer_that_is_called_twice_follow_each_other(tmp_path: Path) -> None:
    norm = keras.layers.BatchNormalization(momentum=0.5)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, norm(2.0 * norm(inputs) + 1.0))
    path = exported(model, tmp_path)
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True, tags=TRAIN)
        outputs = module(X)
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        assert len(updates) == 4
        with started() as session:
            seen = session.run([outputs, updates])[0]
            moved = session.run(module.variable_map)
    np.testing.assert_allclose(seen, model(X, training=True), rtol=1e-4, atol=1e-5)
    for variable in norm.variables:
        np.testing.assert_allclose(moved[variable.path], variable, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("api", [lambda: keras, tf_keras], ids=["keras", "tf_keras"])
def test_dropout_is_drawn_anew_at_every_step(tmp_path: Path, api: Callable[[], Any]) -> None:
    api().utils.set_random_seed(1)  # which is not to be published
    model = api().Sequential([api().layers.InputLayer((100,)), api().layers.Dropout(0.5)])
    path = exported(model, tmp_path)
    ones = np.ones([2, 100], np.float32)
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_array_equal(f(ones), ones)
    with tf.Graph().as_default():
        module = hub.Module(path, tags=TRAIN)
        outputs = [module(ones), module(ones)]
        with started() as session:
            first, second = session.run(outputs)
            third, _ = session.run(outputs)
    assert set(np.unique(first)) == {0.0, 2.0}
    assert np.any(first != second)
    assert np.any(first != third)


def test_dropout_needs_no_variable(tmp_path: Path) -> None:
    path = exported(keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5)]), tmp_path)
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True, tags=TRAIN)
        module(X)
        assert module.variable_map == {}
        assert collected(v1.GraphKeys.UPDATE_OPS) == []


def test_a_model_that_trains_as_it_infers_has_one_variant(tmp_path: Path) -> None:
    path = exported(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), tmp_path)
    assert hub.load_module_spec(path).get_tags() == [frozenset()]


@pytest.mark.parametrize("built", [False, True])
def test_a_subclassed_model(tmp_path: Path, built: bool) -> None:
    model = Residual()
    if built:
        model(X)
    path = exported(model, tmp_path, inputs=tf.TensorSpec([None, 3]))
    with hub.eval_function_for_module(path) as f:
        outputs = f(X, as_dict=True)
    np.testing.assert_allclose(outputs["default"], model(X)["default"], rtol=1e-5)
    np.testing.assert_array_equal(outputs["inputs"], X)
    assert len(hub.load_module_spec(path).get_tags()) == 2


def test_a_subclassed_model_of_keras_2_remembers_its_inputs(tmp_path: Path) -> None:
    api = tf_keras()

    class Twice(api.Model):  # type: ignore[misc, name-defined]
        def call(self, inputs: Any) -> Any:
            return 2.0 * inputs

    model = Twice()
    model(X)
    with hub.eval_function_for_module(exported(model, tmp_path)) as f:
        np.testing.assert_array_equal(f(X), 2.0 * X)


def test_a_layer(tmp_path: Path) -> None:
    layer = keras.layers.Dense(2)
    path = exported(layer, tmp_path, inputs=tf.TensorSpec([None, 3], name="features"))
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f({"features": X}), layer(X), rtol=1e-5)


@pytest.mark.parametrize("as_dict", [False, True])
def test_several_inputs_and_outputs(tmp_path: Path, as_dict: bool) -> None:
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    tall = keras.layers.Dense(2, name="tall")(joined)
    wide = keras.layers.Dense(4, name="wide")(joined)
    inputs = {"right": right, "left": left} if as_dict else [right, left]
    model = keras.Model(inputs, {"tall": tall, "wide": wide} if as_dict else [tall, wide])
    path = exported(model, tmp_path)
    values = {"left": X, "right": X[:, :2]}
    expected = model(values if as_dict else [values["right"], values["left"]])
    expected = expected if as_dict else dict(zip(["tall", "wide"], expected, strict=True))
    with hub.eval_function_for_module(path) as f:
        outputs = f(values, as_dict=True)
    assert sorted(outputs) == ["tall", "wide"]
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-5)


@pytest.mark.parametrize("api", [lambda: keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("nest", [lambda x: x, lambda x: [x], lambda x: {"x": x}], ids=["tensor", "list", "dict"])
def test_one_input(tmp_path: Path, api: Callable[[], Any], nest: Callable[[Any], Any]) -> None:
    x = api().Input((3,), name="x")
    model = api().Model(nest(x), api().layers.Dense(2)(x))
    name = "x" if isinstance(nest(x), dict) else "default"
    with hub.eval_function_for_module(exported(model, tmp_path)) as f:
        np.testing.assert_allclose(f({name: X}), model(nest(X)), rtol=1e-5)


@pytest.mark.parametrize("from_file", [False, True])
def test_text(tmp_path: Path, from_file: bool) -> None:
    words = ["red", "green", "blue"]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n")
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="string"),
            keras.layers.StringLookup(vocabulary=str(tmp_path / "words.txt") if from_file else words),
            keras.layers.Embedding(4, 2),
            keras.layers.GlobalAveragePooling1D(),
        ]
    )
    given = np.array([["red", "blue"], ["mauve", "green"]])
    expected = model(tf.constant(given)).numpy()
    path = exported(model, tmp_path)
    (tmp_path / "words.txt").unlink()
    assert sorted(each.name for each in Path(path).glob("assets/*")) == (["words.txt"] if from_file else [])
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(given), expected, rtol=1e-6)


def test_text_vectorization(tmp_path: Path) -> None:
    layer = keras.layers.TextVectorization(output_sequence_length=3, vocabulary=["the", "cat"])
    model = keras.Sequential([keras.Input((), dtype="string"), layer])
    given = np.array(["The cat!", "a cat sat"])
    with hub.eval_function_for_module(exported(model, tmp_path)) as f:
        assert f(given).tolist() == model(tf.constant(given)).numpy().tolist() == [[2, 3, 0], [1, 3, 1]]


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_layers(tmp_path: Path, layer: str) -> None:
    model = keras.Sequential([keras.Input((5, 3)), getattr(keras.layers, layer)(4)])
    steps = np.random.default_rng(1).normal(size=(2, 5, 3)).astype(np.float32)
    path = exported(model, tmp_path)
    with tf.GradientTape() as tape:
        expected = model(steps)
        total = tf.reduce_sum(expected**2)
    kernel = model.trainable_variables[0]
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True)
        outputs = module(steps)
        name = kernel.path.removeprefix(f"{model.name}/")
        gradient = tf.gradients(tf.reduce_sum(outputs**2), [module.variable_map[name]])[0]
        seen = evaluated([outputs, gradient])
        assert collected(v1.GraphKeys.UPDATE_OPS) == []
    np.testing.assert_allclose(seen[0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(seen[1], tape.gradient(total, kernel), rtol=1e-3, atol=1e-5)


def test_dropout_in_a_loop(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4, dropout=0.5, recurrent_dropout=0.5)])
    steps = np.ones([2, 5, 3], np.float32)
    path = exported(model, tmp_path)
    with hub.eval_function_for_module(path, TRAIN) as f:
        assert np.any(f(steps) != f(steps))
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(steps), model(steps), rtol=1e-5)


def test_models_that_share_layers_as_signatures(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(4, name="hidden")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="top")(hidden))
    path = exported(model, tmp_path, signatures={"default": model, "features": keras.Model(inputs, hidden)})
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X), model(X), rtol=1e-5)
        np.testing.assert_allclose(f(X, signature="features"), keras.Model(inputs, hidden)(X), rtol=1e-5)
    assert len(tf.train.list_variables(f"{path}/variables/variables")) == 4
    assert len(hub.load_module_spec(path).get_tags()) == 2


def test_losses_on_activities_stay_behind(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.ActivityRegularization(0.1), keras.layers.Dense(2)])
    model(X)
    path = exported(model, tmp_path)
    with tf.Graph().as_default():
        hub.Module(path, trainable=True)(X)
        assert collected(v1.GraphKeys.REGULARIZATION_LOSSES) == []


def test_other_dtypes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(7, 3, dtype="bfloat16")])
    ids = np.array([[1, 6], [0, 3]], np.int32)
    with hub.eval_function_for_module(exported(model, tmp_path)) as f:
        outputs = f(ids)
    assert outputs.dtype == tf.bfloat16.as_numpy_dtype
    np.testing.assert_array_equal(outputs.astype(np.float32), tf.cast(model(ids), tf.float32))


def test_mixed_precision(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_float16")])
    with hub.eval_function_for_module(exported(model, tmp_path)) as f:
        np.testing.assert_array_equal(f(X), model(X))


def test_a_frozen_layer_stays_frozen(tmp_path: Path) -> None:
    model = perceptron(keras)
    model.get_layer("first").trainable = False
    path = exported(model, tmp_path)
    with tf.Graph().as_default():
        hub.Module(path, trainable=True)
        assert [name.rpartition("/")[0] for name in collected(v1.GraphKeys.TRAINABLE_VARIABLES)] == [
            "module/last", "module/last", "module/norm", "module/norm",
        ]  # fmt: skip
        assert collected(v1.GraphKeys.REGULARIZATION_LOSSES) == []


def test_a_trained_model_keeps_its_values_and_not_its_optimizer(tmp_path: Path) -> None:
    model = perceptron(keras)
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    path = exported(model, tmp_path)
    assert len(tf.train.list_variables(f"{path}/variables/variables")) == 8
    with hub.eval_function_for_module(path) as f:
        np.testing.assert_allclose(f(X), model(X), rtol=1e-5)


def test_a_model_with_a_custom_gradient_has_no_wrong_one(tmp_path: Path) -> None:
    @tf.custom_gradient
    def reversed_gradient(x: Any) -> Any:
        return tf.identity(x), lambda upstream: -upstream

    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: reversed_gradient(x))])
    path = exported(model, tmp_path)
    with tf.Graph().as_default():
        x = tf.constant(X)
        outputs = hub.Module(path)(x)
        np.testing.assert_array_equal(evaluated(outputs), X)
        with pytest.raises(LookupError, match="No gradient defined"):
            tf.gradients(outputs, x)


def test_a_model_that_was_never_called_needs_inputs(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=r"'residual'.* pass inputs=tf\.TensorSpec"):
        exported(Residual(), tmp_path)
    assert list(tmp_path.iterdir()) == []
