"""What inspect, lint and scan take as fresh processes. `make test-bare` runs this where TensorFlow is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from modhub.cache.names import key_of
from modhub.format import BUNDLE, BundleWriter, new_module_directory
from modhub.format.protos import MetaGraphDef, SavedModel, VariableDef

PUBLISHED = [
    "dm21",
    "galmodel_likelihood",
    "half_plus_two_v1",
    "reconstruction_decoder",
    "saved_model_half_plus_two_cpu",
]
COMMANDS = ["inspect", "lint", "scan"]
MOST_MEGABYTES = 50

# Runs the command as `python -m modhub` does, in a process of its own, and says what that took.
MEASURE = """
import runpy, sys
status = 0
try:
    runpy.run_module("modhub", run_name="__main__", alter_sys=True)
except SystemExit as done:
    status = done.code
heavy = sorted({"numpy", "tensorflow", "importlib.metadata", "requests", "ssl", "http.client"} & set(sys.modules))
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("MEASURED", status, int(peak[0]) // 1024, *heavy, file=sys.stderr)
"""


def measured(*arguments: str) -> tuple[int, int, list[str], str]:
    """Return the exit status, the peak in MB, what heavy was imported, and stdout."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, timeout=60)
    line = [line for line in done.stderr.splitlines() if line.startswith("MEASURED")]
    assert line, done.stderr
    _, status, peak, *heavy = line[0].split()
    return int(status), int(peak), heavy, done.stdout


@pytest.fixture(scope="module")
def half_a_gigabyte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module of one variable of 500 MB."""
    rows, columns = 1_250_000, 100
    saved_model = SavedModel()
    meta_graph: MetaGraphDef = saved_model.meta_graphs.add()
    node = meta_graph.graph_def.node.add(name="table", op="VarHandleOp")
    node.attr["dtype"].type = 1
    for size in (rows, columns):
        node.attr["shape"].shape.dim.add(size=size)
    read = meta_graph.graph_def.node.add(name="read", op="ReadVariableOp", input=["table"])
    read.attr["dtype"].type = 1
    variable = VariableDef(variable_name="table:0", snapshot_name="read:0", is_resource=True, trainable=True)
    meta_graph.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())
    output = meta_graph.signature_def["default"].outputs["default"]
    output.name, output.dtype = "read:0", 1
    for size in (rows, columns):
        output.tensor_shape.dim.add(size=size)
    with new_module_directory(tmp_path_factory.mktemp("large") / "module") as directory:
        (directory / "saved_model.pb").write_bytes(saved_model.SerializeToString())
        with BundleWriter(directory / BUNDLE) as writer:
            writer.add("table", 1, np.zeros([rows, columns], np.float32))
    return directory.parent / "module"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_module_takes_little_memory(shared_modules: Path, name: str, command: str) -> None:
    path = shared_modules / "published" / name
    if name == "saved_model_half_plus_two_cpu":
        path = path / "00000123"
    status, peak, heavy, output = measured(command, str(path))
    assert status in (0, 1)
    assert output
    assert heavy == []
    assert peak <= MOST_MEGABYTES


@pytest.mark.parametrize("command", COMMANDS)
def test_a_module_of_500_megabytes_takes_no_more(half_a_gigabyte: Path, command: str) -> None:
    assert sum(path.stat().st_size for path in half_a_gigabyte.rglob("*")) > 500_000_000
    status, peak, heavy, output = measured(command, str(half_a_gigabyte))
    assert status in (0, 1)
    assert output
    assert heavy == []
    assert peak <= MOST_MEGABYTES


def test_a_url_in_the_cache_takes_no_network(
    shared_modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://models.example.com/text/1"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    shutil.copytree(shared_modules / "genuine" / "nnlm_ref" / "module", tmp_path / key_of(url))
    assert measured("cache", "verify", url)[0] == 0
    for arguments in (["inspect", url], ["cache", "ls"], ["pull", url]):
        status, peak, heavy, output = measured(*arguments)
        assert (status, heavy) == (0, [])
        assert output
        assert peak <= MOST_MEGABYTES
