"""Where a module's variables and operations live."""

from __future__ import annotations

import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from tests.constructions import affine, collected, evaluated, names

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def spec() -> hub.ModuleSpec:
    return hub.create_module_spec(affine)


def test_each_instance_has_a_scope_of_its_own(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    modules = [hub.Module(spec) for _ in range(3)]
    assert [names(m.variables) for m in modules] == [
        ["module/b", "module/w"],
        ["module_1/b", "module_1/w"],
        ["module_2/b", "module_2/w"],
    ]


def test_instances_do_not_share_variables(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    one, two = hub.Module(spec), hub.Module(spec)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(one.variable_map["b"].assign([7.0, 7.0]))
        assert session.run(two.variable_map["b"]).tolist() == [0.5, -0.5]


def test_the_name_argument_is_the_scope(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    assert names(hub.Module(spec, name="q").variables) == ["q/b", "q/w"]


def test_a_name_with_a_slash_nests(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    module = hub.Module(spec, name="a/b")
    assert names(module.variables) == ["a/b/b", "a/b/w"]
    assert module([[1.0, 0.0]]).op.name.startswith("b_apply_default/")


def test_a_variable_scope_prefixes_the_state(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.variable_scope("vs"):
        assert names(hub.Module(spec, name="q").variables) == ["vs/q/b", "vs/q/w"]


def test_a_name_scope_does_not_prefix_the_state(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.name_scope("ns"):
        assert names(hub.Module(spec, name="q").variables) == ["q/b", "q/w"]
    with v1.name_scope("ns"), v1.variable_scope("vs"), v1.name_scope("inner"):
        assert names(hub.Module(spec, name="q").variables) == ["vs/q/b", "vs/q/w"]


def test_a_re_entered_scope_gives_a_new_instance(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    found = []
    for _ in range(2):
        with v1.variable_scope("vs", reuse=v1.AUTO_REUSE):
            found.append(names(hub.Module(spec, name="q").variables))
    assert found == [["vs/q/b", "vs/q/w"], ["vs/q_1/b", "vs/q_1/w"]]


def test_a_scope_entered_by_its_object_gives_a_new_instance(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.variable_scope("vs") as scope:
        first = hub.Module(spec)
    with v1.variable_scope(scope):
        second = hub.Module(spec)
    assert names(first.variables) == ["vs/module/b", "vs/module/w"]
    assert names(second.variables) == ["vs/module_1/b", "vs/module_1/w"]


def test_the_scope_leaves_the_next_variable_scope_as_it_was(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.variable_scope("vs") as scope:
        hub.Module(spec)
        assert v1.get_variable_scope() is scope
        mine = v1.get_variable("mine", [])
    assert mine.op.name == "vs/mine"


@pytest.mark.parametrize(
    "options",
    [
        {"reuse": True},
        {"reuse": v1.AUTO_REUSE},
        {"use_resource": False},
        {"partitioner": v1.fixed_size_partitioner(2)},
        {"initializer": v1.zeros_initializer()},
        {"dtype": tf.float64},
        {"custom_getter": lambda getter, name, *args, **kwargs: getter("changed_" + name, *args, **kwargs)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_settings_of_the_surrounding_scope_do_not_reach_the_state(
    graph: tf.Graph, spec: hub.ModuleSpec, options: dict[str, object]
) -> None:
    with v1.variable_scope("vs", **options):
        module = hub.Module(spec)
    assert names(module.variables) == ["vs/module/b", "vs/module/w"]
    assert evaluated(module([[1.0, 0.0]])).tolist() == [[1.5, 1.5]]


def test_a_taken_name_scope_gives_the_next_free_name(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.name_scope("module"):
        tf.constant(1.0)
    assert names(hub.Module(spec).variables) == ["module_1/b", "module_1/w"]
    assert names(hub.Module(spec).variables) == ["module_2/b", "module_2/w"]


def test_a_taken_operation_name_gives_the_next_free_name(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    tf.constant(1.0, name="module")
    assert names(hub.Module(spec).variables) == ["module_1/b", "module_1/w"]


def test_a_users_variable_scope_of_that_name_is_not_entered(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.variable_scope("module"):
        mine = v1.get_variable("w", [])
    module = hub.Module(spec)
    assert names(module.variables) == ["module_1/b", "module_1/w"]
    assert mine.op.name == "module/w"


def test_a_users_variable_can_follow_in_a_scope_of_that_name(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    module = hub.Module(spec)
    with v1.variable_scope("module"):
        mine = v1.get_variable("mine", [])
    assert mine.op.name == "module/mine"
    assert names(module.variables) == ["module/b", "module/w"]


@pytest.mark.parametrize("name", ["a b", "€", "-", "a//b c"])
def test_an_invalid_name_is_refused(graph: tf.Graph, spec: hub.ModuleSpec, name: str) -> None:
    with pytest.raises(errors.InvalidArgumentError) as caught:
        hub.Module(spec, name=name)
    assert isinstance(caught.value, ValueError)
    assert repr(name) in str(caught.value)
    assert graph.get_operations() == []
    assert graph.get_all_collection_keys() == []
    assert names(hub.Module(spec).variables) == ["module/b", "module/w"]


def test_variable_map_is_independent_of_the_scope(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    with v1.variable_scope("vs"):
        module = hub.Module(spec, name="q")
    assert sorted(module.variable_map) == ["b", "w"]
    assert module.variable_map["w"].op.name == "vs/q/w"
    assert [v.op.name for v in module.variables] == ["vs/q/b", "vs/q/w"]


@pytest.mark.parametrize("scopes", [[], ["ns"], ["ns", "deeper"]])
def test_a_call_lives_in_the_current_name_scope(graph: tf.Graph, spec: hub.ModuleSpec, scopes: list[str]) -> None:
    module = hub.Module(spec, name="q")
    prefix = "".join(scope + "/" for scope in scopes)
    before = {op.name for op in graph.get_operations()}
    with v1.name_scope(prefix or None):
        x = tf.zeros([1, 2], name="x")
        first, second = module(x), module(x)
    assert first.op.name.startswith(prefix + "q_apply_default/")
    assert second.op.name.startswith(prefix + "q_apply_default_1/")
    added = {op.name for op in graph.get_operations()} - before - {x.op.name}
    assert all(name.startswith(prefix + "q_apply_default") for name in added)


def test_a_variable_scope_is_a_name_scope_for_calls(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    module = hub.Module(spec)
    with v1.variable_scope("vs"):
        assert module([[1.0, 2.0]]).op.name.startswith("vs/module_apply_default/")


def test_a_call_is_named_after_its_signature(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature("fruit:to_pet", x, 2.0 * x)

    module = hub.Module(hub.create_module_spec(module_fn))
    assert module([1.0], signature="fruit:to_pet").op.name.startswith("module_apply_fruit_to_pet/")


def test_state_stays_below_its_scope(graph: tf.Graph, spec: hub.ModuleSpec) -> None:
    hub.Module(spec, name="q")
    assert all(op.name.startswith("q/") for op in graph.get_operations())
    assert collected(v1.GraphKeys.GLOBAL_VARIABLES) == ["q/b", "q/w"]
