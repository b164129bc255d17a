from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from modhub.errors import CorruptModuleError, InvalidArgumentError, NotAModuleError
from modhub.format.digests import FileDigest, digest_file, tree_digest

# Names whose order differs by what they are sorted as: parts, characters, UTF-16, bytes.
PLAIN = ["a/b", "a.b", "a-b", "a b", "a", "B", "é", "e\u0301", "\uffff", "\U0001f600", "d/e/f", "d.e", ".hidden", "~"]
ODD = ["back\\slash", "new\nline", "both\\\nx", os.fsdecode(b"\xff not UTF-8"), "tab\there", "'", "*", "?", "$(x)"]


@pytest.mark.parametrize("names", [[], ["x"], PLAIN, ODD, PLAIN + ODD], ids=["none", "one", "plain", "odd", "all"])
def test_a_tree_has_the_digest_that_sha256sum_prints(tmp_path: Path, names: list[str]) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not here")
    names = [name for name in names if name != "a"] if "a/b" in names else names
    digests = {}
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape") * 3)
        digests[name] = digest_file(path).sha256
    command = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert tree_digest(digests) == printed.split()[0]
    assert tree_digest(dict(reversed(digests.items()))) == tree_digest(digests)


def test_lines_are_escaped_as_sha256sum_does() -> None:
    # From version 9 on coreutils escape the carriage return too, so this line is written out.
    line = b"\\" + b"0" * 64 + b"  ./a\\nb\\\\c\\rd\n"
    assert tree_digest({"a\nb\\c\rd": "0" * 64}) == hashlib.sha256(line).hexdigest()


def test_a_tree_is_told_by_names_and_contents() -> None:
    trees = [{}, {"a": "0" * 64}, {"b": "0" * 64}, {"a": "1" * 64}, {"a": "0" * 64, "b": "0" * 64}, {"./a": "0" * 64}]
    assert len({tree_digest(tree) for tree in trees}) == len(trees)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no name of a file"):
        tree_digest({"\ud800": "0" * 64})


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20 + 5])
def test_a_file_is_digested(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == FileDigest(size=size, sha256=hashlib.sha256(data).hexdigest())


def test_only_a_regular_file_is_digested(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    for name, error, message in [
        ("missing", NotAModuleError, "does not exist"),
        ("file/below", NotAModuleError, "does not exist"),
        ("link", CorruptModuleError, "is a symbolic link"),
        ("dangling", CorruptModuleError, "is a symbolic link"),
        ("pipe", CorruptModuleError, "not a regular file"),
        (".", CorruptModuleError, "not a regular file|is a directory"),
        ("a\0b", CorruptModuleError, "cannot be read"),
    ]:
        with pytest.raises(error, match=message) as caught:
            digest_file(tmp_path / name)
        assert repr(str(tmp_path / name)) in str(caught.value)
