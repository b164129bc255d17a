"""One file with all that a line of word vectors may hold, all the way into a module, beside plain Python."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modhub.export.text.exporting import export_text_embeddings
from modhub.format import BUNDLE, verify_bundle
from modhub.format.bundle import data_path, read_bundle
from tests.export.text.plain_reader import plain_rows

NUMBERS = [
    b"0 -0.0 0e0",
    b"1 +1 01",
    b"1e-3 1E+3 -1.5e2",
    b"nan -nan inf",
    b"-inf Infinity 1e39",
    b"1e-45 7e-46 -1e-46",  # subnormals, and what is rounded to one or to zero
    b"1.17549435e-38 1.1754942e-38 5e-324",
    b"3.4028235e38 3.4028236e38 -3.4028234e38",
    b"1.00000005960464477539062500001 1.000000059604644775390625 0.1",  # the middle of two, and just above
    b"16777217 9007199254740993 1_0",
]
# What looks like a field, a quote, a comment, a header, an end of a line, or nothing.
WORDS = [
    b'"',
    b'"a',
    b"'",
    b"\\",
    b"\\n",
    b",",
    b"#",
    b"1",
    b"-0.5",
    b"nan",
    b"NULL",
    b". . .",
    b"a  b",
    b"a\tb",
    b"x\ry",
    b"\xc2\xa0",
    b"1\xc2\xa02",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\x1c",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    "猫".encode(),
    b"UNK" * 1000,
]
LINES = [
    b"first 1 2 3",
    *[word + b" 0.5 -1 2" for word in WORDS],
    *[b"n%d%s %s" % (row, WORDS[row % len(WORDS)], NUMBERS[row % len(NUMBERS)]) for row in range(50)],
]


@pytest.mark.usefixtures("parser", "block_bytes")
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n"], ids=["lf", "crlf", "trailing space"])
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b"%d 3\n" % len(LINES)], ids=["bare", "bom", "header"])
@pytest.mark.parametrize("tail", [b"", b"\n", b"\n\n \r\n"], ids=["no final newline", "newline", "blank lines"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_every_trap_reaches_the_module_as_plain_python_reads_it(
    written: Callable[[bytes], Path], tmp_path: Path, end: bytes, head: bytes, tail: bytes, packed: bool
) -> None:
    lines = head + end.join(LINES) + tail
    vectors = written(gzip.compress(lines) if packed else lines)
    expected = plain_rows(end.join(LINES), 3)
    what = export_text_embeddings(vectors, tmp_path / "module", num_oov_buckets=2)
    assert (what.words, what.dimension, what.repeated) == (len(LINES), 3, 0)
    assert what.not_finite == sum(not np.isfinite(np.array(bits, "<u4").view("<f4")).all() for _, bits in expected)
    tokens = (tmp_path / "module" / "assets" / "tokens.txt").read_bytes()
    assert tokens == b"".join(word + b"\n" for word, _ in expected)
    bundle = read_bundle(tmp_path / "module" / BUNDLE)
    verify_bundle(bundle)
    found = np.frombuffer(data_path(tmp_path / "module" / BUNDLE, 0, 1).read_bytes(), "<u4").reshape(-1, 3)
    assert found.tolist() == [*[bits for _, bits in expected], [0, 0, 0], [0, 0, 0]]
