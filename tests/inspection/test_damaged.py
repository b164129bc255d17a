"""Damaged and hostile files: each is described, or refused by an error of modhub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modhub.errors import CorruptModuleError, HandleNotFoundError, InvalidArgumentError, ModhubError, NotAModuleError
from modhub.format import BundleWriter
from modhub.format.protos import GraphDef, MetaGraphDef, ModuleAttachment, SavedModel, TrackableObjectGraph, VariableDef
from modhub.inspection.inspect import inspect
from modhub.inspection.snippets import snippets
from tests.attacks.mutations import apply_mutation, mutations

FUZZ = settings(
    max_examples=int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# The figure of a process starts at what the process that forked it held, so a small one lies between.
BETWEEN = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
# A process that describes a module, and prints the most memory that it has held, in kB.
MEASURED = """
import resource, sys
from modhub.inspection.inspect import inspect
found = inspect(sys.argv[1])
assert found.variants[0].ops["Const"] == 1
assert "tensorflow" not in sys.modules
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""


def small() -> Any:
    """A SavedModel with some of everything that is read."""
    made = SavedModel()
    graph = made.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    for name, op in (("x", "Placeholder"), ("w", "VarHandleOp"), ("y", "Add"), ("d", "PlaceholderWithDefault")):
        graph.graph_def.node.add(name=name, op=op).attr["dtype"].type = 1
    graph.graph_def.library.function.add(ret={"a": "b"}).signature.name = "f"
    signature = graph.signature_def["default"]
    for held, name in ((signature.inputs, "x"), (signature.inputs, "d"), (signature.outputs, "y")):
        held[name].name, held[name].dtype = f"{name}:0", 1
        held[name].tensor_shape.dim.add(size=-1)
    sparse = signature.inputs["s"].coo_sparse
    sparse.values_tensor_name = sparse.indices_tensor_name = sparse.dense_shape_tensor_name = "x:0"
    ragged = signature.inputs["r"].composite_tensor
    ragged.type_spec.type_spec_class = 3
    values = ragged.type_spec.type_state.tuple_value.values
    values.add().tensor_shape_value.dim.add(size=2)
    values.add().tensor_dtype_value = 1
    variable = VariableDef(variable_name="w:0", trainable=True).SerializeToString()
    for key in ("variables", "trainable_variables"):
        graph.collection_def[key].bytes_list.value.append(variable)
    attachment = ModuleAttachment(key="image_module_info", value=b"\n\x04\x08\x02\x10\x03")
    graph.collection_def["hub_module_attachments"].bytes_list.value.append(attachment.SerializeToString())
    graph.collection_def["update_ops"].node_list.value.append("y")
    graph.asset_file_def.add(filename="words.txt").tensor_info.name = "x:0"
    objects = graph.object_graph_def.nodes
    objects.add().children.add(node_id=1, local_name="w")
    objects.add().variable.trainable = True
    return made


SMALL = small().SerializeToString()


def put(folder: Path, data: bytes) -> Path:
    """Write a module of this saved_model.pb, with a checkpoint."""
    folder.mkdir(exist_ok=True)
    (folder / "saved_model.pb").write_bytes(data)
    if not (folder / "variables").exists():
        with BundleWriter(folder / "variables" / "variables") as writer:
            writer.add("w", 1, b"\0" * 8, [2])
    return folder


def described_or_refused(path: Path) -> bool:
    """Describe a module, all that there is of it; tell whether it was refused."""
    try:
        found = inspect(path)
    except ModhubError as error:
        return bool(error.message)
    assert repr(found)
    assert snippets(found) is not None
    return False


def with_collection(key: str, kind: str, value: Any) -> bytes:
    made = small()
    definition = made.meta_graphs[0].collection_def[key]
    definition.Clear()
    if kind == "any_list":
        definition.any_list.value.add(value=value)
    else:
        getattr(definition, kind).value.append(value)
    return bytes(made.SerializeToString())


def test_the_undamaged_one_is_described(tmp_path: Path) -> None:
    found = inspect(put(tmp_path / "module", SMALL))
    variant = found.variant("serve")
    assert (variant.variables, variant.update_ops, variant.assets) == (("w",), ("y",), ("words.txt",))
    assert [str(tensor) for tensor in variant.signature().inputs] == [
        "float32 [?]",
        "ragged float32 [2]",
        "sparse unknown (0) []",
        "float32 [?]",
    ]
    assert found.assets[0].bytes is None


@FUZZ
@given(st.binary(max_size=200))
@example(b"\x12\x00")
def test_random_bytes_are_described_or_refused(tmp_path: Path, data: bytes) -> None:
    described_or_refused(put(tmp_path / "module", data))


