from __future__ import annotations

import contextlib
import gzip
import os
import tarfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modhub.errors import (
    CorruptModuleError,
    NotAModuleError,
)
from modhub.format.archive import Limits
from tests.format.archive_contents import contents, put
from tests.format.hostile_archives import END, FILES, archive, entry, pax, record

FUZZ = settings(
    max_examples=int(os.environ.get("MODHUB_FUZZ_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

PACKED = archive(FILES, packed=True)
PLAIN = archive({**FILES, "n" * 300: b"long"}, tarfile.GNU_FORMAT)
PAX = archive({**FILES, "n" * 300: b"long"})


def is_read_or_refused(folder: Path, data: bytes) -> None:
    with contextlib.suppress(CorruptModuleError, NotAModuleError):
        contents(put(folder, data), Limits(members=1000, bytes=2**22))


@FUZZ
@given(st.one_of(st.binary(max_size=2000), st.binary(max_size=2000).map(lambda data: b"\x1f\x8b\x08\0" + data)))
@example(b"\x1f\x8b")
def test_random_bytes_are_refused_in_our_words(tmp_path: Path, data: bytes) -> None:
    is_read_or_refused(tmp_path, data)


@FUZZ
@given(st.sampled_from([PACKED, PLAIN, PAX]), st.data())
def test_a_changed_archive_is_read_or_refused(tmp_path: Path, data: bytes, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, len(data)))
        removed = draw.draw(st.integers(0, 600))
        data = data[:place] + draw.draw(st.binary(max_size=20)) + data[place + removed :]
    is_read_or_refused(tmp_path, data)


def with_checksum(block: bytes) -> bytes:
    total = sum(block[:148]) + sum(block[156:]) + 8 * 32
    return block[:148] + b"%06o\0 " % total + block[156:]


@FUZZ
@given(st.data(), st.booleans())
def test_a_changed_header_with_a_right_checksum_is_read_or_refused(
    tmp_path: Path, draw: st.DataObject, pack: bool
) -> None:
    """Changes that no checksum tells of, in what means something: the name, the size, the kind, the magic, a prefix."""
    blocks = [PAX[start : start + 512] for start in range(0, len(PAX), 512)]
    for _ in range(draw.draw(st.integers(1, 3))):
        number = draw.draw(st.integers(0, min(len(blocks) - 1, 14)))
        place = draw.draw(st.sampled_from([0, 1, 99, 124, 130, 134, 135, 156, 257, 262, 345]))
        new = draw.draw(
            st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from([b"x", b"L", b"g", b"5", b"7777"]))
        )
        blocks[number] = with_checksum((blocks[number][:place] + new + blocks[number][place + len(new) :])[:512])
    data = b"".join(blocks)
    is_read_or_refused(tmp_path, gzip.compress(data, 1) if pack else data)


@FUZZ
@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=4), st.binary(max_size=8))
@example([(b"GNU.sparse.map", b"0,1")], b"")
def test_any_pax_header_is_read_or_refused(tmp_path: Path, records: list[tuple[bytes, bytes]], tail: bytes) -> None:
    is_read_or_refused(tmp_path, pax(*(record(*each) for each in records), tail) + entry(b"a", b"text") + END)


@FUZZ
@given(st.dictionaries(st.from_regex(r"[a-zé. ]{1,40}(/[a-z]{1,90}){0,3}", fullmatch=True), st.binary(max_size=1500)))
def test_what_tarfile_writes_is_read_or_refused_alike(tmp_path: Path, files: dict[str, bytes]) -> None:
    names = {str(Path(name)): data for name, data in files.items()}
    try:
        found = contents(put(tmp_path, archive(files)))
    except CorruptModuleError:
        parts = {part for name in files for part in name.split("/")}
        above = {str(parent) for name in names for parent in Path(name).parents}
        assert ".." in parts or "." in names or above & names.keys() or len(names) < len(files)
    else:
        assert found == names
