"""Time modhub beside tensorflow_hub 0.15.0 and the floor, and print a table for each kind of module (`make bench`).

Every sample is a fresh process; the contestants take turns on the same module directory, each is run once before the
count to warm the disk cache, and a figure is the median of the counted samples.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from contestant import LIBRARIES
from modules import KINDS, SHARED

HERE = Path(__file__).parent
MEASURES = (
    "import hub",
    "Module()",
    "first apply",
    "init",
    "first run",
    "total to first output",
    "second apply",
    "second Module()",
    "export",
    "peak memory to first output",
    "peak memory to the end",
    "ops added by Module()",
    "ops added by first apply",
    "ops added by second apply",
    "ops added by second Module()",
)
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(KINDS), help="one kind of module")
    parser.add_argument("--repeat", type=int, default=5, help="counted samples of each contestant (default: 5)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a file as well")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIRECTORY",
        default=Path(tempfile.gettempdir()) / "modhub-benchmarks",
        help="where built modules are kept, 600 MB (default: in the directory for temporary files)",
    )
    arguments = parser.parse_args()
    pages = [_environment(arguments.repeat)]
    print(pages[0])
    for kind in [arguments.only] if arguments.only else KINDS:
        medians = _race(_module(kind, arguments.cache), arguments.repeat)
        pages.append(f"## {kind}\n\n{_table(medians)}")
        print(f"\n{pages[-1]}", flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("# Benchmarks\n\n" + "\n\n".join(pages) + "\n")


def _environment(repeat: int) -> str:
    found = {package.metadata["Name"].lower(): package.version for package in distributions()}
    packages = [f"{name} {found[name]}" for name in ("tensorflow", "tensorflow-cpu", "tensorflow-hub") if name in found]
    return (
        f"Python {platform.python_version()}, {', '.join(packages)}; {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores.\nMedians of {repeat} samples, each a fresh process. A ratio is the figure of "
        "tensorflow_hub over that of modhub: above 1, modhub needs less.\n"
        "The floor is TensorFlow alone, by hand (benchmarks/floor.py)."
    )


def _module(kind: str, cache: Path) -> Path:
    """Return the directory of a kind's module: one that lies here, or one built now or earlier."""
    shared = SHARED.get(kind)
    if shared is not None and shared.is_dir():
        return shared
    path = cache / kind / "module"
    if not (path / "tfhub_module.pb").is_file():  # tensorflow_hub writes it last
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"\nBuilding {kind} at {path}", flush=True)
        _run([str(HERE / "modules.py"), kind, str(path)])
    return path


def _race(module: Path, repeat: int) -> dict[str, Figures]:
    """Return the medians of each contestant, sampled in turns."""
    samples: dict[str, list[Figures]] = {library: [] for library in LIBRARIES}
    for turn in range(repeat + 1):
        # Each is first in its turn, so that none always runs after the same one.
        for offset in range(len(LIBRARIES)):
            library = LIBRARIES[(turn + offset) % len(LIBRARIES)]
            command = [str(HERE / "contestant.py"), "--library", library, "--module", str(module), "--json"]
            figures = json.loads(_run(command).splitlines()[-1])
            if turn > 0:
                samples[library].append(figures)
    outputs = [taken[0]["output"] for taken in samples.values()]
    if not all(math.isclose(output, outputs[0], rel_tol=1e-4) for output in outputs):
        raise SystemExit(
            f"The contestants disagree on what {module} computes: {dict(zip(samples, outputs, strict=True))}"
        )
    return {
        library: {name: statistics.median(sample[name] for sample in taken) for name in taken[0]}
        for library, taken in samples.items()
    }


def _run(command: Sequence[str]) -> str:
    """Run one of the scripts here, and return what it printed."""
    done = subprocess.run([sys.executable, "-W", "ignore", *command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def _table(medians: dict[str, Figures]) -> str:
    """Return the figures as a Markdown table, padded to be read as it is."""
    rows = [["measure", "modhub", "tensorflow_hub 0.15.0", "ratio", "floor"]]
    for name in MEASURES:
        ours, peer, floor = (medians[library].get(name) for library in LIBRARIES)
        ratio = f"{peer / ours:.2f}" if ours and peer else "-"
        rows.append([name, _cell(name, ours), _cell(name, peer), ratio, _cell(name, floor)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in rows
    )


def _cell(name: str, figure: float | None) -> str:
    if figure is None:
        return "-"
    if name.startswith("ops"):
        return f"{figure:.0f}"
    return f"{figure / 1e6:.0f} MB" if name.startswith("peak") else f"{figure * 1000:.1f} ms"


if __name__ == "__main__":
    main()
