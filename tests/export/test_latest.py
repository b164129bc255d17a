"""export_latest writes whole directories named by the second, and keeps the newest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors
from modhub.cache.owner import OWNER, new_owner
from modhub.export.latest import export_latest
from tests import constructions
from tests.export.digits import computed, stamps
from tests.refusals import refused

v1 = tf.compat.v1
X = np.array([[1.0, 2.0], [-3.0, 0.5]], np.float32)
NOW = 1_700_000_000


@pytest.fixture
def module(tmp_path: Path) -> hub.LoadedModule:
    return hub.load(constructions.publish(constructions.affine, tmp_path / "affine"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands where its first item says."""
    now = [float(NOW)]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def in_process(*arguments: str) -> str:
    """What exporting.py prints."""
    script = Path(__file__).with_name("exporting.py")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    run = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=300, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


def left_behind(base: Path, owner: str, days: float = 0.0) -> Path:
    """A directory that an export has left which was killed, some days ago."""
    partial = base / f".export.{owner}.partial"
    (partial / "one" / "variables").mkdir(parents=True)
    (partial / "one" / "variables" / "variables.index").write_bytes(b"")
    then = time.time() - days * 86400
    for path in [*partial.rglob("*"), partial]:
        os.utime(path, (then, then))
    return partial


