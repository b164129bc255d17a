from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modhub.format import BundleWriter
from modhub.format.protos import SavedModel
from tests.cli.command_lines import here, in_a_process, refusal


def write(folder: Path, value: Any, edit: Any = None) -> Path:
    """Write a module of one variable, with some edit of its graph."""
    saved_model = SavedModel()
    graph = saved_model.meta_graphs.add()
    for index in range(12):
        graph.graph_def.node.add(name=f"n{index}", op="NoOp")
    signature = graph.signature_def["default"]
    signature.inputs["x"].name, signature.inputs["x"].dtype = "n1:0", 1
    if edit:
        edit(graph)
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    with BundleWriter(folder / "variables" / "variables") as writer:
        writer.add("w", 1, np.array(value, np.float32))
    return folder


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return write(tmp_path / "a", [1.0, np.nan])


def test_no_difference_is_status_0(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(module, tmp_path / "b")
    done = here(capsys, "diff", module, copy)
    assert (done.status, done.out, done.err) == (0, "No differences.\n", "")
    done = here(capsys, "diff", module, write(tmp_path / "c", [1.0, 2.0]), "--no-values")
    assert (done.status, done.out) == (0, "No differences; values were not compared.\n")


def test_differences_are_lines_and_status_1(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def edit(graph: Any) -> None:
        graph.signature_def["default"].inputs["x"].dtype = 7
        graph.signature_def["default"].outputs["y"].name = "n2:0"
        graph.signature_def["new"].SetInParent()
        graph.meta_info_def.tensorflow_version = "2.0"

    b = write(tmp_path / "b", [1.5, np.nan], edit)
    (b / "notes.txt").write_text("")
    done = here(capsys, "diff", module, b)
    assert done.status == 1
    assert done.out.splitlines() == [
        "~ variant {}, signature 'default', input 'x': float32 [] -> string []",
        "+ variant {}, signature 'default', output 'y': unknown (0) []",
        "+ variant {}, signature 'new'",
        "~ variant {}, version 'tensorflow_version': '' -> 2.0",
        "~ values 'w': 1 element differs, by 0.5 at most; float32 [2]",
        "+ file 'notes.txt': 0 bytes, SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]
    back = here(capsys, "diff", b, module).out.splitlines()
    assert "- variant {}, signature 'new'" in back
    assert "~ variant {}, version 'tensorflow_version': 2.0 -> ''" in back


def test_many_nodes_are_cut_short(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def edit(graph: Any) -> None:
        for node in graph.graph_def.node:
            node.device = "/gpu:0"

    b = write(tmp_path / "b", [1.0, np.nan], edit)
    out = here(capsys, "diff", module, b).out.splitlines()
    assert len(out) == 11
    assert out[0] == "~ variant {}, node 'n0': NoOp, with other inputs, device or attributes"
    assert out[-1] == "... and 2 more of kind 'node': see --all."
    assert len(here(capsys, "diff", module, b, "--all").out.splitlines()) == 12


def test_json_says_all(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = write(tmp_path / "b", [np.nan, 2.0])
    done = here(capsys, "diff", module, b, "--json")
    assert done.status == 1
    assert json.loads(done.out) == {
        "a": str(module),
        "b": str(b),
        "same": False,
        "compared_values": True,
        "changes": [
            {
                "what": "values",
                "name": "w",
                "tags": None,
                "signature": None,
                "a": "float32 [2]",
                "b": "float32 [2]",
                "unequal": 2,
                "max_abs_difference": "Infinity",
            }
        ],
    }
    assert json.loads(here(capsys, "diff", module, module, "--json").out)["same"] is True


def test_what_cannot_be_read_is_status_2(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refusal(here(capsys, "diff", module, tmp_path / "none"))
    (module / "variables" / "variables.data-00000-of-00001").write_bytes(b"\0" * 8)
    assert "checksum" in refusal(here(capsys, "diff", module, module))


def test_names_cannot_act_on_the_terminal(module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def edit(graph: Any) -> None:
        graph.graph_def.node.add(name="\x1b[2J", op="\x1b\n")

    out = here(capsys, "diff", module, write(tmp_path / "b", [1.0, np.nan], edit)).out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_tensorflow_is_not_needed(module: Path) -> None:
    done = in_a_process("diff", str(module), str(module), hidden=("tensorflow", "rich"))
    assert (done.status, done.out, done.err) == (0, "No differences.\n", "")
