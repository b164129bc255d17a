"""Messages that were never attached, or are of another kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2

import modhub as hub
from modhub import errors
from tests.constructions import publish
from tests.refusals import refused

Source = Callable[..., Any]


def attaching(attaches: bool = True) -> None:
    """A module with messages "text" and "other" in one variant."""
    hub.add_signature(outputs=tf.constant(1.0))
    if attaches:
        hub.attach_message("text", wrappers_pb2.StringValue(value="hello"))
        hub.attach_message("other", wrappers_pb2.BytesValue(value=b"\xff\xff"))


@pytest.fixture(params=["spec", "module", "loaded spec", "loaded module"])
def getter(graph: tf.Graph, request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """`get_attached_message` of whatever has it."""
    spec = hub.create_module_spec(attaching, [(set(), {}), ({"bare"}, {"attaches": False})])
    if "loaded" in request.param:
        spec = hub.load_module_spec(publish(spec, tmp_path / "module"))
    return (hub.Module(spec) if "module" in request.param else spec).get_attached_message


def test_a_required_one_is_missing(graph: tf.Graph, getter: Source) -> None:
    says = ("'txt'", "'other', 'text'", "Did you mean 'text'?")
    with refused(errors.MissingAttachmentError, KeyError, graph=graph, says=says):
        getter("txt", wrappers_pb2.StringValue, required=True)
    assert getter("text", wrappers_pb2.StringValue, required=True).value == "hello"


def test_a_required_one_is_missing_in_another_variant(graph: tf.Graph) -> None:
    spec = hub.create_module_spec(attaching, [(set(), {}), ({"bare"}, {"attaches": False})])
    for call in (
        lambda: spec.get_attached_message("text", wrappers_pb2.StringValue, tags={"bare"}, required=True),
        lambda: hub.Module(spec, tags={"bare"}).get_attached_message("text", wrappers_pb2.StringValue, required=True),
    ):
        with refused(errors.MissingAttachmentError, KeyError, says=("'text'", "bare")):
            call()


def test_of_a_variant_that_is_not_there() -> None:
    spec = hub.create_module_spec(attaching)
    with refused(errors.UnknownVariantError, KeyError, ValueError, says=("nowhere",)):
        spec.get_attached_message("text", wrappers_pb2.StringValue, tags={"nowhere"})


def test_a_message_of_another_class(getter: Source) -> None:
    with refused(errors.ModhubError, ValueError, says=("'other'", "StringValue")):
        getter("other", wrappers_pb2.StringValue)


@pytest.mark.parametrize("message", ["text", b"bytes", None, 7], ids=repr)
def test_attaching_something_that_is_no_message(graph: tf.Graph, message: Any) -> None:
    def module_fn() -> None:
        hub.attach_message("key", message)

    with refused(errors.ModhubError, ValueError, graph=graph, says=("'key'",)):
        hub.create_module_spec(module_fn)
