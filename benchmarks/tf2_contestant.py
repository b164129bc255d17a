"""Take one sample in a fresh process: what a library needs to load, call, train and export a module in eager mode.

    python benchmarks/tf2_contestant.py --library modhub --module DIRECTORY --prepared FILE --json

Times are wall times in seconds. The raw limit is no library: see tf2_limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Notes, example_input
from tf2_limit import Limit

LIBRARIES = ("modhub", "tensorflow_hub", "limit")
STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--module", type=Path, required=True, help="directory of a published module")
    parser.add_argument("--prepared", type=Path, required=True, help="what tf2_limit.py wrote for it")
    parser.add_argument("--json", action="store_true", help="print one JSON object, to be read by tf2.py")
    arguments = parser.parse_args()
    notes = Notes()
    with notes.seconds("import TensorFlow"):
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    load = _LOADERS[arguments.library](tf, arguments.module, arguments.prepared, notes)
    value = tf.constant(_input(arguments.prepared))  # which also starts the eager runtime, the same for all
    _measure(tf, load, value, notes)
    if arguments.json:
        json.dump(notes.figures, sys.stdout)
    else:
        for name, figure in notes.figures.items():
            print(f"{name:<32}{figure:>16,.4f}")


def _input(prepared: Path) -> Any:
    """Return the example for the module's input, by what was found when it was prepared."""
    import tensorflow as tf

    facts = json.loads(prepared.read_text())
    return example_input(tf.dtypes.as_dtype(facts["dtype"]).name, tf.TensorShape(facts["shape"]))


# Each imports its library, and returns what loads the module: a function that gives the default signature, its
# variables, and what exports it.
Loaded = tuple[Callable[[Any], Any], list[Any], dict[str, Callable[[str], Any]]]


def _modhub(tf: Any, module: Path, _prepared: Path, notes: Notes) -> Callable[[], Loaded]:
    with notes.seconds("import hub"):
        import modhub

        _ = modhub.load  # names are imported when they are first asked for

    def load() -> Loaded:
        m = modhub.load(str(module))
        return (
            m,
            m.trainable_variables,
            {"export": m.export, "tf.saved_model.save": lambda path: tf.saved_model.save(m, path)},
        )

    return load


def _tensorflow_hub(tf: Any, module: Path, _prepared: Path, notes: Notes) -> Callable[[], Loaded]:
    with notes.seconds("import hub"):
        import tensorflow_hub

    def load() -> Loaded:
        m = tensorflow_hub.load(str(module))
        signature = m.signatures["default"]
        trained = [variable for variable in m.variables if variable.trainable]
        return (
            lambda value: signature(value)["default"],
            trained,
            {"tf.saved_model.save": lambda path: tf.saved_model.save(m, path)},
        )

    return load


def _limit(tf: Any, module: Path, prepared: Path, _notes: Notes) -> Callable[[], Loaded]:
    def load() -> Loaded:
        limit = Limit(tf, module, prepared)
        function: list[Any] = []  # made by the first call, as the others do

        def call(value: Any) -> Any:
            if not function:
                function.append(limit.function())
            return function[0](value)

        return call, limit.trainable_variables, {}

    return load


_LOADERS = {"modhub": _modhub, "tensorflow_hub": _tensorflow_hub, "limit": _limit}


def _measure(tf: Any, load: Callable[[], Loaded], value: Any, notes: Notes) -> None:
    """Do what a user does with a module, in the order in which users do it."""
    with notes.seconds("load"):
        call, variables, exports = load()
    with notes.seconds("first output"):
        output = call(value).numpy()
    notes.figures["load to first output"] = notes.figures["load"] + notes.figures["first output"]
    notes.output(output)
    notes.peak_memory("peak memory to first output")
    with notes.seconds("second output"):
        call(value).numpy()
    with notes.seconds("first gradient step"):
        _gradients(tf, call, variables, value)
    notes.figures["gradient step"] = statistics.median(
        _time(lambda: _gradients(tf, call, variables, value)) for _ in range(STEPS)
    )
    notes.peak_memory("peak memory to gradient step")
    with tempfile.TemporaryDirectory() as folder:
        for name, export in exports.items():
            with notes.seconds(name):
                export(str(Path(folder) / name))
    notes.peak_memory("peak memory to the end")


def _gradients(tf: Any, call: Callable[[Any], Any], variables: list[Any], value: Any) -> None:
    """Go forward and back, and wait for the last gradient."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(call(value)))
    gradients = [gradient for gradient in tape.gradient(loss, variables) if gradient is not None]
    assert gradients, "the module cannot be trained"
    for gradient in gradients:
        getattr(gradient, "values", gradient).numpy()


def _time(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
