"""What Module.export and ModuleSpec.export write, and what they leave behind when they cannot."""

from __future__ import annotations

import filecmp
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2
from tensorflow.core.protobuf import saved_model_pb2

import modhub as hub
from modhub import errors
from tests.constructions import (
    BIAS,
    WEIGHTS,
    affine,
    doubling,
    evaluated,
    normalizing_spec,
    partitioned,
    publish,
    started,
    variable,
)

v1 = tf.compat.v1


def files(path: Path | str) -> list[str]:
    """Return the relative paths of all files and directories below a path."""
    return sorted(str(found.relative_to(path)) for found in Path(path).rglob("*"))


def stored(path: Path | str) -> dict[str, np.ndarray]:
    """Return the variables of a published module, by the names in its checkpoint."""
    reader = tf.train.load_checkpoint(f"{path}/variables/variables")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_the_layout(tmp_path: Path) -> None:
    publish(affine, tmp_path / "module")
    # The old library left an empty assets/ too; either is a module.
    assert [name for name in files(tmp_path / "module") if name != "assets"] == [
        "saved_model.pb",
        "tfhub_module.pb",
        "variables",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    assert (tmp_path / "module" / "tfhub_module.pb").read_bytes() == b"\x08\x03"


def test_a_module_without_variables_has_no_weights(tmp_path: Path) -> None:
    publish(doubling, tmp_path / "module")
    assert {"saved_model.pb", "tfhub_module.pb"} <= set(files(tmp_path / "module"))
    assert not list((tmp_path / "module").glob("variables/*.data*"))


def test_variables_have_names_without_scope(tmp_path: Path) -> None:
    with tf.Graph().as_default():
        with v1.variable_scope("vs"):
            module = hub.Module(hub.create_module_spec(affine), name="q")
        with started() as session:
            module.export(str(tmp_path / "module"), session)
    found = stored(tmp_path / "module")
    assert sorted(found) == ["b", "w"]
    assert found["w"].tolist() == WEIGHTS.tolist()
    assert found["b"].tolist() == BIAS.tolist()


def test_todays_values_are_written(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine), trainable=True)
    step = v1.train.GradientDescentOptimizer(1.0).minimize(tf.reduce_sum(module([[1.0, 0.0]])))
    with started() as session:
        session.run(step)
        expected = session.run(module.variable_map)
        module.export(str(tmp_path / "module"), session)
    for name, value in stored(tmp_path / "module").items():
        np.testing.assert_array_equal(value, expected[name])


def test_parts_are_one_tensor_of_slices(tmp_path: Path) -> None:
    publish(partitioned, tmp_path / "module")
    assert tf.train.list_variables(f"{tmp_path}/module/variables/variables") == [("part/table", [10, 2])]
    assert stored(tmp_path / "module")["part/table"].tolist() == np.arange(20.0).reshape(10, 2).tolist()


def test_a_published_graph_has_no_attribute_that_tensorflow_1_refuses(tmp_path: Path) -> None:
    publish(affine, tmp_path / "module")
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "module" / "saved_model.pb").read_bytes())
    handles = [node for node in saved.meta_graphs[0].graph_def.node if node.op == "VarHandleOp"]
    assert handles
    # Those that VarHandleOp has in TensorFlow 1.15.
    known = {"container", "shared_name", "dtype", "shape"}
    assert {name for node in handles for name in node.attr if not name.startswith("_")} <= known


def test_the_graph_is_written_without_defaults(tmp_path: Path) -> None:
    publish(affine, tmp_path / "module")
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "module" / "saved_model.pb").read_bytes())
    (product,) = [node for node in saved.meta_graphs[0].graph_def.node if node.op == "MatMul"]
    assert sorted(name for name in product.attr if not name.startswith("_")) == ["T"]


def test_tensorflow_reads_it(tmp_path: Path) -> None:
    loaded = tf.saved_model.load(publish(affine, tmp_path / "module", {"b": [100.0, 200.0]}), tags=[])
    found = loaded.signatures["default"](tf.constant([[0.0, 0.0]]))
    assert found["default"].numpy().tolist() == [[100.0, 200.0]]


def test_parents_are_made(tmp_path: Path) -> None:
    assert Path(publish(affine, tmp_path / "a" / "b" / "module")).is_dir()


