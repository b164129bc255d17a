"""Tags, signatures, inputs and outputs that a module does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import evaluated, variable
from tests.refusals import refused

v1 = tf.compat.v1


def several(train: bool = False) -> None:
    """Signatures "default", "tokens" (two inputs, no default output) and "nothing" (no input)."""
    x, length = v1.placeholder(tf.float32, [None, 2]), v1.placeholder(tf.int32, [None])
    w = variable("w", [1.0, 2.0])
    hub.add_signature(inputs=x, outputs=x * w)
    hub.add_signature("tokens", {"tokens": x, "sequence_len": length}, {"elmo": x * w, "lengths": length})
    hub.add_signature("nothing", outputs=w * 2.0)


@pytest.fixture(scope="module")
def spec() -> hub.ModuleSpec:
    return hub.create_module_spec(several, [(set(), {}), ({"train"}, {"train": True}), ({"train", "big"}, {})])


@pytest.fixture
def module(graph: tf.Graph, spec: hub.ModuleSpec) -> Iterator[hub.Module]:
    """A module in the default graph, which still works after whatever the test did."""
    made = hub.Module(spec)
    yield made
    assert evaluated(made([[1.0, 1.0]])).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("tags", "hint"), [({"trains"}, "train"), ({"big"}, "big"), ({"train", "small"}, "train"), (["serve"], "train")]
)
def test_unknown_tags(graph: tf.Graph, spec: hub.ModuleSpec, tags: Any, hint: str) -> None:
    with refused(errors.UnknownVariantError, ValueError, KeyError, graph=graph, says=(*tags, hint)):
        hub.Module(spec, tags=tags)


def test_unknown_tags_list_the_known_ones_and_the_nearest(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with refused(errors.UnknownVariantError, graph=graph, says=("trains", "Did you mean", "big", "train")):
        hub.Module(spec, tags={"trains"})


@pytest.mark.parametrize("tags", ["train", "", b"train"])
def test_a_string_is_no_tag_set(graph: tf.Graph, spec: hub.ModuleSpec, tags: Any) -> None:
    for call in (lambda: hub.Module(spec, tags=tags), lambda: spec.get_signature_names(tags=tags)):
        with refused(errors.InvalidArgumentError, ValueError, TypeError, graph=graph, says=(repr(tags),)):
            call()


def test_a_string_as_a_tag_set_shows_what_was_meant(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with refused(errors.InvalidArgumentError, graph=graph, says=("'train'", "{'train'}")):
        hub.Module(spec, tags="train")


@pytest.mark.parametrize("tags", [[1], {None}, 7, [["train"]]], ids=repr)
def test_tags_are_strings(graph: tf.Graph, spec: hub.ModuleSpec, tags: Any) -> None:
    with refused(errors.InvalidArgumentError, ValueError, graph=graph):
        hub.Module(spec, tags=tags)


def test_a_string_is_no_tag_set_of_a_new_variant() -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=("'train'",)):
        hub.create_module_spec(several, [("train", {})])


@pytest.mark.parametrize("signature", ["token", "Tokens", "zz"])
def test_an_unknown_signature(graph: tf.Graph, module: hub.Module, signature: str) -> None:
    says = (repr(signature), "'default', 'nothing', 'tokens'")
    with refused(errors.UnknownSignatureError, ValueError, KeyError, graph=graph, says=says):
        module([[1.0, 2.0]], signature=signature)


def test_an_unknown_signature_names_the_nearest(graph: tf.Graph, module: hub.Module) -> None:
    with refused(errors.UnknownSignatureError, graph=graph, says=("Did you mean 'tokens'?",)):
        module([[1.0, 2.0]], signature="token")


@pytest.mark.parametrize("signature", [7, ["default"], b"default"], ids=repr)
def test_a_signature_is_named_by_a_string(graph: tf.Graph, module: hub.Module, signature: Any) -> None:
    with refused(errors.ModhubError, ValueError, graph=graph, says=(repr(signature),)):
        module([[1.0, 2.0]], signature=signature)


def test_no_default_output(graph: tf.Graph, module: hub.Module) -> None:
    says = ("There is no output named 'default'", "as_dict=True", "'elmo', 'lengths'")
    with refused(errors.UnknownOutputError, TypeError, graph=graph, says=says):
        module({"tokens": [[1.0, 2.0]], "sequence_len": [1]}, signature="tokens")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tokens": [[1.0, 2.0]]}, ("missing", "'sequence_len'")),
        ({"tokens": [[1.0, 2.0]], "sequence_len": [1], "more": [1]}, ("extra", "'more'")),
        ({"tokens": [[1.0, 2.0]], "sequence_length": [1]}, ("'sequence_len'", "'sequence_length'", "Did you mean")),
        ({}, ("missing", "'sequence_len'", "'tokens'")),
        (None, ("'sequence_len'", "'tokens'")),
        ([[1.0, 2.0]], ("multiple inputs", "dict", "'sequence_len'", "'tokens'")),
        ({1: [[1.0, 2.0]]}, ("1", "'sequence_len'")),
    ],
    ids=repr,
)
def test_the_wrong_inputs(graph: tf.Graph, module: hub.Module, given: Any, says: tuple[str, ...]) -> None:
    with refused(errors.InvalidInputError, TypeError, ValueError, graph=graph, says=says):
        module(given, signature="tokens", as_dict=True)


@pytest.mark.parametrize(
    ("given", "says"),
    [([[1.0, 2.0]], "no inputs"), (0, "no inputs"), (False, "no inputs"), ({"x": [1.0]}, "'x'")],
    ids=repr,
)
def test_inputs_where_there_are_none(graph: tf.Graph, module: hub.Module, given: Any, says: str) -> None:
    with refused(errors.InvalidInputError, TypeError, graph=graph, says=("'nothing'", says)):
        module(given, signature="nothing")


def test_no_input_where_there_is_one(graph: tf.Graph, module: hub.Module) -> None:
    with refused(errors.InvalidInputError, TypeError, graph=graph, says=("missing", "'default'")):
        module()


def test_a_second_positional_argument_is_no_signature(graph: tf.Graph, module: hub.Module) -> None:
    with refused(errors.InvalidArgumentError, TypeError, graph=graph, says=("'tokens'", "signature=")):
        module([[1.0, 2.0]], "tokens")


def test_the_channel_and_size_of_an_unknown_input() -> None:
    spec = hub.create_module_spec(several)
    with refused(errors.UnknownInputError, ValueError, KeyError, says=("'images'", "'default'")):
        hub.get_expected_image_size(spec)