def test_a_module_of_a_session(base: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        one, two = (hub.Module(hub.create_module_spec(constructions.affine)) for _ in range(2))
        session.run(v1.global_variables_initializer())
        session.run(v1.assign(two.variable_map["b"], [7.0, 8.0]))
        path = export_latest({"one": one, "text/two": two}, base)
    assert isinstance(path, str)
    assert [str(base / name) for name in stamps(base)] == [path]
    assert abs(int(Path(path).name) - time.time()) < 600
    for name, bias in (("one", constructions.BIAS), ("text/two", [7.0, 8.0])):
        for output in computed(f"{path}/{name}", X):
            np.testing.assert_allclose(output, X @ constructions.WEIGHTS + bias, rtol=1e-6)


def test_modules_of_eager_execution(base: Path, module: hub.LoadedModule) -> None:
    module.variable_map["b"].assign([3.0, 4.0])
    layer = hub.KerasLayer(module)
    path = export_latest({"module": module, "layer": layer}, base)
    for name in ("module", "layer"):
        for output in computed(f"{path}/{name}", X):
            np.testing.assert_allclose(output, X @ constructions.WEIGHTS + [3.0, 4.0], rtol=1e-6)


def test_both_kinds_at_once(base: Path, module: hub.LoadedModule) -> None:
    with tf.Graph().as_default() as graph:
        other = hub.Module(hub.create_module_spec(constructions.affine))
        initializer = v1.global_variables_initializer()
    session = v1.Session(graph=graph)
    session.run(initializer)
    path = export_latest({"eager": module, "graph": other}, base, session=session)
    session.close()
    for name in ("eager", "graph"):
        np.testing.assert_allclose(hub.load(f"{path}/{name}")(X), module(X), rtol=1e-6)


@pytest.mark.parametrize("kind", [v1.train.MonitoredTrainingSession, v1.train.SingularMonitoredSession])
def test_a_monitored_session(base: Path, kind) -> None:
    class Counts(v1.train.SessionRunHook):
        runs = 0

        def before_run(self, run_context: Any) -> None:
            self.runs += 1

    counts = Counts()
    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(constructions.affine))
        change = v1.assign(module.variable_map["b"], [7.0, 8.0]).op
        with kind(hooks=[counts]) as session:
            session.run(change)
            path = export_latest({"affine": module}, base, session=session)
        with refused(errors.GraphError, says=("is closed", "ModuleExportHook"), folder=base):
            export_latest({"affine": module}, base, session=session)
    assert counts.runs == 1
    np.testing.assert_allclose(computed(f"{path}/affine", X)[1], X @ constructions.WEIGHTS + [7.0, 8.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("keep", "left"), [(None, [0, 1, 2, 3]), (1, [3]), (2, [2, 3]), (np.int64(3), [1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_the_newest_stay(base: Path, module: hub.LoadedModule, clock: list[float], keep, left) -> None:
    paths = [export_latest({"affine": module}, base, keep) for _ in range(4)]
    assert paths == [str(base / str(NOW + second)) for second in range(4)]
    assert stamps(base) == [str(NOW + second) for second in left]


def test_five_stay_unless_told(base: Path, module: hub.LoadedModule, clock: list[float]) -> None:
    for second in range(7):
        clock[0] = NOW + 10 * second
        export_latest({"affine": module}, base)
    assert stamps(base) == [str(NOW + 10 * second) for second in range(2, 7)]


@pytest.mark.parametrize("keep", [0, -1, True, 1.5, "3", [1]])
def test_numbers_of_exports_that_are_refused(base: Path, module: hub.LoadedModule, keep) -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=("must be a positive number", repr(keep))):
        export_latest({"affine": module}, base, keep)
    assert not base.exists()


def test_a_clock_that_was_set_back(base: Path, module: hub.LoadedModule, clock: list[float]) -> None:
    first = export_latest({"affine": module}, base, 2)
    clock[0] -= 3600
    second, third = (export_latest({"affine": module}, base, 2) for _ in range(2))
    assert [Path(each).name for each in (first, second, third)] == [str(NOW), str(NOW + 1), str(NOW + 2)]
    assert stamps(base) == [str(NOW + 1), str(NOW + 2)]


def test_a_clock_that_was_never_set(base: Path, module: hub.LoadedModule, clock: list[float]) -> None:
    clock[0] = 12.0
    export_latest({"affine": module}, base)
    assert stamps(base) == ["0000000012"]


def test_no_larger_name(base: Path, module: hub.LoadedModule) -> None:
    (base / "9999999999").mkdir(parents=True)
    with refused(errors.ExportError, RuntimeError, says=("9999999999", "Move that away"), folder=base):
        export_latest({"affine": module}, base)


def test_what_else_lies_there_stays(base: Path, module: hub.LoadedModule, clock: list[float], tmp_path: Path) -> None:
    folders = ["123456789", "12345678901", "temp-1234567890", "best", "١٢٣٤٥٦٧٨٩٠", ".export.partial"]
    for name in folders:
        (base / name).mkdir(parents=True)
        (base / name / "kept").write_text("")
    (base / "1000000000").write_text("a file")
    (base / "1000000001").symlink_to(tmp_path)
    (base / "notes.txt").write_text("")
    (base / "1000000002").mkdir()
    for _ in range(3):
        export_latest({"affine": module}, base, 1)
    others = [*folders, "1000000000", "1000000001", "notes.txt"]
    assert stamps(base) == sorted([*others, str(NOW + 2)])
    assert all((base / name / "kept").exists() for name in folders)
    assert (tmp_path / "affine").exists()


@pytest.mark.parametrize("what", ["file", "link", "directory"])
def test_a_name_that_is_taken(base: Path, module: hub.LoadedModule, clock: list[float], what) -> None:
    base.mkdir()
    taken = base / str(NOW)
    taken.mkdir() if what == "directory" else taken.symlink_to("nowhere") if what == "link" else taken.write_text("")
    assert export_latest({"affine": module}, base) == str(base / str(NOW + 1))


def test_someone_else_is_faster(
    base: Path, module: hub.LoadedModule, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, faster = os.rename, []

    def slow(source: Path, target: Path) -> None:
        if Path(target).name in (str(NOW), str(NOW + 1)):
            Path(target).mkdir()
            (Path(target) / "theirs").write_text("")
            faster.append(target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", slow)
    assert export_latest({"affine": module}, base) == str(base / str(NOW + 2))
    assert [stamps(path) for path in faster] == [["theirs"], ["theirs"]]


def test_threads_share_a_directory(base: Path, module: hub.LoadedModule) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend(export_latest({"a": module}, base, None) for _ in range(5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 20
    assert [str(base / name) for name in stamps(base)] == sorted(found)


def test_processes_share_a_directory(base: Path) -> None:
    assert json.loads(in_process("several", str(base), "5")) == [0] * 4
    assert len(stamps(base)) == 20
    for name in stamps(base):
        assert name.isdigit()
        assert stamps(base / name) == ["one", "two"]
        np.testing.assert_allclose(hub.load(str(base / name / "two"))(X), hub.load(str(base / name / "one"))(X))


def test_a_killed_export_leaves_the_earlier_ones_whole(base: Path, module: hub.LoadedModule) -> None:
    outcomes = [json.loads(line) for line in in_process("killed", str(base), "121").splitlines()]
    assert len(outcomes) == 121
    bad = [each for each in outcomes if not (each["whole"] and each["kept"] and each["partial"] <= 1)]
    assert bad == []
    # The test has teeth only if the exports died, at different stages, also while the oldest was being removed.
    assert sum(each["killed"] for each in outcomes) >= 90
    assert len({each["files"] for each in outcomes}) >= 5
    assert {each["exports"] for each in outcomes} <= {3, 4}
    assert {(each["new"], each["partial"]) for each in outcomes if each["killed"]} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    # One that nobody kills removes what is left.
    export_latest({"one": module, "two": module}, base, 3)
    assert len(stamps(base)) == 3
    for name in stamps(base):
        for each in ("one", "two"):
            np.testing.assert_allclose(hub.load(str(base / name / each))(X), module(X))


def test_what_is_left_by_whom_goes_when(base: Path, module: hub.LoadedModule) -> None:
    mine = new_owner()
    found = OWNER.fullmatch(mine)
    other_machine = mine.replace(found["machine"], "00000000")
    gone = mine.replace(f"p{found['pid']}s", "p4194305s")  # above the largest number that Linux gives
    kept = [left_behind(base, new_owner(), 9.0), left_behind(base, other_machine, 0.9)]
    removed = [left_behind(base, gone), left_behind(base, other_machine[:-8] + "0" * 8, 1.1)]
    export_latest({"affine": module}, base)
    assert [path.exists() for path in kept] == [True, True]
    assert [path.exists() for path in removed] == [False, False]
    assert len(stamps(base)) == 3


def test_a_failed_export_leaves_nothing(base: Path, module: hub.LoadedModule) -> None:
    first = export_latest({"affine": module}, base)
    with tf.Graph().as_default(), v1.Session() as session:
        other = hub.Module(hub.create_module_spec(constructions.affine))
        with refused(errors.UninitializedError, says=("is not initialized",), folder=base):
            export_latest({"affine": other}, base, session=session)
    assert stamps(base) == [Path(first).name]


def test_a_directory_that_cannot_be_written(base: Path, module: hub.LoadedModule, tmp_path: Path) -> None:
    base.write_text("a file")
    for place in (base, base / "below", tmp_path / ("x" * 300)):
        with refused(errors.ExportError, RuntimeError, says=("Cannot export to", "base_dir"), folder=tmp_path):
            export_latest({"affine": module}, place)


def test_old_exports_that_cannot_be_removed(
    base: Path, module: hub.LoadedModule, clock: list[float], monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    export_latest({"affine": module}, base)
    rename = os.rename

    def denied(source: Path, target: Path) -> None:
        if Path(source).name == str(NOW):
            raise PermissionError(1, "not yours", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", denied)
    assert export_latest({"affine": module}, base, 1) == str(base / str(NOW + 1))
    assert stamps(base) == [str(NOW), str(NOW + 1)]
    assert "not yours" in caplog.text


@pytest.mark.parametrize("place", [None, 3, "", "gs://bucket/exports", "a\0b", b""])
def test_places_that_are_refused(module: hub.LoadedModule, place) -> None:
    with refused(errors.InvalidArgumentError, ValueError, says=("base_dir has to be", repr(place).lstrip("b"))):
        export_latest({"affine": module}, place)


def test_a_place_may_be_bytes(base: Path, module: hub.LoadedModule) -> None:
    assert export_latest({"affine": module}, os.fsencode(base)) == str(base / stamps(base)[0])


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        ({}, "the dict of modules is empty"),
        (None, "Pass {'name': module}"),
        (["module"], "Pass {'name': module}"),
        ({"a": "path"}, "'path' was given. hub.load makes"),
        ({"a": None}, "None was given"),
        ({"../a": None}, "'../a' was given"),
        ({1: None}, "1 was given"),
    ],
)
def test_modules_that_are_refused(base: Path, modules, says) -> None:
    with refused(errors.InvalidArgumentError, ValueError, TypeError, says=(says,)):
        export_latest(modules, base)
    assert not base.exists()


def test_a_module_inside_another_is_refused(base: Path, module: hub.LoadedModule) -> None:
    with refused(errors.InvalidArgumentError, says=("'text/en' would be written into", "'text'")):
        export_latest({"text/en": module, "text": module}, base)


def test_a_layer_of_something_else_is_refused(base: Path) -> None:
    with refused(errors.InvalidArgumentError, says=("a layer of something else", "tf.saved_model.save")):
        export_latest({"a": hub.KerasLayer(lambda x: x)}, base)
    with refused(errors.InvalidArgumentError, says=("hub.export_module",)):
        export_latest({"a": keras.layers.Dense(1)}, base)


def test_sessions_that_are_refused(base: Path, graph: tf.Graph) -> None:
    module = hub.Module(hub.create_module_spec(constructions.affine))
    with refused(errors.GraphError, RuntimeError, says=("there is none: pass session=",)):
        export_latest({"affine": module}, base)
    with refused(errors.InvalidArgumentError, TypeError, says=("'session' was given",)):
        export_latest({"affine": module}, base, session="session")
    assert not base.exists()
    with tf.Graph().as_default(), v1.Session() as other, refused(errors.GraphError, says=("graph differs",)):
        export_latest({"affine": module}, base, session=other)
    with v1.Session() as closed:
        closed.run(v1.global_variables_initializer())
    with refused(errors.GraphError, says=("closed Session",)):
        export_latest({"affine": module}, base, session=closed)
    assert stamps(base) == []


def test_eager_modules_in_a_graph_are_refused(base: Path, module: hub.LoadedModule) -> None:
    with tf.Graph().as_default(), refused(errors.GraphError, says=("works under eager execution",)):
        export_latest({"affine": module}, base)
    assert stamps(base) == []
