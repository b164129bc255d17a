"""Loads damaged modules, one after the other, and says what became of each: run as a process that may die.

    victim.py < jobs.json > outcomes.jsonl

A job is [module, file, mutations]. For each mutation of the file, in a copy of the module, a line {"begin"} and then
a line {"module", "file", "mutation", "outcome", "rss"}: the outcome is the class of modhub's error, "loads", or
"raw: ..." for anything else; rss is the peak memory so far, in KiB.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

import modhub as hub

sys.path.insert(0, str(Path(__file__).parent))
from mutations import apply_mutation


def use(path: Path) -> str:
    """Load a module, with every variant, and apply every signature."""
    try:
        spec = hub.load_module_spec(path)
        for tags in spec.get_tags():
            spec.get_attached_message("image_module_info", hub.ImageModuleInfo, tags=tags)
            with tf.Graph().as_default():
                module = hub.Module(spec, trainable=True, tags=tags)
                for signature in module.get_signature_names():
                    inputs = {
                        name: tf.nest.map_structure(
                            lambda part: tf.compat.v1.placeholder(part.dtype, part.shape),
                            info.type_spec,
                            expand_composites=True,
                        )
                        for name, info in module.get_input_info_dict(signature).items()
                    }
                    module(inputs, signature=signature, as_dict=True)
    except hub.errors.ModhubError as error:
        return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "modhub.errors")
    except Exception as error:  # what the test is there to find
        return f"raw: {type(error).__name__}: {str(error)[:300]}"
    return "loads"


def attack(module: str, file: str, mutations: list[tuple[str, int, int]]) -> None:
    data = (Path(module) / file).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "module"
        shutil.copytree(module, copy)
        os.chmod(copy / file, 0o644)
        for mutation in mutations:
            (copy / file).write_bytes(apply_mutation(data, tuple(mutation)))
            print(json.dumps({"begin": [module, file, mutation]}), flush=True)
            outcome = {
                "module": module,
                "file": file,
                "mutation": mutation,
                "outcome": use(copy),
                "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            }
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    for job in json.load(sys.stdin):
        attack(*job)
