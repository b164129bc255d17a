"""Which collections of the user's graph a module fills, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import (
    collected,
    evaluated,
    lookup,
    loops_of_v1,
    normalizing_spec,
    partitioned,
    publish,
    started,
    summing_loop,
    variable,
)

v1 = tf.compat.v1
Keys = v1.GraphKeys


@pytest.fixture(scope="module", params=["from a spec", "from disk"])
def normalizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> hub.ModuleSpec | str:
    spec = normalizing_spec()
    return spec if request.param == "from a spec" else publish(spec, tmp_path_factory.mktemp("it") / "module")


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("tags", [set(), {"train"}])
def test_construction_fills_these(
    graph: tf.Graph, normalizer: hub.ModuleSpec | str, trainable: bool, tags: set[str]
) -> None:
    hub.Module(normalizer, trainable=trainable, tags=tags)
    assert collected(Keys.GLOBAL_VARIABLES) == ["module/gamma", "module/mean"]
    assert collected(Keys.MODEL_VARIABLES) == ["module/mean"]
    assert collected(Keys.TRAINABLE_VARIABLES) == (["module/gamma"] if trainable else [])
    assert len(v1.get_collection(Keys.REGULARIZATION_LOSSES)) == int(trainable)
    assert v1.get_collection(Keys.UPDATE_OPS) == []


def test_collections_hold_the_modules_own_variables(graph: tf.Graph, normalizer: hub.ModuleSpec | str) -> None:
    module = hub.Module(normalizer, trainable=True)
    assert [id(v) for v in v1.trainable_variables()] == [id(module.variable_map["gamma"])]
    assert {id(v) for v in v1.global_variables()} == {id(v) for v in module.variables}
    assert [id(v) for v in v1.model_variables()] == [id(module.variable_map["mean"])]


def test_no_other_collection_is_touched(graph: tf.Graph, normalizer: hub.ModuleSpec | str) -> None:
    module = hub.Module(normalizer, trainable=True, tags={"train"})
    module([[1.0, 2.0]])
    filled = {key for key in graph.get_all_collection_keys() if graph.get_collection_ref(key)}
    # TensorFlow keeps its own bookkeeping under keys that are not strings.
    assert {key for key in filled if isinstance(key, str) and not key.startswith("__")} == {
        Keys.GLOBAL_VARIABLES,
        Keys.MODEL_VARIABLES,
        Keys.TRAINABLE_VARIABLES,
        Keys.REGULARIZATION_LOSSES,
        Keys.UPDATE_OPS,
    }


@pytest.mark.parametrize(
    ("trainable", "tags", "per_call"), [(True, {"train"}, 1), (True, set(), 0), (False, {"train"}, 0)]
)
def test_each_call_adds_its_update_ops(
    graph: tf.Graph, normalizer: hub.ModuleSpec | str, trainable: bool, tags: set[str], per_call: int
) -> None:
    module = hub.Module(normalizer, trainable=trainable, tags=tags)
    counts = []
    for _ in range(3):
        module([[1.0, 2.0]])
        counts.append(len(v1.get_collection(Keys.UPDATE_OPS)))
    assert counts == [per_call, 2 * per_call, 3 * per_call]


def test_calls_do_not_repeat_losses_and_variables(graph: tf.Graph, normalizer: hub.ModuleSpec | str) -> None:
    module = hub.Module(normalizer, trainable=True, tags={"train"})
    module([[1.0, 2.0]])
    module([[1.0, 2.0]])
    assert len(v1.get_collection(Keys.REGULARIZATION_LOSSES)) == 1
    assert collected(Keys.GLOBAL_VARIABLES) == ["module/gamma", "module/mean"]
    assert v1.get_collection(Keys.LOSSES) == []


def test_an_update_op_uses_the_inputs_of_its_own_call(graph: tf.Graph, normalizer: hub.ModuleSpec | str) -> None:
    module = hub.Module(normalizer, trainable=True, tags={"train"})
    module([[1.0, 2.0]])
    module([[10.0, 20.0]])
    second = v1.get_collection(Keys.UPDATE_OPS)[1]
    with started() as session:
        session.run(second)
        assert session.run(module.variable_map["mean"]).tolist() == [5.0, 10.0]


def test_a_call_alone_runs_no_update(graph: tf.Graph, normalizer: hub.ModuleSpec | str) -> None:
    module = hub.Module(normalizer, trainable=True, tags={"train"})
    y = module([[1.0, 2.0], [3.0, 6.0]])
    with started() as session:
        assert session.run(y).tolist() == [[-1.0, -4.0], [1.0, 4.0]]
        assert session.run(module.variable_map["mean"]).tolist() == [0.0, 0.0]


def test_a_regularization_loss_follows_the_variable(graph: tf.Graph, normalizer: hub.ModuleSpec | str) -> None:
    module = hub.Module(normalizer, trainable=True)
    gamma = module.variable_map["gamma"]
    loss = v1.losses.get_regularization_loss()
    (gradient,) = tf.gradients(loss, [gamma])
    with started() as session:
        np.testing.assert_allclose(session.run([loss, gradient])[0], 2.5)
        session.run(gamma.assign([3.0, 4.0]))
        value, slope = session.run([loss, gradient])
    np.testing.assert_allclose(value, 12.5)
    np.testing.assert_allclose(slope, [3.0, 4.0])


def test_update_ops_that_need_another_signatures_inputs_are_left_out(graph: tf.Graph) -> None:
    def module_fn() -> None:
        a, b = v1.placeholder(tf.float32, [], name="a"), v1.placeholder(tf.float32, [], name="b")
        seen = variable("seen", 0.0, trainable=False)
        v1.add_to_collection(Keys.UPDATE_OPS, v1.assign_add(seen, b))
        hub.add_signature("default", a, a + seen)
        hub.add_signature("other", b, b + seen)

    module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
    module(1.0)
    assert v1.get_collection(Keys.UPDATE_OPS) == []
    module(2.0, signature="other")
    assert len(v1.get_collection(Keys.UPDATE_OPS)) == 1
    with started() as session:
        session.run(v1.get_collection(Keys.UPDATE_OPS))
        assert session.run(module.variable_map["seen"]) == 2.0


@pytest.mark.parametrize("trainable", [False, True])
def test_parts_enter_the_collections_one_by_one(graph: tf.Graph, trainable: bool) -> None:
    hub.Module(hub.create_module_spec(partitioned), trainable=trainable)
    parts = [f"module/part/table/part_{i}" for i in range(3)]
    assert collected(Keys.GLOBAL_VARIABLES) == parts
    assert collected(Keys.TRAINABLE_VARIABLES) == (parts if trainable else [])


def test_tables_and_assets_are_collected(graph: tf.Graph, tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")
    path = publish(lookup(vocabulary), tmp_path / "module")
    hub.Module(path)
    assert len(v1.get_collection(Keys.TABLE_INITIALIZERS)) == 1
    assets = v1.get_collection(Keys.ASSET_FILEPATHS)
    assert [asset.dtype for asset in assets] == [tf.string]
    assert [evaluated(asset) for asset in assets] == [str(Path(path) / "assets" / "words.txt").encode()]


def test_a_call_adds_no_table_initializer(graph: tf.Graph, tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")
    module = hub.Module(publish(lookup(vocabulary), tmp_path / "module"))
    words = module(["b", "z"])
    assert len(v1.get_collection(Keys.TABLE_INITIALIZERS)) == 1
    assert evaluated(words).tolist() == [1, -1]


def test_variables_stay_trainable_objects_when_the_module_is_not(
    graph: tf.Graph, normalizer: hub.ModuleSpec | str
) -> None:
    module = hub.Module(normalizer, trainable=False)
    assert module.variable_map["gamma"].trainable
    assert not module.variable_map["mean"].trainable


def conditional() -> None:
    """x, and whether to add w to it."""
    x, adds = v1.placeholder(tf.float32, []), v1.placeholder(tf.bool, [])
    w = variable("w", 3.0)
    hub.add_signature(inputs={"x": x, "adds": adds}, outputs=v1.cond(adds, lambda: x + w, lambda: tf.identity(x)))


@pytest.mark.parametrize("trainable", [False, True])
def test_each_call_adds_its_loops_and_conditionals(graph: tf.Graph, trainable: bool) -> None:
    with loops_of_v1():
        loop, condition = hub.create_module_spec(summing_loop), hub.create_module_spec(conditional)
    loops, conditions = hub.Module(loop, trainable=trainable), hub.Module(condition, trainable=trainable)
    before = [len(v1.get_collection(key)) for key in (Keys.WHILE_CONTEXT, Keys.COND_CONTEXT)]
    loops([[1.0, 2.0]])
    loops([[1.0, 2.0]])
    conditions({"x": 1.0, "adds": True})
    # A conditional is two contexts, one a branch.
    assert len(v1.get_collection(Keys.WHILE_CONTEXT)) - before[0] == 2
    assert len(v1.get_collection(Keys.COND_CONTEXT)) - before[1] == 2


def test_the_users_graph_with_a_loop_can_be_written_and_differentiated(graph: tf.Graph) -> None:
    with loops_of_v1():
        spec = hub.create_module_spec(summing_loop)
    y = hub.Module(spec)([[1.0, 2.0]])
    written = v1.train.export_meta_graph()
    with tf.Graph().as_default() as other:
        v1.train.import_meta_graph(written)
        (gradient,) = tf.gradients(other.get_tensor_by_name(y.name), v1.global_variables())
        assert evaluated(gradient).tolist() == [3.0, 3.0]


def test_a_loss_of_the_inputs_is_added_where_they_are(graph: tf.Graph) -> None:
    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        w = v1.get_variable("w", initializer=3.0)
        v1.add_to_collection(Keys.REGULARIZATION_LOSSES, tf.nn.l2_loss(w))
        v1.add_to_collection(Keys.REGULARIZATION_LOSSES, tf.reduce_sum(w * x))
        hub.add_signature(inputs=x, outputs=w * x)

    module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
    assert len(v1.get_collection(Keys.REGULARIZATION_LOSSES)) == 1
    module([1.0, 2.0])
    module([5.0])
    losses = v1.get_collection(Keys.REGULARIZATION_LOSSES)
    assert [evaluated(loss).item() for loss in losses] == [4.5, 9.0, 15.0]
