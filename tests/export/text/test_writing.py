from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import ExportExistsError, InvalidArgumentError
from modhub.export.text.vectors import open_vectors
from modhub.export.text.vectors_repeated import Repeated
from modhub.export.text.writing import Written, write_vectors
from modhub.format import read_bundle, verify_bundle
from modhub.format.bundle import data_path

_DATA = b"the 1 2.5\n\xff -0.0 65504\n. . . 0.1 1e-8\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "module"
    path.mkdir()
    return path


def _matrix(directory: Path, dtype: str) -> np.ndarray[Any, Any]:
    prefix = directory / "variables" / "variables"
    bundle = read_bundle(prefix)
    verify_bundle(bundle)
    assert list(bundle.entries) == ["embeddings"]
    entry = bundle.entries["embeddings"]
    assert entry.dtype == {"float32": 1, "float16": 19}[dtype]
    return np.frombuffer(data_path(prefix, 0, 1).read_bytes(), dtype).reshape(entry.shape)


@pytest.mark.usefixtures("parser", "block_bytes")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("buckets", [0, 1, 3])
def test_words_and_values_are_written(
    written: Callable[[bytes], Path], directory: Path, dtype: str, buckets: int
) -> None:
    done: list[int] = []
    vectors = open_vectors(written(_DATA))
    what = write_vectors(directory, vectors, num_oov_buckets=buckets, dtype=dtype, on_progress=done.append)
    assert what == Written(words=3, dimension=2, repeated=0, not_finite=0)
    assert (directory / "assets" / "tokens.txt").read_bytes() == b"the\n\xff\n. . .\n"
    expected = np.array([[1, 2.5], [-0.0, 65504], [0.1, 1e-8], *[[0, 0]] * buckets], np.float32).astype(dtype)
    assert _matrix(directory, dtype).tobytes() == expected.tobytes()
    assert done == sorted(done)
    assert done[-1] == vectors.total


def test_float16_is_rounded_to_even(directory: Path) -> None:
    values = np.array([1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-23, 65519, 2**-25, 1.5 * 2**-24], np.float32)
    write_vectors(directory, open_vectors((["a"], values[None])), num_oov_buckets=0, dtype="float16")
    assert _matrix(directory, "float16").tolist() == [[1, 1 + 2**-9, 1 + 2**-10, 65504, 0, 2**-23]]


@pytest.mark.parametrize("value", ["65520", "-1e6"])
def test_what_float16_cannot_hold_is_refused(written: Callable[[bytes], Path], directory: Path, value: str) -> None:
    vectors = open_vectors(written(b"a 1 inf\nb 1 %s\n" % value.encode()))
    with pytest.raises(InvalidArgumentError, match=r"line 2: the value .* is too large for float16, .* Use float32"):
        write_vectors(directory, vectors, dtype="float16")


def test_vectors_that_are_not_finite_are_counted(written: Callable[[bytes], Path], directory: Path) -> None:
    assert write_vectors(directory, open_vectors(written(b"a nan 1\nb 1 2\nc 1 -inf\nd inf nan\n"))).not_finite == 3
    assert np.isnan(_matrix(directory, "float32")[0, 0])


@pytest.mark.usefixtures("parser", "block_bytes")
def test_a_repeated_word_is_refused_with_both_lines(written: Callable[[bytes], Path], directory: Path) -> None:
    words = [b"w%d" % number for number in range(200)]
    words[150] = words[180] = b"w20"
    vectors = open_vectors(written(b"200 1\n" + b"".join(word + b" 1\n" for word in words)))
    with pytest.raises(InvalidArgumentError, match=r"line 152: the word 'w20' is there already \(line 22\).*'first'"):
        write_vectors(directory, vectors)
    assert list((directory / "variables").iterdir()) == []


@pytest.mark.usefixtures("block_bytes")
def test_the_first_of_repeated_words_is_kept(written: Callable[[bytes], Path], directory: Path) -> None:
    data = b"".join(b"w%d %d\n" % (number % 30, number) for number in range(100))
    what = write_vectors(directory, open_vectors(written(data)), duplicates="first", num_oov_buckets=1)
    assert what == Written(words=30, dimension=1, repeated=70, not_finite=0)
    assert (directory / "assets" / "tokens.txt").read_bytes() == b"".join(b"w%d\n" % number for number in range(30))
    assert _matrix(directory, "float32").tolist() == [*[[number] for number in range(30)], [0]]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"\xff", b"e f", b"g\r"]), max_size=5), max_size=8))
def test_repeated_words_are_those_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "words.txt"
    path.write_bytes(b"")
    repeated = Repeated(path)
    first: dict[bytes, int] = {}
    kept: list[bytes] = []
    for tokens in blocks:
        found = repeated.find(tokens, len(kept))
        expected = {}
        for row, token in enumerate(tokens):
            if first.setdefault(token, len(kept) + row) != len(kept) + row:
                expected[row] = first[token]
        assert found == expected
        kept += [token for row, token in enumerate(tokens) if row not in found]
        first = {token: index for index, token in enumerate(kept)}
        path.write_bytes(b"".join(token + b"\n" for token in kept))


@pytest.mark.parametrize("word", ["a\nb", "\n", "a\r", b"\r"])
def test_a_word_that_no_line_can_hold_is_refused(directory: Path, word: str | bytes) -> None:
    vectors = open_vectors((["a", word], np.zeros([2, 1])))
    with pytest.raises(InvalidArgumentError, match=r"Word 2 of the vocabulary: the word .* has an end of line in it"):
        write_vectors(directory, vectors)


def test_a_bundle_is_not_overwritten(directory: Path) -> None:
    vectors = open_vectors((["a"], [[1.0]]))
    write_vectors(directory, vectors)
    with pytest.raises(ExportExistsError):
        write_vectors(directory, vectors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_oov_buckets": -1}, "num_oov_buckets is a number from 0 on, got -1"),
        ({"num_oov_buckets": True}, "got True"),
        ({"num_oov_buckets": 1.0}, "got 1.0"),
        ({"dtype": "float61"}, "Did you mean 'float16'"),
        ({"duplicates": "last"}, "duplicates cannot be 'last'. Known values: 'error', 'first'"),
    ],
)
def test_wrong_arguments_are_refused(directory: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        write_vectors(directory, open_vectors((["a"], [[1.0]])), **arguments)
    assert list(directory.iterdir()) == []


_MEASURE = """
import sys
from pathlib import Path
import modhub.export.text.writing as writing, modhub.export.text.vectors as vectors
path, directory = map(Path, sys.argv[1:])
written = writing.write_vectors(directory, vectors.open_vectors(path))
assert "tensorflow" not in sys.modules
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(written.words, peak.split()[1])
"""


# What getrusage says of a process that was just started is the peak of the one that started it.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_does_not_grow_with_the_file(written: Callable[[bytes], Path], tmp_path: Path) -> None:
    row = b" 0.12345" * 200 + b"\n"
    peaks = []
    for words in (30_000, 90_000):  # 48 and 144 MB of text
        directory = tmp_path / str(words)
        directory.mkdir()
        path = written(b"".join(b"w%d" % number + row for number in range(words)))
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, path, directory], capture_output=True, text=True, check=True
        )
        count, peak = map(int, done.stdout.split())
        assert count == words
        peaks.append(peak * 1024)
    # The matrix alone is 48 MB larger.
    assert peaks[1] < peaks[0] + 2**24
    assert peaks[1] < 2e8
