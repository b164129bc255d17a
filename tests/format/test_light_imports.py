"""What reading an index imports: commands start a fresh process each time, and wait for every package in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modhub
from modhub.format.checksum import _in_python, crc32c

_HEAVY = ("numpy", "tensorflow", "importlib.metadata", "email", "argparse", "logging")


def _loaded(script: str, *arguments: str) -> str:
    """Run a script in a fresh interpreter; return which heavy packages it has at the end."""
    script = f"import sys\n{script}\nprint(*[name for name in {_HEAVY} if name in sys.modules])"
    source = str(Path(modhub.__file__).parents[1])
    # Isolated from the site: start-up files of an environment may import anything. So the path is given.
    path = [source, *(entry for entry in sys.path if entry.endswith("site-packages"))]
    return subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path += {path}\n{script}", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_reading_an_index_imports_nothing_heavy(small_bundle: Path) -> None:
    script = """
from pathlib import Path
from modhub.format.bundle import read_bundle, read_module_bundle
from modhub.format.files import open_files
bundle = read_bundle(Path(sys.argv[1]))
assert bundle.pieces
assert read_module_bundle(open_files(Path(sys.argv[1]).parents[1])).entries == bundle.entries
"""
    assert _loaded(script, str(small_bundle)) == ""


def test_the_rooms_of_values_are_light_until_a_value_is_read() -> None:
    script = "import modhub.format.values, modhub.format.statistics, modhub.format.bundle_verify"
    assert _loaded(script) == ""


def test_many_bytes_are_worth_the_package() -> None:
    script = """
from modhub.format.checksum import crc32c
for size in (0, 9, 60_000, 10_000, 5):
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    print(crc32c(data), crc32c(memoryview(data), 7))
    print("crc32c" in sys.modules)
"""
    printed = _loaded(script).splitlines()[:10]
    sizes = (0, 9, 60_000, 10_000, 5)
    expected = [bytes(range(256)) * (size // 256) + bytes(range(size % 256)) for size in sizes]
    assert printed[::2] == [f"{crc32c(data)} {crc32c(data, 7)}" for data in expected]
    assert printed[1::2] == ["False", "False", "True", "True", "True"]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 1000])
def test_both_checksums_are_the_same(size: int) -> None:
    data = bytes(number * 7 % 256 for number in range(size))
    assert [_in_python(data, value) for value in (0, 1, 2**32 - 1)] == [
        crc32c(data, value) for value in (0, 1, 2**32 - 1)
    ]
    assert _in_python(memoryview(data), 0) == crc32c(data)
