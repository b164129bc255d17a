from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modhub.format import protos
from tests.cli.command_lines import in_a_process, refusal

Command = Callable[..., Any]


def write_module(directory: Path, *ops: str) -> Path:
    """Write a module whose signature reaches nodes of these ops, each named as its op in lower case."""
    saved_model = protos.SavedModel(saved_model_schema_version=1)
    meta_graph = saved_model.meta_graphs.add()
    for op in ops:
        meta_graph.graph_def.node.add(name=op.lower(), op=op)
    meta_graph.graph_def.node.add(name="y", op="NoOp", input=[f"^{op.lower()}" for op in ops])
    meta_graph.signature_def["default"].outputs["y"].name = "y:0"
    directory.mkdir()
    (directory / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    (directory / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return directory


@pytest.fixture
def harmless(tmp_path: Path) -> Path:
    return write_module(tmp_path / "harmless", "MatMul")


@pytest.fixture
def writer(tmp_path: Path) -> Path:
    return write_module(tmp_path / "writer", "MatMul", "WriteFile", "Abort")


def test_a_harmless_module_has_one_line(command: Command, harmless: Path) -> None:
    done = command("scan", harmless)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{harmless}: read 2 ops of 2 kinds in 1 variant and 0 functions. Nothing to refuse.\n"


def test_what_is_refused_is_listed(command: Command, writer: Path) -> None:
    done = command("scan", writer)
    assert done.status == 1
    header, first, second, last = done.out.splitlines()
    assert header.split()[:4] == ["severity", "rule", "op", "reached"]
    assert first.split()[:5] == ["error", "denial-of-service", "Abort", "signature", "abort"]
    assert second.split()[:5] == ["error", "writes-files", "WriteFile", "signature", "writefile"]
    assert last == f"{writer}: read 4 ops of 4 kinds in 1 variant and 0 functions. Refused: 2 errors."


def test_one_module_to_be_refused_is_enough(command: Command, harmless: Path, writer: Path) -> None:
    assert command("scan", writer, harmless).status == 1


def test_json(command: Command, writer: Path, harmless: Path) -> None:
    done = command("scan", writer, harmless, "--json")
    first, second = json.loads(done.out)["reports"]
    assert (done.status, first["ok"], second["ok"]) == (1, False, True)
    assert (first["ops"], first["kinds"], first["variants"], first["functions"]) == (4, 4, 1, 0)
    assert first["findings"][1] == {
        "rule": "writes-files",
        "severity": "error",
        "op": "WriteFile",
        "nodes": ["writefile"],
        "where": f"{writer}/saved_model.pb, tags {{}}",
        "reached_by": "signature",
        "message": "writes files",
    }


def test_nodes_are_abbreviated(command: Command, tmp_path: Path) -> None:
    directory = write_module(tmp_path / "module", "WriteFile")
    path = directory / "saved_model.pb"
    saved_model = protos.SavedModel.FromString(path.read_bytes())
    for index in range(10):
        saved_model.meta_graphs[0].graph_def.node.add(name=f"other{index}" + "x" * 100, op="Abort")
    path.write_bytes(saved_model.SerializeToString())
    short, long = command("scan", directory).out, command("scan", directory, "--all").out
    assert "and 7 more" in short
    assert "other0" not in short
    assert all(f"other{index}" in long for index in range(10))


def test_names_do_not_act_on_the_terminal(command: Command, tmp_path: Path) -> None:
    directory = write_module(tmp_path / "module", "Write\x1b[31mFile")
    done = command("scan", directory)
    assert "\x1b" not in done.out
    assert r"Write\x1b[31mFile" in done.out


def test_notes_are_counted_and_shown_with_all(command: Command, tmp_path: Path) -> None:
    directory = write_module(tmp_path / "module", "NoOp")
    path = directory / "saved_model.pb"
    saved_model = protos.SavedModel.FromString(path.read_bytes())
    saved_model.meta_graphs[0].graph_def.node.add(name="left", op="SaveV2")
    path.write_bytes(saved_model.SerializeToString())
    short, long = command("scan", directory), command("scan", directory, "--all")
    assert (short.status, long.status) == (0, 0)
    assert "... and 1 finding more: see --all.\n" in short.out
    assert "SaveV2" in long.out


def test_a_handle_is_needed(command: Command) -> None:
    assert command("scan").status == 2


def test_what_is_no_module_is_refused(command: Command, tmp_path: Path) -> None:
    assert "does not exist" in refusal(command("scan", tmp_path / "none"))
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 9)
    assert "Cannot parse" in refusal(command("scan", tmp_path))


def test_it_needs_no_tensorflow_and_no_numpy(writer: Path) -> None:
    done = in_a_process("scan", str(writer), hidden=("tensorflow", "numpy"))
    assert (done.status, done.err) == (1, "")
    assert "Refused: 2 errors." in done.out
