"""`python -m modhub` is the command `modhub`."""

from __future__ import annotations

import sys

from modhub.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
