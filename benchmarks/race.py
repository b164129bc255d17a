"""Runs contestants in turns, each sample in a fresh process, and lays out their medians as tables."""

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from modules import KINDS, SHARED

__all__ = ["HERE", "Figures", "layout", "machine", "module_directory", "options", "race", "run_script", "table"]

HERE = Path(__file__).parent
Figures = dict[str, float]


def options(description: str) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    return parser


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def module_directory(kind: str, cache: Path) -> Path:
    """Return the directory of a kind's module: one that lies here, or one built now or earlier."""
    shared = SHARED.get(kind)
    if shared is not None and shared.is_dir():
        return shared
    path = cache / kind / "module"
    if not (path / "tfhub_module.pb").is_file():  # tensorflow_hub writes it last
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"\nBuilding {kind} at {path}", flush=True)
        run_script(["modules.py", kind, str(path)])
    return path


def race(
    libraries: Sequence[str], repeat: int, sample: Callable[[str], Sequence[str]], python: str
) -> dict[str, Figures]:
    """Return the medians of each library, sampled in turns.

    Args:
      libraries: the contestants.
      repeat: how many samples of each count; one before them warms the disk cache.
      sample: gives the script and arguments for a library; it prints a JSON object of figures, one called "output".
      python: the interpreter.
    """
    samples: dict[str, list[Figures]] = {library: [] for library in libraries}
    for turn in range(repeat + 1):
        # Each is first in its turn, so that none always runs after the same one.
        for offset in range(len(libraries)):
            library = libraries[(turn + offset) % len(libraries)]
            figures = json.loads(run_script(sample(library), python).splitlines()[-1])
            if turn > 0:
                samples[library].append(figures)
    outputs = {library: taken[0]["output"] for library, taken in samples.items()}
    if not all(math.isclose(output, outputs[libraries[0]], rel_tol=1e-4) for output in outputs.values()):
        raise SystemExit(f"The contestants disagree on what {sample(libraries[0])} computes: {outputs}")
    return {library: _medians(taken) for library, taken in samples.items()}


def _medians(samples: Sequence[Figures]) -> Figures:
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def run_script(command: Sequence[str], python: str = sys.executable) -> str:
    """Run one of the scripts here, and return what it printed."""
    script, *arguments = command
    done = subprocess.run(
        [python, "-W", "ignore", str(HERE / script), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def table(measures: Sequence[str], medians: Mapping[str, Figures], titles: Sequence[str]) -> str:
    """Return the figures as a Markdown table.

    Args:
      measures: the rows.
      medians: of three contestants: modhub, the peer, and the least that is possible.
      titles: of their columns; between the last two comes the ratio of the first two.
    """
    rows = [["measure", titles[0], titles[1], "ratio", titles[2]]]
    for name in measures:
        ours, peer, floor = (figures.get(name) for figures in medians.values())
        ratio = f"{peer / ours:.2f}" if ours and peer else "-"
        rows.append([name, _cell(name, ours), _cell(name, peer), ratio, _cell(name, floor)])
    return layout(rows)


def layout(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, the first row its head, padded to be read as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in [rows[0], lines, *rows[1:]]
    )


def _cell(name: str, figure: float | None) -> str:
    if figure is None:
        return "-"
    if name.startswith("ops"):
        return f"{figure:.0f}"
    if name.startswith("peak"):
        return f"{figure / 1e6:.0f} MB"
    return f"{figure * 1e6:.0f} us" if figure < 1e-3 else f"{figure * 1000:.1f} ms"
