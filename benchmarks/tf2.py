"""Time `modhub.load` beside `tensorflow_hub.load` 0.16.1 and the raw limit, in eager mode (`make bench`).

Every sample is a fresh process; the contestants take turns on the same module directory, each is run once before the
count to warm the disk cache, and a figure is the median of the counted samples. Warm calls are timed apart, in turns
in one process: see tf2_calls.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from modules import KINDS
from race import Figures, layout, machine, module_directory, options, race, run_script, table
from tf2_contestant import LIBRARIES

MEASURES = (
    "import hub",
    "load",
    "first output",
    "load to first output",
    "second output",
    "warm call",
    "first gradient step",
    "gradient step",
    "export",
    "tf.saved_model.save",
    "peak memory to first output",
    "peak memory to gradient step",
    "peak memory to the end",
)
TITLES = ("modhub", "tensorflow_hub 0.16.1", "raw limit")
CALL_PROCESSES = 3


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--python", required=True, help="an interpreter with modhub and tensorflow_hub 0.16.1")
    arguments = parser.parse_args()
    print(f"\n{_environment(arguments.python, arguments.repeat)}")
    tables, goals = [], {}
    for kind in [arguments.only] if arguments.only else KINDS:
        medians, over_plain = _measure(kind, arguments.cache, arguments.repeat, arguments.python)
        tables.append(f"### TF2: {kind}\n\n{table(MEASURES, medians, TITLES)}")
        print(f"\n{tables[-1]}", flush=True)
        goals[kind] = _goals(medians, over_plain)
    summary = _summary(goals)
    print(f"\n{summary}")
    if arguments.markdown:
        text = [f"## TF2: `hub.load`\n\n{_environment(arguments.python, arguments.repeat)}", summary, *tables]
        arguments.markdown.write_text("\n\n".join(text) + "\n")


def _environment(python: str, repeat: int) -> str:
    names = ("tensorflow", "tensorflow-cpu", "tensorflow-hub")
    found = json.loads(run_script(["versions.py", *names], python))
    return (
        f"{', '.join(f'{name} {version}' for name, version in found.items())}; {machine()}.\n"
        f"Medians of {repeat} samples, each a fresh process. A ratio is the figure of tensorflow_hub over that of "
        "modhub: above 1, modhub needs less.\n"
        "The raw limit is a graph pruned ahead, and TensorFlow alone (benchmarks/tf2_limit.py)."
    )


def _measure(kind: str, cache: Path, repeat: int, python: str) -> tuple[dict[str, Figures], float]:
    """Return the medians of each contestant, and modhub's warm call over the plain ConcreteFunction's."""
    module = str(module_directory(kind, cache))
    prepared = str(cache / kind / "prepared.json")
    run_script(["tf2_limit.py", module, prepared], python)

    def sample(library: str) -> list[str]:
        return ["tf2_contestant.py", "--library", library, "--module", module, "--prepared", prepared, "--json"]

    medians = race(LIBRARIES, repeat, sample, python)
    calls = [json.loads(run_script(["tf2_calls.py", module, prepared], python)) for _ in range(CALL_PROCESSES)]
    for library, name in zip(LIBRARIES, ("modhub", "tensorflow_hub", "plain"), strict=True):
        medians[library]["warm call"] = statistics.median(figures[f"call, {name}"] for figures in calls)
    return medians, statistics.median(figures["call, over plain"] for figures in calls)


def _goals(medians: dict[str, Figures], over_plain: float) -> dict[str, str]:
    ours, peer = medians["modhub"], medians["tensorflow_hub"]
    total = peer["load to first output"] / ours["load to first output"]
    found = {
        "load to first output: tensorflow_hub over modhub, at least 3": _judge(total, total >= 3),
        "warm call: modhub over a plain ConcreteFunction, at most 1.05": _judge(over_plain, over_plain <= 1.05),
    }
    for name in ("to first output", "to gradient step"):
        ratio = ours[f"peak memory {name}"] / peer[f"peak memory {name}"]
        found[f"peak memory {name}: modhub over tensorflow_hub, at most 1"] = _judge(ratio, ratio <= 1)
    return found


def _judge(ratio: float, met: bool) -> str:
    return f"{ratio:.2f} {'met' if met else 'missed'}"


def _summary(goals: dict[str, dict[str, str]]) -> str:
    (first, *_) = goals.values()
    return layout([["goal", *goals], *([name, *(found[name] for found in goals.values())] for name in first)])


if __name__ == "__main__":
    main()
