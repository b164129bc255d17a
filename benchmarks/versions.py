"""Print the versions of this interpreter's Python and of some packages, as one JSON object."""

import json
import platform
import sys
from importlib.metadata import distributions

if __name__ == "__main__":
    found = {package.metadata["Name"].lower().replace("_", "-"): package.version for package in distributions()}
    json.dump(
        {"Python": platform.python_version()} | {name: found[name] for name in sys.argv[1:] if name in found},
        sys.stdout,
    )
