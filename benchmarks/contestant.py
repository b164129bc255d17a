"""Take one sample in a fresh process: what a library needs to load, apply, run and export a module.

    python benchmarks/contestant.py --library modhub --module DIRECTORY --json

Times are wall times in seconds. `tensorflow_hub` is imported behind `peer_stub`, and `floor` is no library: see floor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from floor import measure_floor
from measure import Notes, example_input
from peer_stub import import_peer

LIBRARIES = ("modhub", "tensorflow_hub", "floor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--module", type=Path, required=True, help="directory of a published module")
    parser.add_argument("--json", action="store_true", help="print one JSON object, to be read by run.py")
    arguments = parser.parse_args()
    notes = Notes()
    with notes.seconds("import TensorFlow"):
        import tensorflow as tf
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    if arguments.library == "floor":
        measure_floor(tf, arguments.module, notes)
    else:
        with notes.seconds("import hub"):
            hub = _import(arguments.library)
        _measure(hub, tf, str(arguments.module), notes)
    if arguments.json:
        json.dump(notes.figures, sys.stdout)
    else:
        for name, figure in notes.figures.items():
            print(f"{name:<32}{figure:>16,.4f}")


def _import(library: str) -> Any:
    """Import a library as far as `hub.Module` needs it; TensorFlow is there already."""
    if library == "tensorflow_hub":
        return import_peer()
    import modhub

    _ = modhub.Module  # names are imported when they are first asked for
    return modhub


def _measure(hub: Any, tf: Any, module_path: str, notes: Notes) -> None:
    """Do what a user does with a module, in the order in which users do it."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, tempfile.TemporaryDirectory() as folder:
        with notes.ops("ops added by Module()", graph), notes.seconds("Module()"):
            module = hub.Module(module_path)
        infos = module.get_input_info_dict()
        inputs = {name: v1.placeholder(info.dtype, info.get_shape()) for name, info in infos.items()}
        feed = {value: example_input(value.dtype.name, value.shape) for value in inputs.values()}
        with notes.ops("ops added by first apply", graph), notes.seconds("first apply"):
            output = module(inputs)
        with v1.Session() as session:
            with notes.seconds("init"):
                session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            with notes.seconds("first run"):
                value = session.run(output, feed)
            notes.output(value)
            notes.peak_memory("peak memory to first output")
            with notes.ops("ops added by second apply", graph), notes.seconds("second apply"):
                module(inputs)
            with notes.ops("ops added by second Module()", graph), notes.seconds("second Module()"):
                hub.Module(module_path)
            with notes.seconds("export"):
                module.export(str(Path(folder) / "exported"), session)
            notes.peak_memory("peak memory to the end")
    notes.total_to_first_output()


if __name__ == "__main__":
    main()
