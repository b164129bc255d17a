"""module_fn's that cannot become a module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import affine, publish, started, variable
from tests.refusals import refused

v1 = tf.compat.v1


def placeholder(name: str = "x") -> tf.Tensor:
    """A scalar input."""
    return v1.placeholder(tf.float32, [], name=name)


def test_a_duplicate_signature(graph: tf.Graph) -> None:
    def module_fn() -> None:
        hub.add_signature("twice", outputs=tf.constant(1.0))
        hub.add_signature("twice", outputs=tf.constant(2.0))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("'twice'",)):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("first", [None, "default"])
def test_a_duplicate_default_signature(graph: tf.Graph, first: str | None) -> None:
    def module_fn() -> None:
        hub.add_signature(first, outputs=tf.constant(1.0))
        hub.add_signature(outputs=tf.constant(2.0))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("'default'",)):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("name", ["a b", "a\nb", "größe", "a$b", "a(b)"])
def test_an_illegal_signature_name(graph: tf.Graph, name: str) -> None:
    def module_fn() -> None:
        hub.add_signature(name, outputs=tf.constant(1.0))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=(repr(name),)):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("name", [7, b"default", ["a"]], ids=repr)
def test_a_signature_name_of_the_wrong_kind(graph: tf.Graph, name: Any) -> None:
    def module_fn() -> None:
        hub.add_signature(name, outputs=tf.constant(1.0))

    with refused(errors.ModhubError, ValueError, graph=graph, says=(repr(name),)):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("name", ["a", "A1", "a_b", "a-b", "a.b", "a/b", "a:b", "1a"])
def test_a_legal_signature_name(graph: tf.Graph, name: str) -> None:
    def module_fn() -> None:
        x = placeholder()
        hub.add_signature(name, x, x + 1.0)

    module = hub.Module(hub.create_module_spec(module_fn))
    y = module(1.0, signature=name)
    with started() as session:
        assert session.run(y) == 2.0


def test_no_signature(graph: tf.Graph) -> None:
    says = ("No signatures present", "hub.add_signature")
    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=says):
        hub.create_module_spec(lambda: None)


def test_no_signature_in_one_of_the_variants(graph: tf.Graph) -> None:
    def module_fn(declares: bool) -> None:
        if declares:
            hub.add_signature(outputs=tf.constant(1.0))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("hub.add_signature", "train")):
        hub.create_module_spec(module_fn, [(set(), {"declares": True}), ({"train"}, {"declares": False})])


@pytest.mark.parametrize(
    "declare",
    [
        lambda: hub.add_signature(outputs=tf.constant(1.0)),
        lambda: hub.attach_message("key", hub.ImageModuleInfo()),
        lambda: hub.attach_image_module_info(hub.ImageModuleInfo()),
    ],
    ids=["add_signature", "attach_message", "attach_image_module_info"],
)
def test_a_declaration_outside_a_module_fn(graph: tf.Graph, declare: Callable[[], None]) -> None:
    tf.constant(0.0)
    with pytest.raises(errors.DefinitionScopeError, match="module_fn") as caught:
        declare()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RuntimeError)
    assert [key for key in graph.get_all_collection_keys() if graph.get_collection(key)] == []


def test_a_declaration_after_the_module_fn(graph: tf.Graph) -> None:
    hub.create_module_spec(affine)
    with pytest.raises(errors.DefinitionScopeError):
        hub.add_signature(outputs=tf.constant(1.0))


def test_a_declaration_after_a_module_fn_that_failed(graph: tf.Graph) -> None:
    def module_fn() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hub.create_module_spec(module_fn)
    with pytest.raises(errors.DefinitionScopeError):
        hub.add_signature(outputs=tf.constant(1.0))
    assert hub.create_module_spec(affine).get_signature_names() == ["default"]


def test_a_declaration_in_eager_mode() -> None:
    assert tf.executing_eagerly()
    with refused(errors.DefinitionScopeError, ValueError, RuntimeError, says=("module_fn",)):
        hub.add_signature(outputs=tf.constant(1.0))


COLLECTIONS: dict[str, Callable[[], Any]] = {
    v1.GraphKeys.LOSSES: lambda: v1.losses.add_loss(tf.constant(1.0)),
    v1.GraphKeys.LOCAL_VARIABLES: lambda: v1.get_variable("local", [], collections=[v1.GraphKeys.LOCAL_VARIABLES]),
    v1.GraphKeys.GLOBAL_STEP: v1.train.get_or_create_global_step,
    v1.GraphKeys.SUMMARIES: lambda: v1.summary.scalar("s", tf.constant(1.0)),
    "my_own": lambda: v1.add_to_collection("my_own", tf.constant(1.0)),
}


@pytest.mark.parametrize("key", COLLECTIONS)
def test_an_unsupported_collection(graph: tf.Graph, key: str) -> None:
    def module_fn() -> None:
        COLLECTIONS[key]()
        hub.add_signature(outputs=tf.constant(1.0))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=(repr(key), "drop_collections")):
        hub.create_module_spec(module_fn)
    assert hub.create_module_spec(module_fn, drop_collections=[key]).get_signature_names() == ["default"]


def test_a_string_for_drop_collections() -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=("'losses'",)):
        hub.create_module_spec(affine, drop_collections="losses")


def test_the_same_tags_twice(graph: tf.Graph) -> None:
    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("train",)):
        hub.create_module_spec(affine, [({"train", "x"}, {}), (["x", "train"], {})])


def test_a_variable_colocated_with_an_input(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = placeholder("my_input")
        with v1.colocate_with(x):
            w = v1.Variable(1.0, name="my_variable", use_resource=False)
        hub.add_signature(inputs=x, outputs=x * w)

    says = ("my_variable", "my_input", "colocate_with")
    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=says):
        hub.create_module_spec(module_fn)


def test_a_table_colocated_with_another_op(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.string, [None], name="my_input")
        y = tf.identity(x, name="my_op")
        with v1.colocate_with(y):
            table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), 0, name="my_table")
        hub.add_signature(inputs=x, outputs=table.lookup(y))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("my_table", "my_op")):
        hub.create_module_spec(module_fn)


def test_a_variable_colocated_with_another_is_fine(graph: tf.Graph) -> None:
    def module_fn() -> None:
        one = variable("one", 1.0)
        with v1.colocate_with(one.op):
            two = variable("two", 2.0)
        hub.add_signature(outputs=one + two)

    assert sorted(hub.Module(hub.create_module_spec(module_fn)).variable_map) == ["one", "two"]


def test_an_input_colocated_with_another_op(graph: tf.Graph) -> None:
    def module_fn() -> None:
        anchor = tf.constant(1.0, name="my_anchor")
        with v1.colocate_with(anchor):
            x = placeholder("my_input")
        hub.add_signature(inputs=x, outputs=x + anchor)

    says = ("my_input", "colocate_with")
    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=says):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("value", ["a string", 1.0, [1.0], None, np.zeros(2), {"a": {"b": 1}}], ids=repr)
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_signature_of_something_else_than_tensors(graph: tf.Graph, value: Any, side: str) -> None:
    def module_fn() -> None:
        tensors = {"inputs": {"x": placeholder()}, "outputs": {"y": tf.constant(1.0)}}
        hub.add_signature(**tensors | {side: {"wrong": value}})

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("'wrong'",)):
        hub.create_module_spec(module_fn)


def test_a_tensor_of_another_graph(graph: tf.Graph) -> None:
    stranger = tf.constant(1.0, name="stranger")

    def module_fn() -> None:
        hub.add_signature(outputs={"y": stranger})

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("'y'", "stranger")):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("name", ["", 7, None], ids=repr)
def test_an_illegal_name_of_an_output(graph: tf.Graph, name: Any) -> None:
    def module_fn() -> None:
        hub.add_signature(outputs={name: tf.constant(1.0)})

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=(repr(name),)):
        hub.create_module_spec(module_fn)


def test_an_asset_that_is_no_constant_path(graph: tf.Graph) -> None:
    def module_fn() -> None:
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, v1.placeholder(tf.string, [], name="my_asset"))
        hub.add_signature(outputs=tf.constant(1.0))

    with refused(errors.ModuleDefinitionError, ValueError, graph=graph, says=("my_asset",)):
        hub.create_module_spec(module_fn)


def with_other_variables(trained: bool) -> None:
    """A variant with a variable that the other lacks."""
    w = variable("w", 1.0)
    if trained:
        w = w * variable("only_in_train", 2.0)
    hub.add_signature(outputs=w * 1.0)


TWO = [(set(), {"trained": False}), ({"train"}, {"trained": True})]


def test_a_variant_with_variables_that_the_exported_one_lacks(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(with_other_variables, TWO))
    with (
        started() as session,
        refused(errors.ExportError, graph=graph, folder=tmp_path, says=("only_in_train", "train")),
    ):
        module.export(str(tmp_path / "module"), session)


def test_the_variant_that_has_all_variables_can_be_exported(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(with_other_variables, TWO), tags={"train"})
    with started() as session:
        module.export(str(tmp_path / "module"), session)
    assert sorted(hub.Module(str(tmp_path / "module")).variable_map) == ["w"]


def test_a_module_fn_that_raises_is_left_to_say_so(graph: tf.Graph) -> None:
    def module_fn() -> None:
        raise ZeroDivisionError("mine")

    with refused(ZeroDivisionError, says=("mine",), graph=graph):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("module_fn", [None, 7, "a path"], ids=repr)
def test_a_module_fn_that_is_no_function(module_fn: Any) -> None:
    with refused(errors.InvalidArgumentError, TypeError, says=(repr(module_fn),)):
        hub.create_module_spec(module_fn)


@pytest.mark.parametrize("tags_and_args", [[{"train"}], [(set(), None, 1)], [({"a"}, [1])], 7], ids=repr)
def test_tags_and_args_of_another_form(tags_and_args: Any) -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=("tags_and_args",)):
        hub.create_module_spec(affine, tags_and_args)


def test_a_module_that_is_published_is_untouched_by_a_failure_after_it(tmp_path: Path) -> None:
    path = publish(affine, tmp_path / "module")
    with refused(errors.ModuleDefinitionError, folder=tmp_path):
        hub.create_module_spec(lambda: None)
    assert hub.load_module_spec(path).get_signature_names() == ["default"]
