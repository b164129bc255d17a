"""hub.attach_message: messages that a publisher leaves with a variant."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2

import modhub as hub
from modhub import errors
from tests.constructions import publish

v1 = tf.compat.v1
Text, Number = wrappers_pb2.StringValue, wrappers_pb2.Int64Value


def attaching(text: str) -> None:
    """Two messages, one of them attached twice."""
    hub.add_signature(outputs=tf.constant(1.0))
    hub.attach_message("text", Text(value="first"))
    hub.attach_message("text", Text(value=text))
    hub.attach_message("Number_2", Number(value=7))


def two_variants() -> hub.ModuleSpec:
    """A spec whose variants have messages of their own."""
    return hub.create_module_spec(attaching, [(set(), {"text": "serve"}), ({"train", "x"}, {"text": "train"})])


@pytest.fixture(params=["from a spec", "from disk"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> hub.ModuleSpec:
    if request.param == "from a spec":
        return two_variants()
    return hub.load_module_spec(publish(two_variants(), tmp_path / "module"))


@pytest.mark.parametrize(("tags", "text"), [(None, "serve"), (set(), "serve"), ({"x", "train"}, "train")])
def test_each_variant_has_its_own_and_the_last_one_wins(
    graph: tf.Graph, spec: hub.ModuleSpec, tags: set[str] | None, text: str
) -> None:
    assert spec.get_attached_message("text", Text, tags=tags).value == text
    assert spec.get_attached_message("Number_2", Number, tags=tags).value == 7
    assert hub.Module(spec, tags=tags).get_attached_message("text", Text).value == text


def test_each_get_gives_a_new_message(spec: hub.ModuleSpec) -> None:
    spec.get_attached_message("text", Text).value = "changed"
    assert spec.get_attached_message("text", Text).value == "serve"


def test_a_missing_one_is_none(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    assert spec.get_attached_message("other", Text) is None
    assert hub.Module(spec).get_attached_message("other", Text) is None


def test_a_missing_one_that_is_required_is_an_error(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    module = hub.Module(spec)
    for getter in (spec.get_attached_message, module.get_attached_message):
        with pytest.raises(errors.MissingAttachmentError) as caught:
            getter("texts", Text, required=True)
        assert isinstance(caught.value, KeyError)
        assert "'texts'" in str(caught.value)
        assert "Did you mean 'text'?" in str(caught.value)


def test_later_changes_of_the_message_do_not_matter() -> None:
    def module_fn() -> None:
        message = Text(value="as attached")
        hub.attach_message("text", message)
        message.value = "changed"
        hub.add_signature(outputs=tf.constant(1.0))

    assert hub.create_module_spec(module_fn).get_attached_message("text", Text).value == "as attached"


@pytest.mark.parametrize("key", ["a-b", "1a", "", "a b", "_a", "a:b"])
def test_a_malformed_key_is_an_error(key: str) -> None:
    def module_fn() -> None:
        hub.attach_message(key, Text())

    with pytest.raises(errors.ModhubError) as caught:
        hub.create_module_spec(module_fn)
    assert isinstance(caught.value, ValueError)
    assert repr(key) in str(caught.value)


def test_an_attached_message_is_invisible_to_users_of_the_module(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    hub.Module(spec)()
    assert v1.get_collection("hub_module_attachments") == []
