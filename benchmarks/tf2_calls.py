"""Time warm calls in one process: modhub's, tensorflow_hub's and a plain ConcreteFunction of the same graph, in turns.

    python benchmarks/tf2_calls.py MODULE PREPARED

Prints one JSON object: the median seconds of a call of each, and the median of modhub's over the plain one's in the
same turn. A call takes a tensor, and its output is waited for, not fetched.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import example_input
from tf2_limit import Limit

SECONDS, TURNS = 10.0, 1000  # it stops at either


def main() -> None:
    import tensorflow as tf
    import tensorflow_hub

    import modhub

    module, prepared = map(Path, sys.argv[1:])
    tf.get_logger().setLevel("ERROR")
    facts = json.loads(prepared.read_text())
    value = tf.constant(example_input(tf.dtypes.as_dtype(facts["dtype"]).name, tf.TensorShape(facts["shape"])))
    peer = tensorflow_hub.load(str(module))
    signature = peer.signatures["default"]
    calls: dict[str, Callable[[Any], Any]] = {
        "modhub": modhub.load(str(module)),
        "tensorflow_hub": lambda given: signature(given)["default"],
        "plain": Limit(tf, module, prepared).function(),
    }
    outputs = {name: call(value).numpy() for name, call in calls.items()}
    for output in outputs.values():
        np.testing.assert_allclose(output, outputs["plain"], rtol=1e-4)
    taken = _race(calls, value)
    figures = {f"call, {name}": statistics.median(seconds) for name, seconds in taken.items()}
    figures["call, over plain"] = statistics.median(
        ours / plain for ours, plain in zip(taken["modhub"], taken["plain"], strict=True)
    )
    figures["output"] = float(np.sum(np.abs(outputs["plain"])))
    json.dump(figures, sys.stdout)


def _race(calls: dict[str, Callable[[Any], Any]], value: Any) -> dict[str, list[float]]:
    names = list(calls)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for name in names * 3:
        calls[name](value)
    end = time.perf_counter() + SECONDS
    for turn in range(TURNS):
        for offset in range(len(names)):
            name = names[(turn + offset) % len(names)]
            start = time.perf_counter()
            calls[name](value)._numpy()  # waits, and does not copy
            taken[name].append(time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    return taken


if __name__ == "__main__":
    main()
