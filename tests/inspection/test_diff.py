from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import modhub as hub
from modhub.errors import CorruptModuleError, HandleNotFoundError
from modhub.format import BundleWriter
from modhub.format.protos import SavedModel
from modhub.inspection.diff import Change, Difference, diff
from modhub.inspection.diff_contents import compare_values
from tests import constructions
from tests.inspection.modules import MODULES, packed

v1 = tf.compat.v1


def made(module_fn: Callable[..., Any], path: Path, *variants: Any) -> Path:
    """Publish a module_fn."""
    hub.create_module_spec(module_fn, list(variants) or None).export(str(path))
    return path


def edited(path: Path, copy: Path, edit: Callable[[Any], Any]) -> Path:
    """Copy a module with another graph."""
    shutil.copytree(path, copy)
    saved_model = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    edit(saved_model.meta_graphs[0])
    (copy / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    return copy


def with_values(path: Path, copy: Path, dtype: int, values: Any) -> Path:
    """Copy a module with another checkpoint."""
    shutil.copytree(path, copy)
    shutil.rmtree(copy / "variables")
    with BundleWriter(copy / "variables" / "variables") as writer:
        writer.add("v", dtype, values)
    return copy


def told(found: Difference, *what: str) -> list[tuple[str, str | None, str | None]]:
    """What the changes of some kinds say."""
    return [(change.name, change.a, change.b) for change in found.of(*what)]


@pytest.fixture
def affine(tmp_path: Path) -> Path:
    return made(constructions.affine, tmp_path / "affine")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_the_same_as_its_copy_and_its_archive(tmp_path: Path, name: str) -> None:
    path = MODULES[name](tmp_path)
    copy = shutil.copytree(path, tmp_path / "copy")
    for other in (copy, packed(path, tmp_path / "module.tar.gz")):
        found = diff(path, other)
        assert found.changes == ()
        assert found.same


def test_the_same_definition_published_twice_is_the_same(tmp_path: Path, affine: Path) -> None:
    assert diff(affine, made(constructions.affine, tmp_path / "again")).same


def test_other_formats_signatures_and_variables_are_told(tmp_path: Path) -> None:
    a = made(constructions.affine, tmp_path / "a")
    found = diff(a, MODULES["tf1_saved_model"](tmp_path))
    assert told(found, "format") == [("", "TF1 Hub module", "TF1 SavedModel")]
    assert told(found, "variant") == [("{}", "present", None), ("{'serve'}", None, "present")]
    assert told(found, "variable") == [
        ("b", "float32 [2]", None),
        ("scope/w", None, "float32 [2, 2]"),
        ("w", "float32 [2, 2]", None),
    ]
    assert not found.same


def test_inputs_and_outputs_are_told(tmp_path: Path) -> None:
    def one() -> None:
        x = v1.placeholder(tf.float32, [None, 2])
        left = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs={"x": x, "left": left}, outputs={"y": x})
        hub.add_signature("only_a", inputs=x, outputs=x)

    def other() -> None:
        x = v1.placeholder(tf.float32, [None, 3])
        momentum = v1.placeholder_with_default(0.5, [])
        hub.add_signature(inputs={"x": x, "momentum": momentum}, outputs={"y": momentum * x, "z": x})
        hub.add_signature("only_b", inputs=x, outputs=x)

    found = diff(made(one, tmp_path / "a"), made(other, tmp_path / "b"))
    assert told(found, "signature") == [("only_a", "present", None), ("only_b", None, "present")]
    assert told(found, "input") == [
        ("left", "float32 [?, 2]", None),
        ("momentum", None, "float32 [], optional"),
        ("x", "float32 [?, 2]", "float32 [?, 3]"),
    ]
    assert told(found, "output") == [("y", "float32 [?, 2]", "float32 [?, 3]"), ("z", None, "float32 [?, 3]")]
    assert {(change.tags, change.signature) for change in found.of("input", "output")} == {((), "default")}
    assert ("Mul", None, "1") in told(found, "op")
    assert found.of("input")[0].place == "variant {}, signature 'default', input 'left'"


