"""Print what `import modhub` costs: the best of 20 fresh interpreters, less what a bare one costs."""

from __future__ import annotations

import subprocess
import sys
import time

RUNS = 20


def milliseconds(statement: str) -> float:
    """Return the wall time of a fresh interpreter that runs the statement, in milliseconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    milliseconds("import modhub")  # writes the compiled files, which every user but the first finds
    # In turns, so that whatever else the machine does falls on both.
    pairs = [(milliseconds("pass"), milliseconds("import modhub")) for _ in range(RUNS)]
    bare, with_modhub = (min(times) for times in zip(*pairs, strict=True))
    print(f"import modhub: {with_modhub - bare:.1f} ms (best of {RUNS}, net of {bare:.1f} ms for bare Python)")


if __name__ == "__main__":
    main()
