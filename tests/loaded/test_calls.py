"""What a LoadedModule takes, gives, and runs."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import (
    BIAS,
    WEIGHTS,
    affine,
    doubling,
    lookup,
    loops_of_v1,
    normalizing_spec,
    partitioned,
    publish,
    summing_loop,
    v1,
    variable,
)
from tests.refusals import refused

X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)


def test_an_affine_module(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"))
    np.testing.assert_allclose(module(X).numpy(), X @ WEIGHTS + BIAS, rtol=1e-6)
    assert module(X).shape == (2, 2)
    assert list(module(X, as_dict=True)) == ["default"]


@pytest.mark.parametrize(
    "given",
    [X, X.tolist(), tf.constant(X), tf.Variable(X), X.astype(np.float64), {"default": X}, list(X)],
    ids=["array", "list", "tensor", "variable", "float64", "dict", "rows"],
)
def test_kinds_of_input(tmp_path: Path, given: Any) -> None:
    module = hub.load(publish(doubling_pairs, tmp_path / "m"))
    np.testing.assert_array_equal(module(given).numpy(), 2 * X)


def doubling_pairs() -> None:
    """x [batch, 2] -> 2 x."""
    x = v1.placeholder(tf.float32, [None, 2])
    hub.add_signature(inputs=x, outputs=2 * x)


def test_a_module_without_state(tmp_path: Path) -> None:
    module = hub.load(publish(doubling, tmp_path / "m"))
    assert module([1.0, 2.0]).numpy().tolist() == [2.0, 4.0]
    assert module.variables == module.trainable_variables == ()


def test_a_module_without_inputs(tmp_path: Path) -> None:
    def module_fn() -> None:
        hub.add_signature(outputs=variable("w", [1.0, 2.0]))

    module = hub.load(publish(module_fn, tmp_path / "m"))
    assert module().numpy().tolist() == [1.0, 2.0]
    assert module.signatures["default"]()["default"].numpy().tolist() == [1.0, 2.0]


def test_partitions_are_variables_of_their_own(tmp_path: Path) -> None:
    module = hub.load(publish(partitioned, tmp_path / "m"))
    assert module([0, 9]).numpy().tolist() == [[0.0, 1.0], [18.0, 19.0]]
    assert [part.shape[0] for part in module.variable_map["part/table"]] == [4, 3, 3]
    assert len(module.variables) == 3


def test_a_vocabulary(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("cat\ndog\n")
    module = hub.load(publish(lookup(words), tmp_path / "m"))
    words.unlink()
    assert module(["dog", "cow", "cat"]).numpy().tolist() == [1, -1, 0]


def test_an_output_that_is_an_asset(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("cat\ndog\n")

    def module_fn() -> None:
        path = tf.constant(str(words))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        hub.add_signature("vocabulary", outputs=path)

    module = hub.load(publish(module_fn, tmp_path / "m"))
    path = Path(module(signature="vocabulary").numpy().decode())
    assert path == tmp_path / "m" / "assets" / "words.txt"


def test_sparse_and_ragged(tmp_path: Path) -> None:
    def module_fn() -> None:
        sparse = v1.sparse_placeholder(tf.float32, [None, 3])
        ragged = v1.ragged.placeholder(tf.int64, 1, [])
        hub.add_signature("sparse", inputs=sparse, outputs={"default": tf.sparse.to_dense(sparse), "same": sparse})
        hub.add_signature("ragged", inputs=ragged, outputs={"default": ragged + 1})

    module = hub.load(publish(module_fn, tmp_path / "m"))
    sparse = tf.sparse.from_dense([[0.0, 1.0, 0.0]])
    outputs = module(sparse, signature="sparse", as_dict=True)
    assert outputs["default"].numpy().tolist() == [[0.0, 1.0, 0.0]]
    assert outputs["same"].values.numpy().tolist() == [1.0]
    ragged = tf.ragged.constant([[1], [2, 3]], dtype=tf.int64)
    assert module(ragged, signature="ragged").to_list() == [[2], [3, 4]]
    assert module.signatures["ragged"](default=ragged)["default"].to_list() == [[2], [3, 4]]
    assert module.signatures["sparse"](default=sparse)["default"].numpy().tolist() == [[0.0, 1.0, 0.0]]


def test_training_takes_the_train_variant_and_updates_once_per_call(tmp_path: Path) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"))
    mean = module.variable_map["mean"]
    np.testing.assert_array_equal(module(X).numpy(), X * [1, 2])
    assert mean.numpy().tolist() == [0.0, 0.0]
    np.testing.assert_allclose(module(X, training=True).numpy(), (X - X.mean(0)) * [1, 2])
    np.testing.assert_allclose(mean.numpy(), 0.5 * X.mean(0))
    module(X, training=True)
    np.testing.assert_allclose(mean.numpy(), 0.75 * X.mean(0))
    np.testing.assert_allclose(module(X).numpy(), (X - 0.75 * X.mean(0)) * [1, 2], rtol=1e-6)


@pytest.mark.parametrize("use", ["output", "nothing", "gradient"])
def test_updates_run_in_functions_whatever_is_used(tmp_path: Path, use: str) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"))

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(module(X, training=True))
        if use == "gradient":
            return tape.gradient(loss, module.trainable_variables)
        return loss if use == "output" else tf.constant(0)

    step()
    np.testing.assert_allclose(module.variable_map["mean"].numpy(), 0.5 * X.mean(0))
    step()
    np.testing.assert_allclose(module.variable_map["mean"].numpy(), 0.75 * X.mean(0))


@pytest.mark.parametrize("tags", [{"train"}, ["train"], ("train",), frozenset({"train"})])
def test_tags_pick_a_variant(tmp_path: Path, tags: Any) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"), tags)
    assert module.tags == {"train"}
    np.testing.assert_allclose(module(X).numpy(), (X - X.mean(0)) * [1, 2])
    assert module.variable_map["mean"].numpy().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("tags", [None, [], set(), ()])
def test_no_tags_are_the_variant_without_tags(tmp_path: Path, tags: Any) -> None:
    module = hub.load(publish(normalizing_spec(), tmp_path / "m"), tags)
    assert module.tags == frozenset()


def test_the_only_variant_needs_no_tags(tmp_path: Path) -> None:
    spec = hub.create_module_spec(affine, [({"gpu"}, {})])
    with tf.Graph().as_default(), v1.Session() as session:
        instance = hub.Module(spec, tags={"gpu"})
        session.run(v1.global_variables_initializer())
        instance.export(str(tmp_path / "m"), session)
    assert hub.load(tmp_path / "m").tags == {"gpu"}


def with_momentum() -> None:
    """images [batch], and a momentum that need not be given."""
    x = v1.placeholder(tf.float32, [None])
    momentum = v1.placeholder_with_default(0.5, [], name="momentum")
    hub.add_signature("hparams", inputs={"images": x, "momentum": momentum}, outputs=x * momentum)


def test_inputs_that_have_a_default_may_be_left_out(tmp_path: Path) -> None:
    module = hub.load(publish(with_momentum, tmp_path / "m"))
    images = [2.0, 4.0]
    assert module({"images": images, "momentum": 0.25}, signature="hparams").numpy().tolist() == [0.5, 1.0]
    assert module({"images": images}, signature="hparams").numpy().tolist() == [1.0, 2.0]
    assert module(images, signature="hparams").numpy().tolist() == [1.0, 2.0]


def test_only_what_the_output_needs_runs(tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        with tf.control_dependencies([v1.assert_positive(x, message="the other output needs positive numbers")]):
            other = tf.identity(x)
        hub.add_signature(inputs=x, outputs={"default": x + 1, "other": other})

    module = hub.load(publish(module_fn, tmp_path / "m"))
    assert module([-1.0]).numpy().tolist() == [0.0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive numbers"):
        module([-1.0], as_dict=True)


def test_gradients_of_a_loop_of_v1(tmp_path: Path) -> None:
    with loops_of_v1():
        path = publish(summing_loop, tmp_path / "m")
    module = hub.load(path)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = module(x)
    np.testing.assert_array_equal(y.numpy(), X + np.array([3, 30]))
    to_x, to_w = tape.gradient(y, [x, module.variable_map["w"]])
    np.testing.assert_array_equal(to_x.numpy(), np.ones_like(X))
    np.testing.assert_array_equal(to_w.numpy(), [6.0, 6.0])


def test_regularization_losses(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"))
    (loss,) = module.regularization_losses
    np.testing.assert_allclose(loss().numpy(), 0.5 * (WEIGHTS**2).sum())
    with tf.GradientTape() as tape:
        value = loss()
    np.testing.assert_allclose(tape.gradient(value, module.variable_map["w"]).numpy(), WEIGHTS)


def test_losses_of_activations_come_with_the_call(tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        y = x * variable("w", 2.0)
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(y * y))
        hub.add_signature(inputs=x, outputs=y)

    module = hub.load(publish(module_fn, tmp_path / "m"))
    assert module.regularization_losses == []
    output, losses = module.call_with_losses([1.0, 2.0], training=True)
    assert output.numpy().tolist() == [2.0, 4.0]
    assert [loss.numpy() for loss in losses] == [20.0]
    assert module.call_with_losses([1.0, 2.0])[1] == []


def test_the_rest_of_the_face(tmp_path: Path) -> None:
    path = publish(normalizing_spec(), tmp_path / "m")
    module = hub.load(path)
    assert module.get_signature_names() == list(module.signatures) == ["default"]
    assert module.get_input_info_dict()["default"].get_shape().as_list() == [None, 2]
    assert module.get_output_info_dict()["default"].dtype == tf.float32
    assert module.get_attached_message("absent", hub.ImageModuleInfo) is None
    assert [variable.name for variable in module.variables] == ["gamma:0", "mean:0"]
    assert [variable.name for variable in module.trainable_variables] == ["gamma:0"]
    assert [variable.name for variable in module.non_trainable_variables] == ["mean:0"]
    assert str(tmp_path) in repr(module)
    assert isinstance(module, tf.Module)


def test_signatures_are_functions_of_keyword_tensors(tmp_path: Path) -> None:
    module = hub.load(publish(with_momentum, tmp_path / "m"))
    signature = module.signatures["hparams"]
    outputs = signature(images=tf.constant([2.0]), momentum=tf.constant(3.0))
    assert {name: value.numpy().tolist() for name, value in outputs.items()} == {"default": [6.0]}
    assert set(signature.structured_outputs) == {"default"}
    assert module.signatures["hparams"] is signature


def test_parents_find_the_variables(tmp_path: Path) -> None:
    class Parent(tf.Module):
        def __init__(self, module: hub.LoadedModule) -> None:
            super().__init__()
            self.encoder = module
            self.head = tf.Variable([1.0])

    module = hub.load(publish(affine, tmp_path / "m"))
    assert len(Parent(module).trainable_variables) == 3
    module.freeze()
    assert len(Parent(module).trainable_variables) == 1


def test_checkpoints_hold_a_module_by_the_names_of_its_variables(tmp_path: Path) -> None:
    path = publish(affine, tmp_path / "m")
    module = hub.load(path)
    module.variable_map["w"].assign(2 * WEIGHTS)
    saved = tf.train.Checkpoint(encoder=module).write(str(tmp_path / "checkpoint"))
    other = hub.load(path)
    tf.train.Checkpoint(encoder=other).read(saved).assert_consumed()
    np.testing.assert_array_equal(other.variable_map["w"].numpy(), 2 * WEIGHTS)


def test_a_spec_is_a_handle_too(tmp_path: Path) -> None:
    spec = hub.load_module_spec(publish(affine, tmp_path / "m"))
    np.testing.assert_allclose(hub.load(spec)(X).numpy(), X @ WEIGHTS + BIAS, rtol=1e-6)


def test_one_output_by_name(tmp_path: Path) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs={"half": x / 2, "double": x * 2})

    module = hub.load(publish(module_fn, tmp_path / "m"))
    assert module.call_with_losses([2.0], output_key="half")[0].numpy().tolist() == [1.0]


def test_image_modules_say_their_size(tmp_path: Path) -> None:
    def module_fn() -> None:
        images = v1.placeholder(tf.float32, [None, 4, 8, 3])
        hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))

    module = hub.load(publish(module_fn, tmp_path / "m"))
    assert hub.get_expected_image_size(module) == [4, 8]
    assert hub.get_num_image_channels(module) == 3


def test_a_table_that_is_filled_from_another(tmp_path: Path) -> None:
    def module_fn() -> None:
        first = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), -1, name="z_first")
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)):
            looked_up = 10 * first.lookup(tf.constant(["b", "a"]))
        second = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["x", "y"], looked_up), -1, name="a_second"
        )
        words = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=words, outputs=second.lookup(words))

    module = hub.load(publish(module_fn, tmp_path / "m"))
    assert module(["x", "y", "z"]).numpy().tolist() == [20, 10, -1]


def test_copies(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"), trainable="w")
    module.variable_map["b"].assign([7.0, 8.0])
    copied = copy.deepcopy(module)
    np.testing.assert_array_equal(copied(X).numpy(), module(X).numpy())
    assert [variable.name for variable in copied.trainable_variables] == ["w:0"]
    copied.variable_map["b"].assign([0.0, 0.0])
    assert module.variable_map["b"].numpy().tolist() == [7.0, 8.0]
    with refused(hub.errors.InvalidArgumentError, TypeError, says=("export(path)",)):
        pickle.dumps(module)


def test_errors_leave_functions_as_they_are(tmp_path: Path) -> None:
    module = hub.load(publish(affine, tmp_path / "m"))

    @tf.function  # AutoGraph, which converts it, makes other errors of most
    def call(x: tf.Tensor) -> tf.Tensor:
        return module(x, signature="other")

    with refused(hub.errors.UnknownSignatureError, ValueError, KeyError, says=("'other'",)):
        call(X)
    with refused(hub.errors.UnknownSignatureError, says=("'other'",)):
        tf.data.Dataset.from_tensor_slices(X).map(lambda x: module(x, signature="other"))


def test_names_of_inputs_that_tensorflow_cannot_tell_apart(tmp_path: Path) -> None:
    def module_fn() -> None:
        inputs = {"a$b": v1.placeholder(tf.float32, [None]), "a_b": v1.placeholder(tf.float32, [None])}
        hub.add_signature(inputs=inputs, outputs=inputs["a$b"] - inputs["a_b"])

    module = hub.load(publish(module_fn, tmp_path / "m"))
    given = {"a$b": [3.0], "a_b": [1.0]}
    assert module(given).numpy().tolist() == [2.0]
    with refused(hub.errors.InvalidArgumentError, says=("'a$b'", "m(inputs")):
        module.signatures["default"]
    tf.saved_model.save(module, str(tmp_path / "saved"))
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    assert saved({key: tf.constant(value) for key, value in given.items()}).numpy().tolist() == [2.0]