def test_values_are_told(tmp_path: Path, affine: Path) -> None:
    changed = constructions.publish(str(affine), tmp_path / "changed", {"w": [[1.0, 2.5], [3.0, 0.0]]})
    (change,) = diff(affine, changed).changes
    assert (change.what, change.name, change.unequal, change.max_abs_difference) == ("values", "w", 2, 4.0)
    assert diff(affine, changed, values=False).same
    assert not diff(affine, changed, values=False).compared_values


@pytest.mark.parametrize(
    ("a", "b", "unequal", "greatest"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, -np.nan]), 0, 0.0),
        (np.array([1.0, np.nan]), np.array([np.nan, 1.0]), 2, np.inf),
        (np.array([0.0, np.inf]), np.array([-0.0, np.inf]), 0, 0.0),
        (np.array([np.inf, -np.inf]), np.array([-np.inf, 0.0]), 2, np.inf),
        (np.array([3, -128], np.int8), np.array([4, 127], np.int8), 2, 255.0),
        (np.array([2**63], np.uint64), np.array([0], np.uint64), 1, 2.0**63),
        (np.array([-(2**63)]), np.array([2**63 - 1]), 1, 2.0**64),
        (np.array([True, False]), np.array([True, True]), 1, 1.0),
        (np.array([3 + 4j, complex(np.nan, 0)], np.complex64), np.array([0, complex(np.nan, 0)], np.complex64), 1, 5.0),
        (np.array([[b"a", b""]], object), np.array([[b"a", b"\0"]], object), 1, None),
        (np.zeros([0, 3]), np.zeros([0, 3]), 0, 0.0),
        (np.array(1.0), np.array(2.0), 1, 1.0),
        (np.array([1.0, 2.0], tf.bfloat16.as_numpy_dtype), np.array([1.0, 4.0], tf.bfloat16.as_numpy_dtype), 1, 2.0),
        (np.array([3e38], np.float32), np.array([-3e38], np.float32), 1, pytest.approx(6e38)),
        (np.zeros(2**18 + 1), np.append(np.zeros(2**18), 1.0), 1, 1.0),
    ],
)
def test_values_are_compared(a: Any, b: Any, unequal: int, greatest: Any) -> None:
    assert compare_values(a, b) == (unequal, greatest)
    assert compare_values(b, a) == (unequal, greatest)


@given(st.data(), st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.complex64, np.float16]))
def test_comparing_is_as_numpy_has_it(data: st.DataObject, dtype: Any) -> None:
    a, b = (data.draw(arrays.arrays(dtype, 5)) for _ in range(2))
    inexact = np.issubdtype(dtype, np.inexact)
    equal = [x == y or (inexact and np.isnan(x) and np.isnan(y)) for x, y in zip(a, b, strict=True)]
    unequal, greatest = compare_values(a, b)
    assert unequal == equal.count(False)
    assert greatest is not None
    assert (greatest == 0) == (unequal == 0)
    assert compare_values(a, a) == (0, 0.0)


def test_strings_are_compared_as_they_are_stored(tmp_path: Path, affine: Path) -> None:
    a = with_values(affine, tmp_path / "a", 7, np.array([b"a", b"b"], object))
    (change,) = diff(a, with_values(affine, tmp_path / "b", 7, np.array([b"a", b"c"], object))).changes
    assert (change.unequal, change.max_abs_difference) == (1, None)


def test_other_shapes_and_dtypes_are_told_and_not_compared(tmp_path: Path, affine: Path) -> None:
    a = with_values(affine, tmp_path / "a", 1, np.zeros([2], np.float32))
    found = diff(a, with_values(affine, tmp_path / "b", 2, np.ones([3])))
    assert found.changes == (Change(what="variable", name="v", a="float32 [2]", b="float64 [3]"),)


