"""Time modhub beside tensorflow_hub 0.15.0 and the floor, and print a table for each kind of module (`make bench`).

Every sample is a fresh process; the contestants take turns on the same module directory, each is run once before the
count to warm the disk cache, and a figure is the median of the counted samples.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import distributions

from contestant import LIBRARIES
from modules import KINDS
from race import machine, module_directory, options, race, table

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
TITLES = ("modhub", "tensorflow_hub 0.15.0", "floor")


def main() -> None:
    arguments = options(__doc__).parse_args()
    pages = [_environment(arguments.repeat)]
    print(pages[0])
    for kind in [arguments.only] if arguments.only else KINDS:
        module = str(module_directory(kind, arguments.cache))

        def sample(library: str, module: str = module) -> list[str]:
            return ["contestant.py", "--library", library, "--module", module, "--json"]

        medians = race(LIBRARIES, arguments.repeat, sample, sys.executable)
        pages.append(f"## {kind}\n\n{table(MEASURES, medians, TITLES)}")
        print(f"\n{pages[-1]}", flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("# Benchmarks\n\n" + "\n\n".join(pages) + "\n")


def _environment(repeat: int) -> str:
    found = {package.metadata["Name"].lower().replace("_", "-"): package.version for package in distributions()}
    packages = [f"{name} {found[name]}" for name in ("tensorflow", "tensorflow-cpu", "tensorflow-hub") if name in found]
    return (
        f"Python {platform.python_version()}, {', '.join(packages)}; {machine()}.\n"
        f"Medians of {repeat} samples, each a fresh process. A ratio is the figure of "
        "tensorflow_hub over that of modhub: above 1, modhub needs less.\n"
        "The floor is TensorFlow alone, by hand (benchmarks/floor.py)."
    )


if __name__ == "__main__":
    main()
