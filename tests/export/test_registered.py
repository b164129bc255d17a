"""Modules are registered for export in a graph, each under a name of its own."""

from __future__ import annotations

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from modhub.export.registered import register_module_for_export, registered_modules
from tests import constructions
from tests.refusals import refused

v1 = tf.compat.v1


def module() -> hub.Module:
    return hub.Module(hub.create_module_spec(constructions.affine))


def test_each_graph_has_its_own() -> None:
    with tf.Graph().as_default() as first:
        one, two = module(), module()
        register_module_for_export(two, "b")
        register_module_for_export(one, "text/a")
    with tf.Graph().as_default():
        assert registered_modules() == {}
        register_module_for_export(module(), "b")
        assert list(registered_modules()) == ["b"]
    assert registered_modules(first) == {"b": two, "text/a": one}
    assert list(registered_modules(first)) == ["b", "text/a"]


def test_a_module_may_have_two_names(graph: tf.Graph) -> None:
    one = module()
    register_module_for_export(one, "a")
    register_module_for_export(one, "b")
    assert registered_modules() == {"a": one, "b": one}


def test_a_name_is_taken_once(graph: tf.Graph) -> None:
    register_module_for_export(module(), "encoder")
    second = module()
    text = "There is already a module registered to be exported as 'encoder'"
    with refused(errors.InvalidArgumentError, ValueError, says=(text,), graph=graph):
        register_module_for_export(second, "encoder")


@pytest.mark.parametrize(
    "name", ["", None, 1, b"a", "/a", "../a", "a/../../b", "a//b", "a/", ".", "a\0", "a\\b", "C:/a"]
)
def test_a_name_leads_nowhere_else(graph: tf.Graph, name) -> None:
    one = module()
    with refused(errors.InvalidArgumentError, ValueError, TypeError, says=(repr(name), "text/encoder"), graph=graph):
        register_module_for_export(one, name)
    assert registered_modules() == {}


def test_only_modules_of_graphs_are_registered(graph: tf.Graph) -> None:
    with refused(errors.InvalidArgumentError, TypeError, says=("hub.export_latest", "'path'"), graph=graph):
        register_module_for_export("path", "name")


def test_a_saved_graph_says_nothing_of_it(graph: tf.Graph) -> None:
    register_module_for_export(module(), "encoder")
    assert not [key for key in graph.get_all_collection_keys() if "export" in key]
    assert "encoder" not in str(v1.train.export_meta_graph().collection_def)
