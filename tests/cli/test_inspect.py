from __future__ import annotations

import base64
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modhub.cli.amounts import size_text
from modhub.format import BundleWriter
from modhub.format.protos import ModuleAttachment, SavedModel, VariableDef
from modhub.inspection.inspect import inspect
from tests.cli.command_lines import SOURCE, environment, here, in_a_process, refusal

PNG = b"\x89PNG\xff"
# The figure of a process starts at what the process that forked it held, so a small one lies between.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "modhub", *sys.argv[1:]], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
sys.exit(code)
"""


def add_variant(saved_model: Any, tags: list[str], width: int) -> Any:
    """Add a variant of two signatures, x [?, width] -> y and a string -> y."""
    graph = saved_model.meta_graphs.add()
    graph.meta_info_def.tags.extend(tags)
    graph.meta_info_def.tensorflow_version = "1.15.5"
    graph.graph_def.versions.producer = 134
    for name, op in (("x", "Placeholder"), ("w", "VarHandleOp"), ("y", "MatMul"), ("z", "MatMul"), ("d", "Const")):
        graph.graph_def.node.add(name=name, op=op)
    graph.graph_def.node.add(name="rate", op="PlaceholderWithDefault")
    graph.graph_def.library.function.add(node_def=[{"name": "n", "op": "Mul"}]).signature.name = "f"
    default = graph.signature_def["default"]
    for held, name, shape in (
        (default.inputs, "x", [-1, width]),
        (default.inputs, "rate", []),
        (default.outputs, "y", [-1]),
    ):
        held[name].name, held[name].dtype = f"{name}:0", 1
        for size in shape:
            held[name].tensor_shape.dim.add(size=size)
        held[name].tensor_shape.SetInParent()
    text = graph.signature_def["text"]
    text.inputs["words"].name, text.inputs["words"].dtype = "x:0", 7
    text.inputs["words"].tensor_shape.unknown_rank = True
    text.outputs["y"].CopyFrom(default.outputs["y"])
    for key, names in (("variables", "wv"), ("trainable_variables", "w")):
        for name in names:
            definition = VariableDef(variable_name=f"{name}:0").SerializeToString()
            graph.collection_def[key].bytes_list.value.append(definition)
    graph.collection_def["regularization_losses"].node_list.value.extend(["loss:0", "loss_1:0"])
    for key, value in (("icon", PNG), ("image_module_info", b"\n\x04\x08\x02\x10\x03"), ("note", b"plain")):
        attachment = ModuleAttachment(key=key, value=value).SerializeToString()
        graph.collection_def["hub_module_attachments"].bytes_list.value.append(attachment)
    graph.asset_file_def.add(filename="words.txt").tensor_info.name = "d:0"
    return graph


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module of two variants, made without TensorFlow."""
    folder = tmp_path_factory.mktemp("module")
    saved_model = SavedModel()
    add_variant(saved_model, ["train"], 4)
    add_variant(saved_model, [], 4)
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    (folder / "assets").mkdir()
    (folder / "assets" / "words.txt").write_text("a\nb\n")
    with BundleWriter(folder / "variables" / "variables") as writer:
        writer.add("w", 1, np.array([[1.0, 2.0], [0.0, np.nan]], np.float32))
        writer.add("v", 9, np.arange(3))
        writer.add("words", 7, np.array([b"", b"text"], object))
    return folder


def lines(capsys: pytest.CaptureFixture[str], *args: Any) -> list[list[str]]:
    """The words of each line that a command prints."""
    done = here(capsys, "inspect", *args)
    assert (done.status, done.err) == (0, "")
    return [line.split() for line in done.out.splitlines()]


def section(capsys: pytest.CaptureFixture[str], header: str, *args: Any) -> list[list[str]]:
    """The words of each line below a header, up to an empty line."""
    found = lines(capsys, *args)
    start = next(index for index, words in enumerate(found) if words[:1] == [header]) + 1
    return found[start : next((index for index in range(start, len(found)) if not found[index]), len(found))]


