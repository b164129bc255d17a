from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from modhub.errors import (
    CorruptModuleError,
    HandleNotFoundError,
    InvalidArgumentError,
    NotAModuleError,
)
from modhub.format.archive import Limits, Member, MemberReader, members
from tests.attacks.mutations import apply_mutation, mutations
from tests.format.archive_contents import contents, put
from tests.format.hostile_archives import END, FILES, REFUSED, archive, entry, header, pax, record

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = ["n" * 100, "n" * 101, "d" * 120 + "/" + "n" * 99, "d" * 200 + "/" + "e" * 200 + "/n", "ö" * 130]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_what_python_packs_is_read(tmp_path: Path, form: str, packed: bool) -> None:
    assert contents(put(tmp_path, archive(FILES, FORMATS[form], packed))) == FILES


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("form", FORMATS)
def test_long_names_are_read(tmp_path: Path, form: str, name: str) -> None:
    try:
        data = archive({"a": b"1", name: b"text", "b": b"2"}, FORMATS[form])
    except ValueError:
        assert form == "ustar"  # which has no room for it
        return
    assert contents(put(tmp_path, data)) == {"a": b"1", name: b"text", "b": b"2"}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_what_gnu_tar_packs_is_read(tmp_path: Path, form: str, packed: bool) -> None:
    tar = shutil.which("tar")
    if tar is None or b"GNU tar" not in subprocess.run([tar, "--version"], capture_output=True).stdout:
        pytest.skip("GNU tar is not here")
    files = dict(FILES)
    if form != "v7":
        files["d" * 90 + "/" + "n" * 99] = b"long"
    if form in ("oldgnu", "gnu", "posix"):
        files |= {"e" * 200 + "/" + "f" * 200: b"longer", "assets/" + "ä" * 60: b"words"}
    for name, data in files.items():
        (tmp_path / "module" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "module" / name).write_bytes(data)
    command = [
        tar,
        f"--format={form}",
        "-czf" if packed else "-cf",
        tmp_path / "archive",
        "-C",
        tmp_path / "module",
        ".",
    ]
    subprocess.run(command, check=True)
    directories = {str(Path(name).parent): None for name in files if "/" in name}
    assert contents(tmp_path / "archive") == files | directories


def test_sparse_files_of_gnu_tar_are_refused(tmp_path: Path) -> None:
    tar = shutil.which("tar")
    if tar is None or b"GNU tar" not in subprocess.run([tar, "--version"], capture_output=True).stdout:
        pytest.skip("GNU tar is not here")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**24)
    for form in ("gnu", "posix"):
        command = [tar, f"--format={form}", "-cSf", tmp_path / "archive", "-C", tmp_path, "sparse"]
        subprocess.run(command, check=True)
        with pytest.raises(CorruptModuleError, match="sparse"):
            contents(tmp_path / "archive")


def test_members_have_names_sizes_and_kinds(tmp_path: Path) -> None:
    path = put(tmp_path, entry(b"./", kind=b"5") + entry(b".//d/./", kind=b"5") + entry(b"./d//f", b"text") + END)
    assert [member for member, _ in members(path)] == [
        Member(name="d", size=0, is_directory=True),
        Member(name="d/f", size=4, is_directory=False),
    ]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (END, {}),
        (bytes(10240), {}),
        (entry(b"a/b", b"1") + entry(b"a", kind=b"5"), {"a/b": b"1", "a": None}),
        (header(b"d/", 0, b"\0", magic=b"") + header(b"f", 0, b"\0", magic=b""), {"d": None, "f": b""}),
        (header(b"f", prefix=b"d"), {"d/f": b""}),
        (header(b"f", b"\x80" + bytes(10) + b"\x01") + b"x" + bytes(511), {"f": b"x"}),
        (header(b"f", b"      1 ") + b"x" + bytes(511), {"f": b"x"}),
        (pax(record(b"size", b"1")) + header(b"f") + b"x" + bytes(511), {"f": b"x"}),
        (pax(record(b"comment", b"\xff" * 60000), kind=b"g") + entry(b"f"), {"f": b""}),
        (pax(record(b"mtime", b"1.5"), record(b"mtime", b"2")) + entry(b"f"), {"f": b""}),
        (entry(b"a") + entry(b"A"), {"a": b"", "A": b""}),
        (entry(b"a...b/..."), {"a...b/...": b""}),
        (entry(b"aa:b"), {"aa:b": b""}),
        (entry(b"a", b"text"), {"a": b"text"}),
    ],
)
def test_what_is_odd_but_clear_is_read(tmp_path: Path, data: bytes, found: dict[str, bytes | None]) -> None:
    assert contents(put(tmp_path, data + END)) == found


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str, packed: bool) -> None:
    data, message = REFUSED[name]
    path = put(tmp_path, gzip.compress(data + END) if packed else data + END)
    with pytest.raises(CorruptModuleError) as caught:
        contents(path)
    assert message in str(caught.value)
    assert repr(str(path)) in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "It is empty"),
        (b"\x1f", "Accepted are .tar and .tar.gz"),
        (b"hello", "Accepted are .tar and .tar.gz"),
        (b"PK\x03\x04" + bytes(600), "a zip file"),
        (b"BZh9" + bytes(600), "bzip2"),
        (b"\xfd7zXZ\0" + bytes(600), "xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "zstd"),
        (gzip.compress(b"hello"), "packed by gzip, but holds no tar archive"),
        (gzip.compress(b"hello" * 1000), "packed by gzip, but holds no tar archive"),
        (gzip.compress(gzip.compress(archive(FILES))), "packed by gzip, but holds no tar archive"),
    ],
)
def test_what_is_not_an_archive_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(NotAModuleError, match=message):
        contents(put(tmp_path, data))