@FUZZ
@given(st.data())
def test_changed_bytes_are_described_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(changed)))
        stop = data.draw(st.integers(start, min(len(changed), start + 4)))
        changed[start:stop] = data.draw(st.binary(max_size=4))
    described_or_refused(put(tmp_path / "module", bytes(changed)))


@FUZZ
@given(st.binary(max_size=12), st.integers(0, len(SMALL)))
def test_repeated_parts_are_described_or_refused(tmp_path: Path, data: bytes, place: int) -> None:
    described_or_refused(put(tmp_path / "module", SMALL[:place] + data + SMALL[place:] + SMALL))


def test_every_flipped_bit_and_every_cut_is_described_or_refused(tmp_path: Path) -> None:
    refused = [
        described_or_refused(put(tmp_path / "module", apply_mutation(SMALL, each)))
        for each in mutations(len(SMALL), 400)
    ]
    assert any(refused)
    assert not all(refused)


@pytest.mark.parametrize("key", ["variables", "trainable_variables", "hub_module_attachments", "saved_model_assets"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [("node_list", "x"), ("bytes_list", b"\xff"), ("int64_list", 3), ("float_list", 0.5), ("any_list", b"\xff")],
)
def test_collections_of_another_kind_are_refused(tmp_path: Path, key: str, kind: str, value: Any) -> None:
    with pytest.raises(CorruptModuleError, match="Cannot parse"):
        inspect(put(tmp_path / "module", with_collection(key, kind, value)))


@pytest.mark.parametrize("name", ["x:²", "x:" + "9" * 5000, ":0", "", "^x", "x:-1"])
def test_odd_names_of_tensors_are_described_or_refused(tmp_path: Path, name: str) -> None:
    made = small()
    made.meta_graphs[0].signature_def["default"].inputs["x"].name = name
    made.meta_graphs[0].asset_file_def[0].tensor_info.name = name
    described_or_refused(put(tmp_path / "module", made.SerializeToString()))


def test_an_impossible_shape_is_refused(tmp_path: Path) -> None:
    made = small()
    made.meta_graphs[0].signature_def["default"].inputs["x"].tensor_shape.dim[0].size = -2
    with pytest.raises(CorruptModuleError, match=r"signature 'default' .*'x' has the impossible shape \[-2\]"):
        inspect(put(tmp_path / "module", made.SerializeToString()))


def test_more_dimensions_than_there_can_be_are_refused(tmp_path: Path) -> None:
    made = small()
    dimensions = made.meta_graphs[0].signature_def["default"].inputs["x"].tensor_shape.dim
    for _ in range(254):
        dimensions.add(size=1)
    with pytest.raises(CorruptModuleError, match="'x' has 255 dimensions"):
        inspect(put(tmp_path / "module", made.SerializeToString()))


def test_variables_without_a_checkpoint_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "module", SMALL)
    (path / "variables" / "variables.index").unlink()
    with pytest.raises(CorruptModuleError, match=r"no 'variables/variables\.index'"):
        inspect(path)


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAModuleError):
        inspect(tmp_path)
    with pytest.raises(HandleNotFoundError):
        inspect(tmp_path / "none")


def test_a_graph_of_objects_that_meet_often_is_walked_once(tmp_path: Path) -> None:
    # Two rings of coprime lengths: walked as pairs they would be a product.
    made = small()
    objects = made.meta_graphs[0].object_graph_def.nodes
    del objects[:]
    for index in range(3001):
        objects.add().children.add(node_id=(index + 1) % 3001, local_name="next")
    ring = ring_of_objects(2999)
    path = tmp_path / "module"
    path.mkdir()
    with BundleWriter(path / "variables" / "variables") as writer:
        writer.add("_CHECKPOINTABLE_OBJECT_GRAPH", 7, np.array(ring, object), [])
    assert inspect(put(path, made.SerializeToString())).variables == ()


def ring_of_objects(length: int) -> bytes:
    """The objects of a checkpoint, each the child of another."""
    made = TrackableObjectGraph()
    for index in range(length):
        made.nodes.add().children.add(node_id=(index + 1) % length, local_name="next")
    return bytes(made.SerializeToString())


def test_a_large_constant_takes_no_memory(tmp_path: Path) -> None:
    graph = GraphDef()
    constant = graph.node.add(name="c", op="Const")
    constant.attr["value"].tensor.tensor_content = bytes(100 * 2**20)
    made = MetaGraphDef(graph_def=graph)
    (tmp_path / "saved_model.pb").write_bytes(SavedModel(meta_graphs=[made]).SerializeToString())
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, "-c", MEASURED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout) <= 50 * 1024


@pytest.mark.parametrize("handle", [None, 3, b"encoder", ["encoder"]])
def test_what_is_no_handle_is_said_to_be_none(handle: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="pass a string or a path"):
        inspect(handle)
