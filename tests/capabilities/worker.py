"""Do operations with a library on kinds of modules, and print a JSON object for each, before and after.

python -m tests.capabilities.worker LIBRARY KIND[,KIND...] [OPERATION,...]
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tests.capabilities.kinds import find_kind
from tests.capabilities.libraries import LIBRARIES
from tests.capabilities.operations import OPERATIONS
from tests.capabilities.reasons import reason

SHARED = Path(__file__).resolve().parents[3] / "shared" / "modules"


def main() -> None:
    library_name, names, *wanted = sys.argv[1:]
    operations = wanted[0].split(",") if wanted else list(OPERATIONS)
    tf.get_logger().setLevel("ERROR")
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    reports = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        library = LIBRARIES[library_name]()
        for name in names.split(","):
            for operation in operations:
                print(json.dumps({"begins": operation, "kind": name}), file=reports, flush=True)
                with tempfile.TemporaryDirectory() as folder:
                    outcome = _try(library, name, operation, Path(folder))
                print(json.dumps({"kind": name, "operation": operation, "outcome": outcome}), file=reports, flush=True)


def _try(library: object, name: str, operation: str, folder: Path) -> str:
    kind = find_kind(name, SHARED, folder)
    try:
        OPERATIONS[operation](library, kind, folder)
    except Exception as error:
        if os.environ.get("MODHUB_CAPABILITIES_TRACEBACK"):
            import traceback

            traceback.print_exc()
        return f"no: {reason(error, [str(SHARED), str(folder)])}"
    return "yes"


if __name__ == "__main__":
    main()