def test_a_path_that_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(HandleNotFoundError, match="does not exist"):
        contents(tmp_path / "missing")
    with pytest.raises(HandleNotFoundError, match="not a path"):
        contents(Path("a\0b"))
    with pytest.raises(NotAModuleError, match="is a directory"):
        contents(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotAModuleError, match="neither a file nor a directory"):
        contents(tmp_path / "pipe")


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, packed: bool) -> None:
    # tarfile would fill the last record, without which an archive is complete too.
    data = b"".join(entry(name.encode(), text) for name, text in FILES.items()) + END
    data = gzip.compress(data) if packed else data
    assert contents(put(tmp_path, data)) == FILES
    for length in range(0, len(data), 1 if packed else 13):
        # Before these bytes nothing tells that it was an archive.
        error = CorruptModuleError if length >= (2 if packed else 262) else NotAModuleError
        with pytest.raises(error):
            contents(put(tmp_path, data[:length]))


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    inner = archive(FILES, tarfile.USTAR_FORMAT)
    # With the name of a file in the header of gzip, which has no checksum.
    target = io.BytesIO()
    with gzip.GzipFile("name", "wb", 9, target, mtime=77) as file:
        file.write(inner)
    taken = 0
    data = target.getvalue()
    for place in range(len(data)):
        for bit in range(8):
            path = put(tmp_path, apply_mutation(data, ("flip", place, 1 << bit)))
            try:
                found = contents(path)
            except (CorruptModuleError, NotAModuleError):
                continue
            taken += 1
            assert found == FILES
    # The time, the system, the level and the name, whose last byte ends it; and the bit for text.
    assert 8 * 4 <= taken <= 8 * 13 + 1


def test_a_flipped_bit_outside_gzip_never_gives_other_names(tmp_path: Path) -> None:
    data = b"".join(entry(name.encode(), text) for name, text in FILES.items()) + END
    taken = 0
    for kind, place, mask in mutations(len(data)):
        if kind == "flip":
            try:
                found = contents(put(tmp_path, apply_mutation(data, (kind, place, mask))))
            except (CorruptModuleError, NotAModuleError):
                continue
            taken += 1
            assert found.keys() == FILES.keys()
    # Contents and their padding have no checksum in a tar archive; all else has, but for what ends the checksum.
    unchecked = sum(len(text) + -len(text) % 512 for text in FILES.values())
    assert unchecked <= taken <= unchecked + 2 * len(FILES)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"", None),
        (bytes(1), None),
        (bytes(100_000), None),
        (gzip.compress(bytes(20480)), None),
        (gzip.compress(b"") * 1000, None),
        (b"garbage", "after the end of what gzip packed"),
        (bytes(600_000) + b"x", "after the end of what gzip packed"),
        (bytes(10) + gzip.compress(b""), "after the end of what gzip packed"),
        (b"\x1f", "cut off"),
        (b"\x1fgarbage", "gzip does not unpack it"),
        (gzip.compress(b"garbage"), "more after its end"),
        (gzip.compress(bytes(600_000) + b"x"), "more after its end"),
    ],
)
def test_after_the_end_there_is_padding_only(tmp_path: Path, tail: bytes, message: str | None) -> None:
    path = put(tmp_path, archive(FILES, packed=True) + tail)
    if message is None:
        assert contents(path) == FILES
    else:
        with pytest.raises(CorruptModuleError, match=message):
            contents(path)


def test_an_archive_in_several_members_of_gzip_is_read(tmp_path: Path) -> None:
    data = archive(FILES)
    parts = [gzip.compress(data[start : start + 100]) for start in range(0, len(data), 100)]
    assert contents(put(tmp_path, b"".join(parts))) == FILES


@pytest.mark.parametrize("place", [-1, -5])
def test_the_trailer_of_gzip_is_checked(tmp_path: Path, place: int) -> None:
    data = bytearray(archive(FILES, packed=True))
    data[place] ^= 1
    with pytest.raises(CorruptModuleError, match=r"incorrect (data|length) check"):
        contents(put(tmp_path, bytes(data)))


@pytest.mark.parametrize("packed", [False, True])
def test_contents_can_be_read_in_parts_skipped_and_left(tmp_path: Path, packed: bool) -> None:
    data = bytes(range(256)) * 4000
    path = put(tmp_path, archive({"a": data, "b": data, "c": b"end"}, packed=packed))
    iterator = members(path)
    _, reader = next(iterator)
    assert reader.read(10) == data[:10]
    reader.skip(700_000)
    assert reader.read(300) == data[700_010:700_310]
    assert reader.read(0) == b""
    following, second = next(iterator)
    assert following.name == "b"
    with pytest.raises(InvalidArgumentError, match=r"'a' in .* cannot be read"):
        reader.read(1)
    with pytest.raises(InvalidArgumentError, match="negative"):
        second.skip(-1)
    second.skip(10**9)
    assert second.read(1) == b""
    assert next(iterator)[1].read(10**9) == b"end"
    assert next(iterator, None) is None


def test_reading_a_cut_member_is_an_error_of_ours(tmp_path: Path) -> None:
    for data in (b"short", gzip.compress(os.urandom(100_000))[:50_000]):
        start = header(b"a", 10**9)
        path = put(tmp_path, start + data if data == b"short" else gzip.compress(start) + data)
        for act in (MemberReader.read, MemberReader.skip):
            iterator = members(path, Limits(ratio_from=2**30))
            _, reader = next(iterator)
            with pytest.raises(CorruptModuleError, match="cut off"):
                act(reader, 10**9)
