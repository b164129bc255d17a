"""Paths that hold no module, a damaged one, or one that this version cannot read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

import modhub as hub
from modhub import errors
from tests.constructions import evaluated, lookup, op_types, publish, variable
from tests.refusals import file_state, refused

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published module with variables, a table and an asset."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "words.txt").write_text("a\nb\n")

    def module_fn() -> None:
        words = v1.placeholder(tf.string, [None])
        ids = hub.Module(hub.create_module_spec(lookup(folder / "words.txt")), name="ids")(words)
        hub.add_signature(inputs=words, outputs=tf.gather(variable("table", [[0.0], [1.0], [2.0]]), ids + 1))

    publish(module_fn, folder / "module")
    (folder / "words.txt").unlink()
    return folder / "module"


@pytest.fixture
def module(good: Path, tmp_path: Path) -> Path:
    """A copy of the module, to be damaged."""
    return Path(shutil.copytree(good, tmp_path / "module"))


def loads(path: Path | str) -> None:
    """Do all that reads a module's files: load it, make it, initialise it, run it."""
    evaluated(hub.Module(str(path))(["a"]))


def test_the_copy_is_fine(graph: tf.Graph, module: Path) -> None:
    loads(module)


@pytest.mark.parametrize("name", ["missing", "missing/deeper", "module2"])
def test_a_path_that_is_not_there(graph: tf.Graph, module: Path, name: str) -> None:
    path = str(module.parent / name)
    for load in (hub.load_module_spec, hub.Module):
        with refused(errors.HandleNotFoundError, OSError, tf.errors.NotFoundError, graph=graph, says=(path,)):
            load(path)