def test_the_first_line_says_what_it_is(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "inspect", module)
    size = size_text(inspect(module).bytes)
    assert done.out.splitlines()[0] == f"{module}: TF1 Hub module, {size} in 5 files"


def test_signatures_of_variants_that_agree_stand_once(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert section(capsys, "variant", module) == [
        ["{}", "{'train'}", "default", "input", "rate", "float32", "[]", "may", "be", "left", "out"],
        ["{}", "{'train'}", "default", "input", "x", "float32", "[?,", "4]"],
        ["{}", "{'train'}", "default", "output", "y", "float32", "[?]"],
        ["{}", "{'train'}", "text", "input", "words", "string,", "any", "shape"],
        ["{}", "{'train'}", "text", "output", "y", "float32", "[?]"],
    ]


def test_one_variant_and_signature_can_be_chosen(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert section(capsys, "variant", module, "--tags", "train", "--signature", "text") == [
        ["{'train'}", "text", "input", "words", "string,", "any", "shape"],
        ["{'train'}", "text", "output", "y", "float32", "[?]"],
    ]
    out = here(capsys, "inspect", module, "--tags", "").out
    assert "'train'" not in out.replace("used by", "").partition("asset ")[0]


def test_the_facts_of_a_variant_stand_on_a_line_each(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [" ".join(words) for words in lines(capsys, module, "--tags", "train")]
    for line in (
        "graph 6 nodes, and 1 function with 1 node",
        "written by TensorFlow 1.15.5, GraphDef version 134, for readers from 0",
        "variables 2, 1 trainable",
        "regularization losses 2: loss:0, ...",
        "assets words.txt",
        "collections hub_module_attachments 3, regularization_losses 2, trainable_variables 1, variables 2",
        "attachment icon 5 bytes, a message of the publisher's own type",
        "attachment image_module_info default_image_size height 2, width 3",
        "attachment note 'plain'",
    ):
        assert f"variant {{'train'}} {line}" in found


def test_the_largest_variables_come_first(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert section(capsys, "variable", module, "--top", "2") == [
        ["v", "int64", "[3]", "24"],
        ["w", "float32", "[2,", "2]", "16", "trainable"],
        ["...", "and", "1", "more,", "none", "larger:", "see", "--variables"],
    ]
    assert [words[0] for words in section(capsys, "variable", module, "--variables", "--top", "1")] == [
        "v",
        "w",
        "words",
    ]
    found = [" ".join(words) for words in lines(capsys, module)]
    assert "3 variables, 9 elements, 50 bytes; trainable: 1, 4 elements, 16 bytes" in found


def test_statistics_are_those_of_the_values(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert section(capsys, "variable", module, "--stats") == [
        ["v", "int64", "[3]", "24", "0", "2", "1", "0.8165", "1", "0", "0"],
        ["w", "float32", "[2,", "2]", "16", "0", "2", "1", "0.8165", "1", "1", "0", "trainable"],
        ["words", "string", "[2]", "10", "1", "empty"],
    ]


def test_assets_ops_and_files_are_listed(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert section(capsys, "asset", module) == [["words.txt", "4", "{'train'},", "{}"]]
    found = lines(capsys, module, "--ops", "--files")
    assert ["{}", "graph", "MatMul", "2"] in found
    assert ["{'train'}", "functions", "Mul", "1"] in found
    assert ["tfhub_module.pb", "2"] in found
    assert not [words for words in lines(capsys, module) if words[:1] == ["tfhub_module.pb"]]


def test_code_is_printed(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = here(capsys, "inspect", module, "--snippet", "--tags", "train").out
    for line in ("# hub.Module", "# hub.load", "# hub.KerasLayer", f'module = hub.load("{module}", tags={{"train"}})'):
        assert line in out.splitlines()
    assert "signature=" in here(capsys, "inspect", module, "--snippet", "--signature", "text").out


def test_json_says_all(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, "inspect", module, "--json")
    told, found = json.loads(done.out), inspect(module)
    assert (told["handle"], told["format"], told["bytes"]) == (str(module), found.format, found.bytes)
    assert [variant["tags"] for variant in told["variants"]] == [[], ["train"]]
    variant = told["variants"][1]
    assert variant["signatures"][0]["inputs"][1] == {
        "name": "x",
        "kind": "dense",
        "dtype": "float32",
        "shape": [None, 4],
        "tensors": ["x:0"],
        "optional": False,
    }
    assert variant["ops"] == dict(found.variants[0].ops)
    assert variant["collections"]["hub_module_attachments"] == 3
    assert [base64.b64decode(each["raw"]) for each in variant["attachments"]] == [
        PNG,
        b"\n\x04\x08\x02\x10\x03",
        b"plain",
    ]
    assert variant["attachments"][1]["value"] == {"default_image_size": {"height": 2, "width": 3}}
    assert [(each["name"], each["trainable"], each["elements"]) for each in told["variables"]] == [
        ("v", False, 3),
        ("w", True, 4),
        ("words", None, 2),
    ]
    assert told["assets"] == [{"name": "words.txt", "bytes": 4, "used_by": [["train"], []]}]
    assert told["files"] == dict(found.files)
    assert set(told["snippets"]) == {"hub.Module", "hub.load", "hub.KerasLayer"}
    assert "statistics" not in told["variables"][0]


def test_json_takes_statistics_and_choices(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(here(capsys, "inspect", module, "--json", "--stats", "--tags", "train", "-s", "text").out)
    assert [variant["tags"] for variant in told["variants"]] == [["train"]]
    assert [signature["name"] for signature in told["variants"][0]["signatures"]] == ["text"]
    assert told["variables"][1]["statistics"]["nans"] == 1
    assert told["variables"][2]["statistics"] == {"count": 2, "empty": 1, "total_bytes": 4, "longest": 4}


def test_an_archive_is_described(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
        archive.add(module, "module")
    out = here(capsys, "inspect", tmp_path / "module.tar.gz", "--snippet", "--stats").out
    assert "An archive has to be unpacked first" in out
    assert out.splitlines()[1:9] == here(capsys, "inspect", module, "--stats").out.splitlines()[1:9]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--tags", "training"], "Did you mean {'train'}?"),
        (["--signature", "defaults"], "Did you mean 'default'?"),
        (["--top", "-1"], "-1 is not in the range"),
    ],
)
def test_what_is_not_there_is_refused(
    module: Path, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    assert says in refusal(here(capsys, "inspect", module, *args))


def test_a_missing_or_altered_module_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refusal(here(capsys, "inspect", tmp_path / "none"))
    assert "has no 'saved_model.pb'" in refusal(here(capsys, "inspect", tmp_path))
    (tmp_path / "saved_model.pb").write_bytes(b"\xff")
    assert "Cannot parse" in refusal(here(capsys, "inspect", tmp_path))


def test_names_cannot_act_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved_model = SavedModel()
    graph = add_variant(saved_model, ["a\x1b[31m"], 1)
    graph.signature_def["s\x1b[2J\n"].inputs["i\x07"].name = "x"
    graph.collection_def["update_ops"].node_list.value.append("u\x1b")
    del graph.collection_def["variables"]
    graph.graph_def.node.add(name="n", op="Op\x1b")
    (tmp_path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    for options in (["--ops", "--files", "--snippet", "--variables"], ["--json"]):
        done = here(capsys, "inspect", tmp_path, *options)
        assert done.status == 0
        assert not {"\x1b", "\x07"} & set(done.out)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")],
)
def test_sizes_are_in_units_of_thousand(count: int, text: str) -> None:
    assert size_text(count) == text


def test_neither_tensorflow_nor_numpy_nor_rich_is_needed(module: Path) -> None:
    done = in_a_process("inspect", str(module), "--ops", "--snippet", hidden=("tensorflow", "numpy", "rich"))
    assert (done.status, done.err) == (0, "")


def test_it_takes_little_memory(module: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "inspect", str(module), "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
        cwd=SOURCE,
    )
    assert int(done.stdout) <= 50 * 1024
