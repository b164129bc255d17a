"""Exports of word vectors that end before their time: the module is whole or not there, and nothing is in the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modhub as hub
from modhub.errors import ExportError, ExportExistsError, InvalidArgumentError
from modhub.export.text import vectors_text
from modhub.export.text.exporting import export_text_embeddings
from modhub.export.text.vectors import open_vectors, read_blocks

ROOT = Path(__file__).parents[3]
# Under a limit on the size of a file, which is what a full disk is to a writer: an OSError of a write.
LIMITED = """
import resource, sys
from modhub.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def outcomes(how: str, folder: Path, points: int) -> list[dict[str, Any]]:
    """Return what interrupted_exports.py says of each point."""
    command = [sys.executable, "-m", "tests.export.text.interrupted_exports", how, str(folder), str(points)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == points
    assert [each for each in found if not each["whole"] or each.get("again", 0) != 0] == []
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Text that takes a second or so: the command can be met at work."""
    path = tmp_path / "vectors.txt"
    values = " 0.12345" * 100
    path.write_text("".join(f"word{number}{values}\n" for number in range(60_000)))
    return path


def test_kill_9_leaves_no_half_module(tmp_path: Path) -> None:
    found = outcomes("killed", tmp_path, 201)
    # The test has teeth only if the exports died, at different stages.
    assert sum(each["status"] == -signal.SIGKILL for each in found) >= 195
    assert len({each["files"] for each in found}) >= 4
    assert {each["published"] for each in found} == {False, True}
    for each in found:
        assert len(each["left"]) <= (not each["published"])
        assert all(name.startswith(".module.") and name.endswith(".partial") for name in each["left"])


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    found = outcomes("interrupted", tmp_path, 201)
    # The others were quicker than the signal.
    assert sum(each["status"] == 130 for each in found) >= 20
    assert {each["published"] for each in found} == {False, True}
    assert [each for each in found if each["left"]] == []


def test_a_killed_process_leaves_no_half_module(large: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    command = [sys.executable, "-m", "modhub", "export-text-embeddings", str(large), str(tmp_path / "module")]
    for _ in range(2):
        before = set(names(tmp_path))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while set(names(tmp_path)) == before and process.poll() is None:
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.2))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    partial = [name for name in names(tmp_path) if name.endswith(".partial")]
    assert names(tmp_path) == sorted([*partial, "vectors.txt"])
    assert len(partial) == 2
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert hub.inspect(tmp_path / "module").variables[0].shape == (60_001, 100)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("a 1\n", 1),  # tokens.txt, which comes first, is larger
        ("a 1 2\n", 12),  # the values are
        ("a 1\n", 100),  # the index is
        ("a 1\n", 1000),  # saved_model.pb is
        ("".join(f"{number} {'0.5 ' * 300}\n" for number in range(2000)), 2**16),
        ("".join(f"{'long' * 1000}{number} 0.5\n" for number in range(2000)), 2**16),
    ],
    ids=["words", "values", "index", "graph", "many values", "many words"],
)
def test_a_full_disk_leaves_nothing(tmp_path: Path, text: str, most: int) -> None:
    (tmp_path / "vectors.txt").write_text(text)
    command = [sys.executable, "-c", LIMITED, str(most), "export-text-embeddings", "vectors.txt", "deep/module"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("modhub: Cannot write the module 'deep/module': [Errno 27] File too large")
    assert len(done.stderr.splitlines()) == 1
    assert names(tmp_path) == ["vectors.txt"]


# What even the superuser cannot make a directory in.
@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="there is no /sys, in which nobody makes a directory")
def test_a_parent_that_cannot_be_written(tmp_path: Path) -> None:
    for path in ("/sys/kernel/module", "/sys/kernel/deep/module"):
        with pytest.raises(ExportError, match=rf"^Cannot write the module '{path}': .*\. Nothing was left there"):
            export_text_embeddings((["a"], [[1.0]]), path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_parent(tmp_path: Path) -> None:
    (tmp_path / "parent").mkdir(mode=0o500)
    with pytest.raises(ExportError, match="Permission denied"):
        export_text_embeddings((["a"], [[1.0]]), tmp_path / "parent" / "module")
    assert names(tmp_path / "parent") == []


# A file that is there and opens, and that nobody can read from.
@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="there is no /proc, which has files that fail")
@pytest.mark.parametrize("format_", ["auto", "word2vec-binary"])
def test_a_source_that_cannot_be_read(tmp_path: Path, format_: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^Cannot read '/proc/self/mem': .*Input/output error"):
        export_text_embeddings("/proc/self/mem", tmp_path / "module", format=format_)
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read anything")
def test_a_source_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("a 1\n")
    (tmp_path / "vectors.txt").chmod(0)
    with pytest.raises(InvalidArgumentError, match="Permission denied"):
        export_text_embeddings(tmp_path / "vectors.txt", tmp_path / "module")
    assert names(tmp_path) == ["vectors.txt"]


def binary(words: int) -> bytes:
    records = [b"w%d " % number + np.full(4, number, "<f4").tobytes() for number in range(words)]
    return b"%d 4\n" % words + b"".join(records)


def text(words: int) -> bytes:
    return b"".join(b"w%d 0.5 1 2 3\n" % number for number in range(words))


def test_a_source_that_vanishes_before_it_is_read(tmp_path: Path) -> None:
    for name, data in (("v.txt", text(9)), ("v.bin", binary(9))):
        path = tmp_path / name
        path.write_bytes(data)
        vectors = open_vectors(path)
        path.unlink()
        with pytest.raises(
            InvalidArgumentError, match=rf"^Cannot read .*{name}', (line|word) 1.*No such file"
        ) as caught:
            list(read_blocks(vectors))
        assert "download" not in str(caught.value)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("words", [80_000, 90_010], ids=["cut off", "grown"])
def test_a_source_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: int) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(text(90_000))
    monkeypatch.setattr(vectors_text, "_BLOCK_BYTES", 2**14)
    blocks = read_blocks(open_vectors(path))
    next(blocks)
    # At the end of a line: nothing in the text tells.
    data = text(words)
    with path.open("r+b") as file:
        file.truncate(len(data))
        file.write(data)
    with pytest.raises(InvalidArgumentError, match=rf"had \d+ bytes when it was opened, and {len(data)} at its end"):
        list(blocks)


def test_a_target_that_comes_into_being_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "module"

    class Words(list[str]):
        def __getitem__(self, place: Any) -> Any:
            target.mkdir(exist_ok=True)
            return super().__getitem__(place)

    with pytest.raises(ExportExistsError):
        export_text_embeddings((Words(["a", "b"]), [[1.0], [2.0]]), target)
    assert names(target) == []
    assert names(tmp_path) == ["module"]
