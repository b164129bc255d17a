"""Time the commands that look at modules, each in fresh processes: wall time, and the most memory that one held.

python benchmarks/inspection.py [--commands inspect,lint,scan] [--cache DIRECTORY] [MODULE ...]

Without modules it takes those beside the checkout, and one of 500 MB that it writes once and keeps in a cache. The
first row is a bare interpreter, the least that a command written in Python can take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = Path(__file__).parents[2] / "shared" / "modules"
RUNS = 5
COMMANDS = ("inspect", "lint", "scan")
ROWS, WIDTH = 500_000, 250  # of floats: 500 MB

# Runs in a process of its own, which is small: the memory of a process starts at that of the one that forked it.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
print(json.dumps([done.returncode, seconds, peak, done.stderr]))
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", type=Path, metavar="MODULE")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="which, separated by commas")
    parser.add_argument("--write-large", type=Path, metavar="PATH", help="write the module of 500 MB there, and stop")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIRECTORY",
        default=Path(tempfile.gettempdir()) / "modhub-benchmarks",
        help="where the module of 500 MB is kept (default: in the directory for temporary files)",
    )
    options = parser.parse_args()
    if options.write_large:
        write_large(options.write_large)
        return
    modules = options.modules or [*sorted(shared_modules()), large_module(options.cache)]
    print(f"median of {RUNS} fresh processes; MB are 10^6 bytes, of the process at its largest")
    print(f"{'command':8}  {'module':40}  {'size MB':>8}  {'wall ms':>8}  {'memory MB':>9}")
    report("python", "-c pass", 0, ["-c", "pass"])
    for module in modules:
        size = sum(path.stat().st_size for path in module.rglob("*") if path.is_file())
        for command in options.commands.split(","):
            name = str(module.relative_to(SHARED)) if module.is_relative_to(SHARED) else module.name
            report(command, name, size, ["-m", "modhub", command, str(module)])


def report(command: str, name: str, size: int, args: list[str]) -> None:
    """Measure a command line and print its row."""
    found = [measured(args) for _ in range(RUNS + 1)][1:]  # the first run writes compiled files, and fills the cache
    seconds, peak = (statistics.median(each) for each in zip(*found, strict=True))
    print(f"{command:8}  {name:40}  {size / 1e6:8.1f}  {seconds * 1e3:8.0f}  {peak / 1e6:9.1f}", flush=True)


def measured(args: list[str]) -> tuple[float, float]:
    """Return the seconds that a process takes, and its peak memory in bytes."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *args], check=True, capture_output=True, text=True)
    status, seconds, peak, errors = json.loads(done.stdout)
    # 1 is the status of findings, and of a program that an error of Python ended.
    if status not in (0, 1) or "Traceback" in errors:
        raise SystemExit(f"{args} ended with status {status}:\n{errors}")
    return seconds, peak


def shared_modules() -> list[Path]:
    """Return the directories of modules by other authors, beside a checkout of this project that has them."""
    return [path.parent for path in SHARED.rglob("saved_model.pb")]


def large_module(cache: Path) -> Path:
    """Return the module of 500 MB, which is written where it is missing, by a process of its own."""
    path = cache / "large_500_mb"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            part = Path(folder, "part")
            subprocess.run([sys.executable, __file__, "--write-large", str(part)], check=True)
            part.rename(path)
    return path


def write_large(path: Path) -> None:
    """Write a module whose signature looks up rows of one variable of 500 MB."""
    import numpy as np

    from modhub.format import BundleWriter
    from modhub.format.protos import SavedModel, VariableDef

    saved_model = SavedModel()
    variant = saved_model.meta_graphs.add()
    nodes = variant.graph_def.node
    variant.graph_def.versions.producer = 134
    for name, op, inputs in (
        ("ids", "Placeholder", ()),
        ("embeddings", "VarHandleOp", ()),
        ("rows", "ResourceGather", ("embeddings", "ids")),
    ):
        nodes.add(name=name, op=op, input=inputs)
    shape = {"dim": [{"size": ROWS}, {"size": WIDTH}]}
    nodes[0].attr["dtype"].type = 9
    nodes[1].attr["dtype"].type = 1
    nodes[1].attr["shape"].shape.CopyFrom(type(nodes[1].attr["shape"].shape)(**shape))
    nodes[2].attr["dtype"].type, nodes[2].attr["Tindices"].type = 1, 9
    signature = variant.signature_def["default"]
    for held, key, name, dtype, sizes in (
        (signature.inputs, "ids", "ids:0", 9, [-1]),
        (signature.outputs, "default", "rows:0", 1, [-1, WIDTH]),
    ):
        held[key].name, held[key].dtype = name, dtype
        for size in sizes:
            held[key].tensor_shape.dim.add(size=size)
    variable = VariableDef(variable_name="embeddings:0", is_resource=True, trainable=True).SerializeToString()
    for key in ("variables", "trainable_variables"):
        variant.collection_def[key].bytes_list.value.append(variable)
    path.mkdir()
    (path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    (path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    with BundleWriter(path / "variables" / "variables") as writer:
        writer.add("embeddings", 1, np.random.default_rng(0).standard_normal((ROWS, WIDTH), np.float32))


if __name__ == "__main__":
    main()
