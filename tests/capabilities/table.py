"""Do every operation with every module, with modhub and with tensorflow_hub, and write docs/capabilities.md.

python -m tests.capabilities.table --peer PYTHON          PYTHON has tensorflow_hub 0.16.1; `make capabilities` does it
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import json
import subprocess
import sys
from pathlib import Path

from tests.capabilities.kinds import GENUINE, NAMES, PUBLISHED, TF2
from tests.capabilities.operations import OPERATIONS
from tests.capabilities.page import write_page
from tests.capabilities.runs import ROOT, Outcomes, collect

TIMEOUT = 300.0
PACKAGES = ("modhub", "tensorflow-hub", "tensorflow", "tensorflow-cpu", "keras", "tf-keras")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="an interpreter that has tensorflow_hub 0.16.1")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "capabilities.md")
    arguments = parser.parse_args()
    if not (ROOT.parent / "shared" / "modules").is_dir():
        raise SystemExit("modhub: ../shared/modules is not here, with the modules that the table is about")
    pythons = {"modhub": sys.executable, "tensorflow_hub": str(Path(arguments.peer).absolute())}
    outcomes = [_outcomes(python, library) for library, python in pythons.items()]
    versions = [_versions(python, library) for library, python in pythons.items()]
    groups = {"genuine": GENUINE, "published": PUBLISHED, "made": (TF2,)}
    arguments.output.write_text(write_page(OPERATIONS, groups, outcomes, versions), encoding="utf-8")
    for library, found in zip(pythons, outcomes, strict=True):
        count = sum(outcome == "yes" for outcome in found.values())
        print(f"{library}: {count} of {len(found)}")
        if library == "modhub":
            for (operation, kind), outcome in found.items():
                if outcome != "yes":
                    print(f"  {operation}, {kind}: {outcome}")


def _outcomes(python: str, library: str) -> Outcomes:
    run = functools.partial(_one, python, library)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return {key: value for found in pool.map(run, NAMES) for key, value in found.items()}


def _one(python: str, library: str, kind: str) -> Outcomes:
    print(f"{library}: {kind}", flush=True)
    return collect(python, library, [kind], list(OPERATIONS), TIMEOUT)


def _versions(python: str, library: str) -> str:
    script = str(ROOT / "benchmarks" / "versions.py")
    done = subprocess.run([python, script, *PACKAGES], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    other = "modhub" if library == "tensorflow_hub" else "tensorflow-hub"
    return ", ".join(f"{name} {version}" for name, version in found.items() if name != other)


if __name__ == "__main__":
    main()