@pytest.mark.parametrize("name", ["an empty directory", "a directory of other things", "a file"])
def test_a_path_that_is_no_module(graph: tf.Graph, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a file":
        path.write_text("text")
    else:
        path.mkdir()
        if "other" in name:
            (path / "notes.txt").write_text("notes")
    # A file may be an archive of a module; then it is the handle that is wrong.
    error = errors.ModhubError if name == "a file" else errors.NotAModuleError
    with refused(error, OSError, tf.errors.NotFoundError, graph=graph, folder=tmp_path, says=(str(path),)):
        hub.Module(str(path))


@pytest.mark.parametrize("file", ["tfhub_module.pb", "saved_model.pb"])
def test_a_missing_file(graph: tf.Graph, module: Path, file: str) -> None:
    (module / file).unlink()
    with refused(errors.NotAModuleError, tf.errors.NotFoundError, graph=graph, says=(file, str(module))):
        hub.Module(str(module))


@pytest.mark.parametrize("file", ["variables.index", "variables.data-00000-of-00001"])
def test_missing_weights(graph: tf.Graph, module: Path, file: str) -> None:
    (module / "variables" / file).unlink()
    with refused(errors.ModuleFormatError, OSError, graph=graph, says=(str(module),)):
        hub.Module(str(module))


class Doubling(tf.Module):
    """A module as TF2 has them."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return 2.0 * x


@pytest.mark.parametrize("marked", [False, True])
def test_a_saved_model_of_tf2(tmp_path: Path, marked: bool) -> None:
    path = tmp_path / "saved"
    tf.saved_model.save(Doubling(), str(path))
    if marked:
        (path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    with tf.Graph().as_default() as graph:
        with pytest.raises((errors.NotAModuleError, errors.UnsupportedFormatError)) as caught:
            hub.Module(str(path))
        assert graph.get_operations() == []
    assert "tf.saved_model.load" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_saved_model_of_tf1(graph: tf.Graph, tmp_path: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [])
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": tf.identity(x)})
    with refused(
        errors.NotAModuleError,
        tf.errors.NotFoundError,
        graph=graph,
        says=("create_module_spec_from_saved_model", str(tmp_path / "saved")),
    ):
        hub.Module(str(tmp_path / "saved"))


def edited(module: Path, edit: Callable[[saved_model_pb2.SavedModel], None]) -> None:
    """Change the graph of a published module."""
    path = module / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    edit(saved)
    path.write_bytes(saved.SerializeToString())


CORRUPTIONS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "noise": lambda content: bytes((byte * 31 + 7) % 256 for byte in content),
    "text": lambda content: b"<html>Not found</html>",
}
FILES = ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", CORRUPTIONS)
def test_a_damaged_file(graph: tf.Graph, module: Path, file: str, how: str) -> None:
    path = module / file
    path.write_bytes(CORRUPTIONS[how](path.read_bytes()))
    with refused(errors.CorruptModuleError, OSError, ValueError, graph=graph, says=(str(module), Path(file).name)):
        hub.Module(str(module))


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_changed_weight(graph: tf.Graph, module: Path, place: int) -> None:
    path = module / FILES[2]
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with refused(errors.CorruptModuleError, OSError, graph=graph, says=("checksum", "table")):
        hub.Module(str(module))


def test_another_modules_weights(graph: tf.Graph, module: Path, tmp_path: Path) -> None:
    def module_fn() -> None:
        hub.add_signature(outputs=variable("other", [1.0]) * 1.0)

    publish(module_fn, tmp_path / "other")
    shutil.rmtree(module / "variables")
    shutil.copytree(tmp_path / "other" / "variables", module / "variables")
    with refused(errors.CorruptModuleError, OSError, graph=graph, says=("table",)):
        hub.Module(str(module))


def test_weights_of_another_shape(graph: tf.Graph, module: Path, tmp_path: Path) -> None:
    def module_fn() -> None:
        hub.add_signature(outputs=variable("table", [1.0]) * 1.0)

    publish(module_fn, tmp_path / "other")
    shutil.rmtree(module / "variables")
    shutil.copytree(tmp_path / "other" / "variables", module / "variables")
    with refused(errors.CorruptModuleError, OSError, graph=graph, says=("table", "(3, 1)", "(1,)")):
        hub.Module(str(module))


@pytest.mark.parametrize("name", ["words.txt", ""])
def test_a_missing_asset(graph: tf.Graph, module: Path, name: str) -> None:
    path = module / "assets" / name
    path.unlink() if name else shutil.rmtree(path)
    says = ("words.txt", str(module))
    with refused(errors.MissingAssetError, FileNotFoundError, ValueError, graph=graph, says=says):
        hub.Module(str(module))


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/hostname", "assets/../../secret.txt"])
def test_an_asset_outside_of_the_module(graph: tf.Graph, module: Path, name: str) -> None:
    def edit(saved: saved_model_pb2.SavedModel) -> None:
        for held in saved.meta_graphs[0].collection_def["saved_model_assets"].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            held.Unpack(asset)
            asset.filename = name
            held.Pack(asset)
        for asset in saved.meta_graphs[0].asset_file_def:
            asset.filename = name

    (module.parent / "secret.txt").write_text("a\n")
    edited(module, edit)
    with refused(errors.ModuleFormatError, ValueError, graph=graph, says=(name,)):
        hub.Module(str(module))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x08\x01", "1"),
        (b"\x08\x04", "4"),
        (b"\x08\x03\x12\x07quantum", "quantum"),
        (b"\x08\x03\x12\x01a\x12\x01b", "b"),
    ],
    ids=repr,
)
def test_a_format_or_feature_that_is_not_known(graph: tf.Graph, module: Path, content: bytes, says: str) -> None:
    (module / "tfhub_module.pb").write_bytes(content)
    for load in (hub.load_module_spec, hub.Module):
        with refused(errors.UnsupportedFormatError, ValueError, graph=graph, says=(says, str(module))):
            load(str(module))


@pytest.mark.parametrize("content", [b"", b"\x08", b"\xff\xff\xff", b"<html>"], ids=repr)
def test_a_damaged_marker(graph: tf.Graph, module: Path, content: bytes) -> None:
    (module / "tfhub_module.pb").write_bytes(content)
    with refused(errors.ModuleFormatError, ValueError, graph=graph, says=("tfhub_module.pb",)):
        hub.Module(str(module))


@pytest.mark.parametrize(
    ("op", "package"),
    [("SentencepieceTokenizeOp", "tensorflow-text"), ("SomebodysOwnOp", "")],
)
def test_an_op_that_is_not_known(graph: tf.Graph, module: Path, op: str, package: str) -> None:
    def edit(saved: saved_model_pb2.SavedModel) -> None:
        (gather,) = [node for node in saved.meta_graphs[0].graph_def.node if node.op in ("GatherV2", "ResourceGather")]
        gather.op = op

    edited(module, edit)
    with refused(errors.UnknownOpError, tf.errors.NotFoundError, says=(op, package)):
        loads(module)
    assert op not in op_types(graph)


def test_an_op_that_is_not_known_in_a_function(graph: tf.Graph, tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def exponential(x: tf.Tensor) -> tf.Tensor:
        return tf.exp(x)

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=exponential(x))

    def edit(saved: saved_model_pb2.SavedModel) -> None:
        for function in saved.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                node.op = "SomebodysOwnOp" if node.op == "Exp" else node.op

    path = publish(module_fn, tmp_path / "module")
    edited(Path(path), edit)
    with refused(errors.UnknownOpError, tf.errors.NotFoundError, says=("SomebodysOwnOp",)):
        evaluated(hub.Module(path)([1.0]))


def test_a_module_without_graphs(graph: tf.Graph, module: Path) -> None:
    edited(module, lambda saved: saved.ClearField("meta_graphs"))
    with refused(errors.ModuleFormatError, ValueError, graph=graph, says=(str(module),)):
        hub.Module(str(module))


def test_a_signature_that_names_no_tensor(graph: tf.Graph, module: Path) -> None:
    def edit(saved: saved_model_pb2.SavedModel) -> None:
        saved.meta_graphs[0].signature_def["default"].outputs["default"].name = "nowhere:0"

    edited(module, edit)
    with refused(errors.CorruptModuleError, OSError, says=("nowhere",)):
        loads(module)


def test_a_node_whose_input_is_not_there(graph: tf.Graph, module: Path) -> None:
    def edit(saved: saved_model_pb2.SavedModel) -> None:
        nodes = saved.meta_graphs[0].graph_def.node
        (gather,) = [node for node in nodes if node.op in ("GatherV2", "ResourceGather")]
        gather.input[1] = "nowhere"

    edited(module, edit)
    with refused(errors.CorruptModuleError, OSError, says=("nowhere",)):
        loads(module)


@pytest.mark.parametrize("handle", [7, None, ["a"], {"a": 1}], ids=repr)
def test_something_that_is_no_handle(graph: tf.Graph, handle: Any) -> None:
    for load in (hub.load_module_spec, hub.Module):
        with refused(errors.InvalidArgumentError, ValueError, TypeError, graph=graph, says=(type(handle).__name__,)):
            load(handle)


def test_a_path_object_is_a_handle(graph: tf.Graph, module: Path) -> None:
    assert evaluated(hub.Module(module)(["a"])).tolist() == [[1.0]]


def test_reading_changes_no_file(graph: tf.Graph, module: Path) -> None:
    before = file_state(module)
    loads(module)
    assert file_state(module) == before


@pytest.mark.parametrize("name", ["missing", "an empty directory"])
def test_a_saved_model_that_is_not_there(graph: tf.Graph, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != "missing":
        path.mkdir()
    with refused(errors.ModhubError, OSError, graph=graph, folder=tmp_path, says=(str(path),)):
        hub.create_module_spec_from_saved_model(str(path))


def test_a_saved_model_that_is_damaged(graph: tf.Graph, module: Path) -> None:
    (module / "saved_model.pb").write_bytes(b"\xff\xff")
    with refused(errors.CorruptModuleError, OSError, graph=graph, folder=module, says=(str(module),)):
        hub.create_module_spec_from_saved_model(str(module))
