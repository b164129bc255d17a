from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modhub
from modhub.inspection.scan.ops import FileArgument, OpClass, file_arguments, op_classes
from tests.scan.op_registry import BY_HAND, TABLE, merged

ROWS = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
OPS = [row[0] for row in ROWS]
FILES = {OpClass.READS_FILES, OpClass.WRITES_FILES}


def test_it_is_sorted_and_names_no_op_twice() -> None:
    assert sorted(set(OPS)) == OPS


def test_each_op_has_classes_that_are_known() -> None:
    known = list(OpClass)
    for op, classes, *_ in ROWS:
        listed = classes.split(" ")
        assert listed == [kind for kind in known if kind in listed], f"{op}: {classes}"  # in the order of OpClass
        assert op_classes(op) == frozenset(listed)


def test_an_op_with_a_file_or_server_touches_files_or_the_network() -> None:
    assert all(len(row) in (2, 3) for row in ROWS)
    named = {op for op in OPS if file_arguments(op)}
    assert len(named) > 60
    assert [op for op in sorted(named) if not (op_classes(op) or set()) & {*FILES, OpClass.NETWORK}] == []


# The readers get their names by a queue, the writer's ops and its aggregator by what opened the file.
OPENED_ELSEWHERE = ("Reader", "ReaderV2", "SummaryWriter", "Summary", "ImportEvent")


def test_an_op_that_touches_files_says_which() -> None:
    silent = {op for op in OPS if (op_classes(op) or set()) & FILES and not file_arguments(op)}
    assert sorted(op for op in silent if not op.endswith(OPENED_ELSEWHERE)) == []


@pytest.mark.parametrize(
    ("op", "classes"),
    [
        ("MatMul", "pure"),
        ("StatefulPartitionedCall", "pure"),
        ("RandomUniform", "pure"),
        ("Print", "pure"),
        ("VarHandleOp", "state"),
        ("LookupTableFindV2", "state"),
        ("SaveV2", "saver writes-files"),
        ("RestoreV2", "saver reads-files"),
        ("ShardedFilename", "pure saver"),
        ("MergeV2Checkpoints", "saver reads-files writes-files"),
        ("ReadFile", "reads-files"),
        ("ImmutableConst", "reads-files"),
        ("InitializeTableFromTextFileV2", "state reads-files"),
        ("WriteFile", "writes-files"),
        ("PrintV2", "writes-files"),
        ("SqlDataset", "reads-files writes-files"),
        ("CacheDatasetV2", "reads-files writes-files"),
        ("DebugIdentityV3", "writes-files network"),
        ("PyFunc", "runs-code"),
        ("EagerPyFunc", "runs-code"),
        ("XlaCustomCallV2", "runs-code"),
        ("XlaCallModule", "runs-code hidden-graph"),
        ("DatasetFromGraph", "hidden-graph"),
        ("TRTEngineOp", "hidden-graph"),
        ("RpcClient", "network"),
        ("DataServiceDatasetV4", "network"),
        ("RemoteCall", "network"),
        ("_Send", "network"),
        ("Abort", "denial-of-service"),
        ("SleepDataset", "denial-of-service"),
        ("WorkerHeartbeat", "network denial-of-service"),
    ],
)
def test_classes(op: str, classes: str) -> None:
    assert op_classes(op) == frozenset(classes.split(" "))


@pytest.mark.parametrize("op", ["", "?", "#", "readfile", "Addons>GeluOp", "# TensorFlow: ", "ReadFile\treads-files"])
def test_what_is_no_op_of_tensorflow_has_no_class(op: str) -> None:
    assert op_classes(op) is None
    assert file_arguments(op) == ()


def test_file_arguments() -> None:
    assert file_arguments("MatMul") == ()
    assert file_arguments("MergeV2Checkpoints") == (
        FileArgument(name="checkpoint_prefixes", index=0, harmless=frozenset()),
        FileArgument(name="destination_prefix", index=1, harmless=frozenset()),
    )
    assert file_arguments("CacheDataset") == (FileArgument(name="filename", index=1, harmless=frozenset({""})),)
    assert file_arguments("RecordInput") == (FileArgument(name="file_pattern", index=None, harmless=frozenset()),)
    (source,) = file_arguments("DecodeProtoV2")
    assert source.harmless == {"", "local://"}


def test_it_loads_little() -> None:
    script = "import sys; from modhub.inspection.scan.ops import op_classes; op_classes('Add'); print(*sys.modules)"
    source = str(Path(modhub.__file__).parents[1])
    imported = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": source}, check=True, capture_output=True, text=True
    ).stdout.split()
    unwanted = {"tensorflow", "numpy", "google.protobuf", "importlib.metadata", "importlib.resources"}
    assert unwanted.isdisjoint(imported)


def test_the_ops_added_by_hand_are_judged_and_named_in_the_header() -> None:
    header = " ".join(line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert all(op_classes(op) and op in header for op in BY_HAND)


def test_the_generator_keeps_what_was_judged_and_asks_for_what_is_new() -> None:
    table = "# What\n# TensorFlow: 2.1\n# More\nAdd\tpure\nGone\tnetwork\t0:address\n"
    after = merged(table, {"2.10.0": ["Add", "ReadFile"], "2.9.1": ["Add", "Abs"]})
    assert after == (
        "# What\n# TensorFlow: 2.9.1, 2.10.0\n# More\nAbs\t?\nAdd\tpure\nGone\tnetwork\t0:address\nReadFile\t?\n"
    )
    assert merged(after, {"2.10.0": ["Add", "ReadFile"], "2.9.1": ["Add", "Abs"]}) == after
