"""Compare the table of ops with what TensorFlows register, and add to it what is new, for a person to judge.

python -m tests.scan.op_registry PYTHON ...       each PYTHON has another TensorFlow; `make ops` names them

What a person judged stays as it is, and an op that is registered no longer stays, too: old modules have it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

TABLE = Path(__file__).resolve().parents[2] / "src" / "modhub" / "inspection" / "scan" / "ops.tsv"
UNJUDGED = "?"
VERSIONS = "# TensorFlow: "

# In the table though no TensorFlow at hand registers them; its header says why.
BY_HAND = frozenset(
    {
        "CreateTRTResourceHandle",
        "GetCalibrationDataOp",
        "InitializeTRTResource",
        "RemoteFusedGraphExecute",
        "SerializeTRTResource",
        "TRTEngineOp",
    }
)

# `tf.raw_ops` lacks a quarter of them: what has no Python wrapper, and all whose name starts with "_".
_LIST = """
import json
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session
ops = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
print(json.dumps([tf.__version__, [op.name for op in ops.op]]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="+", help="an interpreter that has TensorFlow")
    registries = dict(map(_registry, parser.parse_args().python))
    registered = set().union(*registries.values())
    before = TABLE.read_text(encoding="utf-8")
    after = merged(before, registries)
    if after != before:
        TABLE.write_text(after, encoding="utf-8")
    rows = _rows(after.splitlines())
    print(f"{len(rows)} ops; TensorFlow {', '.join(sorted(registries, key=_numbers))} registers {len(registered)}")
    for op in sorted(rows.keys() - registered - BY_HAND):
        print(f"  in the table, and registered no longer: {op}")
    unjudged = [op for op, line in rows.items() if line.split("\t")[1] == UNJUDGED]
    for op in unjudged:
        print(f"  not judged: {op}")
    if unjudged:
        sys.exit(f"modhub: put classes for {UNJUDGED} in {TABLE.name}; modhub.inspection.scan.ops says what they mean")


def merged(table: str, registries: dict[str, Iterable[str]]) -> str:
    """The table with a row for each op of the registries (TensorFlow's version -> its ops), and their versions."""
    lines = table.splitlines()
    versions = VERSIONS + ", ".join(sorted(registries, key=_numbers))
    header = [versions if line.startswith(VERSIONS) else line for line in lines if line.startswith("#")]
    rows = _rows(lines)
    new = set().union(*registries.values()) - rows.keys()
    rows |= {op: f"{op}\t{UNJUDGED}" for op in new}
    return "\n".join([*header, *(line for _, line in sorted(rows.items()))]) + "\n"


def _rows(lines: Iterable[str]) -> dict[str, str]:
    return {line.partition("\t")[0]: line for line in lines if not line.startswith("#")}


def _registry(python: str) -> tuple[str, list[str]]:
    done = subprocess.run([python, "-c", _LIST], stdout=subprocess.PIPE, text=True, check=True)
    version, ops = json.loads(done.stdout.splitlines()[-1])
    return version, ops


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


if __name__ == "__main__":
    main()