def test_partitions_are_told(tmp_path: Path, affine: Path) -> None:
    a = with_values(affine, tmp_path / "a", 1, np.arange(6, dtype=np.float32))
    b = with_values(affine, tmp_path / "b", 1, np.arange(6, dtype=np.float32))
    shutil.rmtree(b / "variables")
    with BundleWriter(b / "variables" / "variables") as writer:
        writer.add_slice("v", 1, (6,), ((0, 4),), np.arange(4, dtype=np.float32))
        writer.add_slice("v", 1, (6,), ((4, 2),), np.arange(4, 6, dtype=np.float32))
    assert diff(a, b).changes == (Change(what="variable", name="v", a="float32 [6]", b="float32 [6] in 2 partitions"),)


def test_assets_and_other_files_are_told(tmp_path: Path) -> None:
    a = MODULES["lookup"](tmp_path)
    b = shutil.copytree(a, tmp_path / "b")
    (a / "assets" / "old.txt").write_text("x")
    (b / "assets" / "vocabulary.txt").write_text("a\nc\n")
    (b / "notes.txt").write_text("new")
    for other in (b, packed(b, tmp_path / "b.tar")):
        found = diff(a, other)
        assert [(change.what, change.name, change.a is None, change.b is None) for change in found.changes] == [
            ("asset", "old.txt", False, True),
            ("asset", "vocabulary.txt", False, False),
            ("file", "notes.txt", True, False),
        ]
        assert found.of("asset")[0].a == (
            "1 bytes, SHA-256 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        )


def test_constants_and_attributes_are_told(tmp_path: Path, affine: Path) -> None:
    def edit(meta_graph: Any) -> None:
        node = next(node for node in meta_graph.graph_def.node if node.op == "MatMul")
        node.attr["transpose_a"].b = True

    found = diff(affine, edited(affine, tmp_path / "edited", edit))
    assert [(change.what, change.a, change.b) for change in found.changes] == [("node", "MatMul", "MatMul")]


def test_attachments_collections_and_versions_are_told(tmp_path: Path) -> None:
    a = MODULES["attached"](tmp_path)

    def edit(meta_graph: Any) -> None:
        meta_graph.collection_def["hub_module_attachments"].bytes_list.value.pop()
        meta_graph.collection_def["update_ops"].node_list.value.append("x")
        meta_graph.graph_def.versions.producer = 5
        meta_graph.meta_info_def.tensorflow_version = "1.2.3"

    found = diff(a, edited(a, tmp_path / "edited", edit))
    assert [(change.what, change.name, change.b) for change in found.changes] == [
        ("collection", "hub_module_attachments", "1"),
        ("collection", "update_ops", "1"),
        ("attachment", "own", None),
        ("version", "producer", "5"),
        ("version", "tensorflow_version", "1.2.3"),
    ]


def test_nodes_in_functions_are_told(tmp_path: Path) -> None:
    a = MODULES["library"](tmp_path)
    names: list[str] = []

    def edit(meta_graph: Any) -> None:
        function = next(each for each in meta_graph.graph_def.library.function if each.node_def)
        names.append(f"{function.signature.name}/{function.node_def[0].name}")
        function.node_def[0].device = "/cpu:0"

    found = diff(a, edited(a, tmp_path / "edited", edit))
    assert [(change.what, change.name) for change in found.changes] == [("node", names[0])]


def test_a_missing_module_is_refused(tmp_path: Path, affine: Path) -> None:
    with pytest.raises(HandleNotFoundError):
        diff(affine, tmp_path / "none")


def test_an_altered_value_is_refused_and_not_compared(tmp_path: Path, affine: Path) -> None:
    b = shutil.copytree(affine, tmp_path / "b")
    data = b / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    with pytest.raises(CorruptModuleError, match="checksum"):
        diff(affine, b)
    assert diff(affine, b, values=False).same