@pytest.mark.parametrize("kind", ["str", "Path", "relative", "trailing slash"])
def test_kinds_of_path(graph: tf.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "module"
    given = {"str": str(target), "Path": target, "relative": "module", "trailing slash": f"{target}/"}[kind]
    module = hub.Module(hub.create_module_spec(affine))
    with started() as session:
        module.export(given, session)
    assert evaluated(hub.Module(given)([[0.0, 0.0]])).tolist() == [BIAS.tolist()]


def two_vocabularies(folder: Path) -> Callable[[], None]:
    """Two tables from two files that share a name, and an asset that only a signature gives."""
    paths = []
    for number in range(2):
        path = folder / str(number) / "words.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"only {number}\nboth\n" if number else f"both\nonly {number}\n")
        paths.append(path)
    (folder / "notes.txt").write_text("notes")

    def module_fn() -> None:
        words = v1.placeholder(tf.string, [None])
        found = []
        for path in paths:
            lines = tf.lookup.TextFileInitializer(
                str(path),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            found.append(tf.lookup.StaticHashTable(lines, -1).lookup(words))
        notes = tf.constant(str(folder / "notes.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, notes)
        hub.add_signature(inputs=words, outputs=tf.stack(found, 1))
        hub.add_signature("notes", outputs=tf.identity(notes))

    return module_fn


def test_assets_of_one_name_are_kept_apart(graph: tf.Graph, tmp_path: Path) -> None:
    publish(two_vocabularies(tmp_path / "from"), tmp_path / "module")
    assets = sorted(path.name for path in (tmp_path / "module" / "assets").iterdir())
    assert len(assets) == 3
    assert {"notes.txt", "words.txt"} <= set(assets)
    module = hub.Module(str(tmp_path / "module"))
    assert evaluated(module(["both", "only 0", "only 1"])).tolist() == [[0, 1], [1, -1], [-1, 0]]


def test_an_asset_path_may_be_an_output(graph: tf.Graph, tmp_path: Path) -> None:
    publish(two_vocabularies(tmp_path / "from"), tmp_path / "module")
    path = evaluated(hub.Module(str(tmp_path / "module"))(signature="notes")).decode()
    assert path == str(tmp_path / "module" / "assets" / "notes.txt")
    assert Path(path).read_text() == "notes"


def test_one_asset_used_twice_is_written_once(graph: tf.Graph, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")

    def module_fn() -> None:
        paths = [tf.constant(str(tmp_path / "notes.txt")) for _ in range(2)]
        for path in paths:
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        hub.add_signature(outputs=tf.stack(paths))

    publish(module_fn, tmp_path / "module")
    assert [path.name for path in (tmp_path / "module" / "assets").iterdir()] == ["notes.txt"]
    expected = str(tmp_path / "module" / "assets" / "notes.txt").encode()
    assert evaluated(hub.Module(str(tmp_path / "module"))()).tolist() == [expected, expected]


def rich_spec(folder: Path) -> hub.ModuleSpec:
    """Two variants, with attachments, assets and a loss."""
    (folder / "notes.txt").write_text("notes")

    def module_fn(training: bool) -> None:
        x = v1.placeholder(tf.float32, [None], name="x")
        w = variable("w", 2.0)
        notes = tf.constant(str(folder / "notes.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, notes)
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, w * w)
        hub.attach_message("which", wrappers_pb2.StringValue(value="train" if training else "serve"))
        hub.add_signature(inputs=x, outputs=-x * w if training else x * w)
        hub.add_signature("notes", outputs=tf.identity(notes))

    return hub.create_module_spec(module_fn, [(set(), {"training": False}), ({"train"}, {"training": True})])


def test_publishing_a_loaded_module_keeps_everything(tmp_path: Path) -> None:
    first = publish(rich_spec(tmp_path), tmp_path / "first")
    with tf.Graph().as_default():
        module = hub.Module(first)
        with started() as session:
            session.run(module.variable_map["w"].assign(10.0))
            module.export(str(tmp_path / "second"), session)
    (tmp_path / "notes.txt").unlink()
    spec = hub.load_module_spec(str(tmp_path / "second"))
    assert set(spec.get_tags()) == {frozenset(), frozenset({"train"})}
    for tags, which, sign in ((None, "serve", 1.0), ({"train"}, "train", -1.0)):
        assert spec.get_attached_message("which", wrappers_pb2.StringValue, tags).value == which
        with tf.Graph().as_default():
            module = hub.Module(spec, tags=tags, trainable=True)
            assert evaluated(module([1.0])).tolist() == [10.0 * sign]
            assert evaluated(module(signature="notes")).decode().startswith(str(tmp_path / "second"))
            assert len(v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)) == 1
    assert (tmp_path / "second" / "assets" / "notes.txt").read_text() == "notes"


def test_any_variant_publishes_all_of_them(tmp_path: Path) -> None:
    with tf.Graph().as_default():
        module = hub.Module(normalizing_spec(), tags={"train"})
        with started() as session:
            session.run(module.variable_map["mean"].assign([5.0, 5.0]))
            module.export(str(tmp_path / "module"), session)
    with tf.Graph().as_default():
        assert evaluated(hub.Module(str(tmp_path / "module"))([[6.0, 6.0]])).tolist() == [[1.0, 2.0]]


def test_publishing_again_changes_no_bytes(tmp_path: Path) -> None:
    first = publish(rich_spec(tmp_path), tmp_path / "first")
    second = publish(first, tmp_path / "second")
    third = publish(second, tmp_path / "third")
    assert files(first) == files(second)
    _, differing, unread = filecmp.cmpfiles(
        second, third, [name for name in files(second) if (Path(second) / name).is_file()], shallow=False
    )
    assert differing == []
    assert unread == []


@pytest.mark.parametrize("there", ["a module", "an empty directory", "a file"])
def test_an_existing_target_is_refused_unchanged(graph: tf.Graph, tmp_path: Path, there: str) -> None:
    target = tmp_path / "module"
    if there == "a module":
        publish(doubling, target)
    elif there == "a file":
        target.write_text("mine")
    else:
        target.mkdir()
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path) if (tmp_path / name).is_file()}
    listed = files(tmp_path)
    module = hub.Module(hub.create_module_spec(affine))
    with started() as session, pytest.raises(errors.ExportExistsError) as caught:
        module.export(str(target), session)
    assert isinstance(caught.value, tf.errors.AlreadyExistsError)
    assert isinstance(caught.value, FileExistsError)
    assert str(target) in str(caught.value)
    assert files(tmp_path) == listed
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_uninitialized_variables_leave_nothing(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(rich_spec(tmp_path))
    before = files(tmp_path)
    with v1.Session() as session, pytest.raises(errors.ExportError) as caught:
        module.export(str(tmp_path / "new" / "module"), session)
    assert isinstance(caught.value, tf.errors.FailedPreconditionError)
    assert "w" in str(caught.value)
    assert [name for name in files(tmp_path) if name.endswith(".pb")] == []
    assert set(files(tmp_path)) - set(before) <= {"new"}


def test_a_full_disk_leaves_nothing_and_is_told_in_a_line(graph: tf.Graph, tmp_path: Path) -> None:
    def large() -> None:
        hub.add_signature(outputs=v1.get_variable("w", initializer=tf.zeros([500_000])))

    module = hub.Module(hub.create_module_spec(large))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with started() as session:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            with pytest.raises(errors.ExportError, match=r"^The session cannot write .*File too large\.$") as caught:
                module.export(str(tmp_path / "module"), session)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_a_closed_session_is_refused(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with started() as session:
        pass
    with pytest.raises(errors.GraphError, match="closed Session"):
        module.export(str(tmp_path / "module"), session)
    assert files(tmp_path) == []


def test_a_lost_asset_leaves_nothing(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(rich_spec(tmp_path))
    (tmp_path / "notes.txt").unlink()
    with started() as session, pytest.raises(errors.ModhubError, match=r"notes\.txt"):
        module.export(str(tmp_path / "module"), session)
    assert files(tmp_path) == []


def test_another_default_graph_is_refused(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with started() as session, tf.Graph().as_default(), pytest.raises(errors.GraphError) as caught:
        module.export(str(tmp_path / "module"), session)
    assert isinstance(caught.value, RuntimeError)
    assert files(tmp_path) == []


def test_a_session_of_another_graph_is_refused(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with v1.Session(graph=tf.Graph()) as session, graph.as_default(), pytest.raises(errors.GraphError):
        module.export(str(tmp_path / "module"), session)
    assert files(tmp_path) == []


def test_the_ops_that_save_are_added_once(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with started() as session:
        module.export(str(tmp_path / "one"), session)
        before = len(graph.get_operations())
        module.export(str(tmp_path / "two"), session)
    assert len(graph.get_operations()) == before
    assert [op.type for op in graph.get_operations()].count("SaveV2") == 1


def test_a_large_checkpoint_is_written_by_two_ops_and_merged(graph: tf.Graph, tmp_path: Path) -> None:
    def module_fn() -> None:
        partitioner = v1.fixed_size_partitioner(2)
        wide = [v1.get_variable(f"w{number}", initializer=tf.fill([1500, 1000], float(number))) for number in range(3)]
        parts = v1.get_variable("parts", shape=[1000, 1000], partitioner=partitioner)
        hub.add_signature(outputs=tf.add_n(wide)[0, 0] + tf.convert_to_tensor(parts)[0, 0])

    module = hub.Module(hub.create_module_spec(module_fn))
    with started() as session:
        parts = np.concatenate(session.run(module.variable_map["parts"]))
        module.export(str(tmp_path / "module"), session)
    assert [op.type for op in graph.get_operations()].count("SaveV2") == 2
    # Two shards, and nothing of the parts that they were.
    assert sorted(path.name for path in (tmp_path / "module" / "variables").iterdir()) == [
        "variables.data-00000-of-00002",
        "variables.data-00001-of-00002",
        "variables.index",
    ]
    reader = tf.train.load_checkpoint(str(tmp_path / "module" / "variables" / "variables"))
    np.testing.assert_array_equal(reader.get_tensor("parts"), parts)
    assert [reader.get_tensor(f"w{number}")[7, 7] for number in range(3)] == [0.0, 1.0, 2.0]
    with tf.Graph().as_default():
        y = hub.Module(str(tmp_path / "module"))()
        with started() as session:
            np.testing.assert_allclose(session.run(y), 3.0 + parts[0, 0], rtol=1e-6)


class Publishing(v1.train.SessionRunHook):
    """Exports a module when a monitored session ends, as training loops do."""

    def __init__(self, module: hub.Module, path: Path) -> None:
        self.module, self.path = module, path

    def end(self, session: v1.Session) -> None:
        self.module.export(str(self.path), session)


def test_a_finalized_graph_can_export(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine), trainable=True)
    step = v1.train.GradientDescentOptimizer(1.0).minimize(tf.reduce_sum(module([[0.0, 0.0]])))
    hooks = [Publishing(module, tmp_path / "module")]
    with v1.train.MonitoredTrainingSession(hooks=hooks, log_step_count_steps=None) as session:
        session.run(step)
        assert graph.finalized
    assert stored(tmp_path / "module")["b"].tolist() == (BIAS - 1.0).tolist()


def test_a_singular_monitored_session_can_export(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine))
    with v1.train.SingularMonitoredSession() as session:
        module.export(str(tmp_path / "module"), session.raw_session())
    assert stored(tmp_path / "module")["b"].tolist() == BIAS.tolist()


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A checkpoint with other values of `affine`, all names below "theirs/"."""
    prefix = str(tmp_path / "checkpoints" / "model")
    with tf.Graph().as_default(), v1.variable_scope("theirs"):
        variable("w", 7.0 * WEIGHTS)
        variable("b", 7.0 * BIAS)
        variable("unrelated", [0.0])
        with started() as session:
            return v1.train.Saver().save(session, prefix, write_meta_graph=False)


def test_a_spec_exports_a_checkpoint(tmp_path: Path, checkpoint: str) -> None:
    spec = hub.create_module_spec(affine)
    target = tmp_path / "module"
    spec.export(str(target), checkpoint_path=checkpoint, name_transform_fn=lambda name: f"theirs/{name}")
    assert {name: value.tolist() for name, value in stored(target).items()} == {
        "w": (7.0 * WEIGHTS).tolist(),
        "b": (7.0 * BIAS).tolist(),
    }
    with tf.Graph().as_default():
        np.testing.assert_allclose(evaluated(hub.Module(str(target))([[1.0, 0.0]])), [[10.5, 10.5]])


def test_a_spec_exports_a_checkpoint_of_its_own_names(tmp_path: Path) -> None:
    first = publish(affine, tmp_path / "first", {"b": [1.0, 2.0]})
    hub.load_module_spec(first).export(str(tmp_path / "second"), checkpoint_path=f"{first}/variables/variables")
    assert stored(tmp_path / "second")["b"].tolist() == [1.0, 2.0]


def test_a_spec_exports_the_latest_checkpoint_of_a_directory(tmp_path: Path, checkpoint: str) -> None:
    folder = str(Path(checkpoint).parent)
    spec = hub.create_module_spec(affine)
    spec.export(str(tmp_path / "m"), checkpoint_path=folder, name_transform_fn=lambda name: f"theirs/{name}")
    assert stored(tmp_path / "m")["b"].tolist() == (7.0 * BIAS).tolist()


def test_a_spec_exports_parts_and_tables(tmp_path: Path) -> None:
    first = publish(partitioned, tmp_path / "first")
    spec = hub.create_module_spec(partitioned)
    spec.export(str(tmp_path / "second"), checkpoint_path=f"{first}/variables/variables")
    assert stored(tmp_path / "second")["part/table"].tolist() == np.arange(20.0).reshape(10, 2).tolist()
    with tf.Graph().as_default():
        assert evaluated(hub.Module(str(tmp_path / "second"))([4])).tolist() == [[8.0, 9.0]]


def test_a_spec_exports_all_variants(tmp_path: Path) -> None:
    first = publish(normalizing_spec(), tmp_path / "first")
    target = str(tmp_path / "second")
    normalizing_spec().export(target, checkpoint_path=f"{first}/variables/variables")
    assert set(hub.load_module_spec(target).get_tags()) == {frozenset(), frozenset({"train"})}


def test_a_spec_without_the_empty_tag_set_can_be_exported(tmp_path: Path, checkpoint: str) -> None:
    spec = hub.create_module_spec(affine, [({"serve"}, {}), ({"train"}, {})])
    target = str(tmp_path / "module")
    spec.export(target, checkpoint_path=checkpoint, name_transform_fn=lambda name: f"theirs/{name}")
    with tf.Graph().as_default():
        module = hub.Module(target, tags={"train"})
        np.testing.assert_allclose(evaluated(module([[0.0, 0.0]])), [7.0 * BIAS])


def test_a_module_without_the_empty_tag_set_can_be_exported(graph: tf.Graph, tmp_path: Path) -> None:
    module = hub.Module(hub.create_module_spec(affine, [({"a", "b"}, {})]), tags={"b", "a"})
    with started() as session:
        module.export(str(tmp_path / "module"), session)
    assert hub.load_module_spec(str(tmp_path / "module")).get_tags() == [frozenset({"a", "b"})]


def test_exporting_a_spec_leaves_the_users_graph_alone(graph: tf.Graph, tmp_path: Path, checkpoint: str) -> None:
    spec = hub.create_module_spec(affine)
    spec.export(str(tmp_path / "m"), checkpoint_path=checkpoint, name_transform_fn=lambda name: f"theirs/{name}")
    assert graph.get_operations() == []
    assert graph.get_all_collection_keys() == []


@pytest.mark.parametrize(
    ("module_fn", "transform", "named"),
    [
        (affine, lambda name: f"nowhere/{name}", "nowhere/"),
        (affine, lambda name: "theirs/unrelated", "theirs/unrelated"),
    ],
    ids=["name", "shape"],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, checkpoint: str, module_fn: Callable[[], None], transform: Callable[[str], str], named: str
) -> None:
    before = files(tmp_path)
    with pytest.raises(errors.CheckpointError) as caught:
        hub.create_module_spec(module_fn).export(
            str(tmp_path / "module"), checkpoint_path=checkpoint, name_transform_fn=transform
        )
    assert isinstance(caught.value, ValueError)
    assert named in str(caught.value)
    assert files(tmp_path) == before


def test_a_spec_refuses_an_existing_target(tmp_path: Path, checkpoint: str) -> None:
    (tmp_path / "module").mkdir()
    before = files(tmp_path)
    with pytest.raises(tf.errors.AlreadyExistsError):
        hub.create_module_spec(affine).export(
            str(tmp_path / "module"), checkpoint_path=checkpoint, name_transform_fn=lambda name: f"theirs/{name}"
        )
    assert files(tmp_path) == before
