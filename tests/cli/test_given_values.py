from __future__ import annotations

import csv
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command_lines import give_stdin

Given = Callable[..., Any]


@pytest.mark.parametrize(
    ("signature", "value", "expected"),
    [
        ("float", "x=[[1, 2.5]]", [[1.0, 2.5]]),
        ("float", "[[1, 2.5]]", [[1.0, 2.5]]),
        ("float", "[]", "of shape"),
        ("float", '[["NaN", "-Infinity"]]', [["NaN", "-Infinity"]]),
        ("float", "[[0.1, 1e-3]]", [[0.1, 0.001]]),
        ("half", "[0.1]", [0.1]),
        ("bfloat16", "[1.5]", [1.5]),
        ("double", "0.1", 0.1),
        ("double", "x=3", 3.0),
        ("int", "[1, 2.0, -3]", [1, 2, -3]),
        ("int", "[]", []),
        ("long", f"[{2**63 - 1}, {-(2**63)}, {2**53 + 1}]", [2**63 - 1, -(2**63), 2**53 + 1]),
        ("unsigned", f"[{2**64 - 1}]", [2**64 - 1]),
        ("bool", "[true, false, 1, 0]", [True, False, True, False]),
        ("complex", "[1, 2.5]", [[1.0, 0.0], [2.5, 0.0]]),
        ("words", '["a cat", "naïve"]', ["a cat", "naïve"]),
        ("words", "x=a cat", ["a cat"]),
        ("words", "cat", ["cat"]),
        ("words", '"a=b"', ["a=b"]),
        ("words", "12", ["12"]),
        ("words", "null", ["null"]),
        ("words", "x=", [""]),
        ("words", '{"b64": "/w=="}', [{"b64": "/w=="}]),
        ("word", "x=cat", "cat"),
        ("any", "[[[1]]]", [[[1.0]]]),
        ("ragged", "[[1, 2], [], [3]]", [[1, 2], [], [3]]),
    ],
)
def test_values_on_the_command_line(given: Given, signature: str, value: str, expected: Any) -> None:
    found = given(signature, "--input", value)
    if isinstance(expected, str) and expected.startswith("of shape"):
        assert "has the shape [0], and the signature" in found
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("signature", "value", "says"),
    [
        ("int", "[1.5]", "has 1.5. Expected int32"),
        ("int", "[2147483648]", "int32 is from -2147483648 to 2147483647"),
        ("byte", "[-1]", "uint8 is from 0 to 255"),
        ("unsigned", "[-1]", "uint64 is from 0"),
        ("int", "[true]", "has True. Expected int32"),
        ("int", '["1"]', "has '1'. Expected int32"),
        ("int", '["NaN"]', "has 'NaN'. Expected int32"),
        ("bool", "[2]", "has 2. Expected bool"),
        ("float", "[[1e39, 0]]", "1e+39 would become another"),
        ("half", "[70000]", "would become another"),
        ("float", f"[[{10**400}, 0]]", "too large for float32"),
        ("float", "[[1, 2], [3]]", "lists of different lengths, 2 and 1"),
        ("float", "[[1, 2], 3]", "has 3 where a list of 2 is expected"),
        ("float", "[[1, [2]]]", "lists of different depths"),
        ("float", "[1, 2]", "For a batch of one, put it into brackets."),
        ("float", "cat", "has 'cat'. Expected float32"),
        ("float", '[["cat", 1]]', "has 'cat'. Expected float32"),
        ("float", "[[1, 2]", "is not JSON"),
        ("float", '{"a": 1}', "Expected float32"),
        ("float", "[" * 100000, "nested too deeply"),
        ("float", "9" * 5000, "Expected float32"),
        ("words", "[1]", "Texts are given as JSON strings"),
        ("words", '["\\ud800"]', "surrogates not allowed"),
        ("words", '[{"b64": "?"}]', "{'b64': '?'}"),
        ("words", "y=cat", "There is no input 'y'"),
        ("sparse", "[[1, 0, 0]]", 'is sparse: write it as {"indices"'),
        ("ragged", "[1, 2]", "cannot be ragged as ragged int64 [?, ?]"),
        ("ragged", "[[1.5]]", "Expected int64"),
        ("ragged", "3", "write it as JSON, in lists of any lengths"),
        ("float", '{"indices": [], "values": [], "dense_shape": [0]}', "is a sparse value. Expected float32 [?, 2]"),
    ],
)
def test_values_that_do_not_fit_are_refused(given: Given, signature: str, value: str, says: str) -> None:
    assert says in given(signature, "--input", value)


def test_a_sparse_value_comes_back_as_it_was_given(given: Given) -> None:
    value = {"indices": [[0, 2], [1, 0]], "values": [1.0, 2.0], "dense_shape": [2, 3]}
    found = given("sparse", "--input", json.dumps(value))
    assert found == {"dtype": "float32", **value}
    del found["dtype"]
    assert given("sparse", "--input", f"x={json.dumps(found)}") == {"dtype": "float32", **value}
    empty = {"indices": [], "values": [], "dense_shape": [0, 0]}
    assert given("sparse_words", "--input", json.dumps(empty)) == {"dtype": "string", **empty}


def test_a_sparse_value_is_put_into_order(given: Given) -> None:
    value = {"indices": [[1, 0], [0, 2]], "values": ["b", "a"], "dense_shape": [2, 3]}
    found = given("sparse_words", "--input", json.dumps(value))
    assert (found["indices"], found["values"]) == ([[0, 2], [1, 0]], ["a", "b"])


@pytest.mark.parametrize(
    ("indices", "values", "shape", "says"),
    [
        ([[0, 3]], [1], [1, 3], "indices outside of its dense_shape [1, 3]"),
        ([[-1, 0]], [1], [1, 3], "indices outside of"),
        ([[0, 0]], [1, 2], [1, 3], "expected [n, rank], [n] and [rank]"),
        ([[0]], [1], [1, 3], "expected [n, rank], [n] and [rank]"),
        ([[0, 0.5]], [1], [1, 3], "Expected int64"),
        ([[0, 0]], [1], [-1, 3], "outside of"),
        ([[0, 0]], [1], [1, 4], "has the shape [1, 4]"),
    ],
)
def test_a_sparse_value_that_contradicts_itself_is_refused(
    given: Given, indices: Any, values: Any, shape: Any, says: str
) -> None:
    value = json.dumps({"indices": indices, "values": values, "dense_shape": shape})
    assert says in given("sparse", "--input", value)


@pytest.mark.parametrize(
    ("signature", "array", "expected"),
    [
        ("float", np.array([[1, 2]], np.int64), [[1.0, 2.0]]),
        ("float", np.array([[0.1, 2]], np.float64), [[0.1, 2.0]]),
        ("int", np.array([1, 2], np.float32), [1, 2]),
        ("long", np.array([2**62 + 1], np.uint64), [2**62 + 1]),
        ("words", np.array(["a", "naïve"]), ["a", "naïve"]),
        ("words", np.array([b"a", b"\xff"]), ["a", {"b64": "/w=="}]),
        ("bool", np.array([True, False]), [True, False]),
        ("bool", np.array([1, 0]), [True, False]),
        ("complex", np.array([1 + 2j]), [[1.0, 2.0]]),
        ("int", np.array([1.5]), "1.5 would become another"),
        ("int", np.array([np.nan]), "nan would become another"),
        ("int", np.array([2**31]), "2147483648 would become another"),
        ("long", np.array([2**63], np.uint64), "9223372036854775808 would become another"),
        ("long", np.array([2.0**63]), "would become another"),
        ("byte", np.array([256, 1]), "256 would become another"),
        ("half", np.array([1e5, np.inf]), "100000.0 would become another"),
        ("bool", np.array([2]), "2 would become another"),
        ("float", np.array([["a", "b"]]), "an array of dtype <U1. Expected float32"),
        ("float", np.array([[True, False]]), "an array of dtype bool"),
        ("float", np.array([[1j, 1]]), "an array of dtype complex128"),
        ("words", np.array([1]), "an array of dtype int64"),
        ("float", np.zeros([2, 3], np.float32), "has the shape [2, 3]"),
    ],
)
def test_arrays(given: Given, files: Path, signature: str, array: np.ndarray, expected: Any) -> None:
    np.save("one.npy", array)
    np.savez("several.npz", x=array, other=array[:0])
    for value in ("@one.npy", "@several.npz", "x=@several.npz", "x=@several.npz:x"):
        if value == "@several.npz":
            continue  # which of its arrays is meant is not said
        found = given(signature, "--input", value)
        if isinstance(expected, str):
            assert expected in found
        else:
            assert found == expected


def test_an_archive_with_one_array_needs_no_key(given: Given, files: Path) -> None:
    np.savez("one.npz", whatever=np.array([3]))
    assert given("int", "--input", "@one.npz") == [3]
    np.savez("two.npz", a=np.array([3]), b=np.array([4]))
    assert "Known arrays: 'a', 'b'." in given("int", "--input", "@two.npz")
    assert "has no array 'aa'. Known arrays: 'a', 'b'. Did you mean 'a'?" in given("int", "--input", "x=@two.npz:aa")
    assert given("int", "--input", "x=@two.npz:b") == [4]


def damaged(folder: Path) -> dict[str, Path]:
    """Write files that are not what their names say; return them by what is wrong."""
    np.save(folder / "whole.npy", np.arange(100))
    whole = (folder / "whole.npy").read_bytes()
    header = whole[10:128].replace(b"(100,)", b"(%d,)" % 10**15)[:118]
    made = {
        "cut.npy": whole[:-8],
        "header.npy": whole[:40],
        "huge.npy": whole[:10] + header + whole[128:],
        "empty.npy": b"",
        "text.npy": b"1, 2, 3",
        "empty.npz": b"",
        "text.npz": b"1, 2, 3",
        "single.npz": whole,
        "latin.csv": b"\xff\xfe",
        "ragged.csv": b"1,2\n3\n",
        "nothing.csv": b"",
        "quote.csv": b'"a\n',
        "latin.json": b'"\xff"',
        "cut.json": b"[1, 2",
        "cut.jsonl": b"1\n[2\n",
        "latin.txt": b"\xff",
        "kind.xyz": b"1",
        "cut.png": b"\x89PNG\r\n\x1a\n" + bytes(20),
        "short.png": b"\x89PNG",
        "huge.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2**31 - 1, 2**31 - 1) + bytes(20),
        "text.jpg": b"not an image",
    }
    for name, contents in made.items():
        (folder / name).write_bytes(contents)
    np.save(folder / "pickle.npy", np.array([{}], object), allow_pickle=True)
    np.savez(folder / "pickle.npz", x=np.array([{}], object))
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", whole[:10] + header + whole[128:])
    return {
        name: folder / name for name in [*made, "pickle.npy", "pickle.npz", "bomb.npz", "missing.npy", "missing.jpg"]
    }


def test_damaged_and_hostile_files_are_refused_in_one_line(given: Given, files: Path) -> None:
    for name, path in damaged(files).items():
        for word in (f"@{path}", f"x=@{path}"):
            line = given("images", "--input", word)
            assert isinstance(line, str), name
            assert name in line
            assert len(line) < 700
    for name in ("pickle.npy", "pickle.npz"):
        assert "Python objects (pickle)" in given("int", "--input", f"@{name}")
    assert "cannot be read: No such file or directory" in given("int", "--input", "@missing.npy")
    assert "Kinds, by the end of the name: .npy, .npz" in given("int", "--input", "@kind.xyz")
    assert "does not exist" in given("int", "--input", "@nowhere")
    (files / "folder.npy").mkdir()
    assert "cannot be read" in given("int", "--input", "@folder.npy")


@pytest.mark.parametrize(
    ("signature", "text", "key", "expected"),
    [
        ("float", "1,2\n3,4\n", "", [[1.0, 2.0], [3.0, 4.0]]),
        ("float", "a,b\n1,2.5\n", "", [[1.0, 2.5]]),
        ("float", "\ufeffa,b\n1,2\n\n", "", [[1.0, 2.0]]),
        ("int", "1\n2\n", "", [1, 2]),
        ("int", "a,b\n1,2\n3,4\n", ":b", [2, 4]),
        ("int", "1,2\n3,4\n", ":1", [2, 4]),
        ("any", "a,b\n1,2\n3,4\n", ":b", [2.0, 4.0]),
        ("long", f"{2**53 + 1}\n", "", [2**53 + 1]),
        ("words", 'id,text\n1,a cat\n2,"a, b"\n', ":text", ["a cat", "a, b"]),
        ("int", "a,b\n1,2\n", ":c", "has no column 'c'. Known columns: 'a', 'b'."),
        ("int", "1\n2.5\n", "", "has 2.5. Expected int32"),
        ("float", "1,2\n3,x\n", "", "has the cell 'x', which is no number"),
        ("words", "a cat\na dog\n", "", "choose a column, as @FILE.csv:COLUMN"),
        ("float", "1,2,3\n", "", "has the shape [1, 3]"),
    ],
)
def test_csv(given: Given, files: Path, signature: str, text: str, key: str, expected: Any) -> None:
    Path("a.csv").write_text(text, encoding="utf-8")
    found = given(signature, "--input", f"x=@a.csv{key}")
    if isinstance(expected, str):
        assert expected in found
    else:
        assert found == expected


def test_a_long_field_of_csv_is_refused(given: Given, files: Path) -> None:
    Path("a.csv").write_text("x" * (csv.field_size_limit() + 1))
    assert "is not CSV: field larger than field limit" in given("words", "--input", "@a.csv:0")


@pytest.mark.parametrize(
    ("signature", "name", "text", "expected"),
    [
        ("float", "a.json", "[[1, 2]]", [[1.0, 2.0]]),
        ("float", "a.jsonl", "[1, 2]\n\n[3, 4]\n", [[1.0, 2.0], [3.0, 4.0]]),
        ("words", "a.jsonl", '"a"\n{"b64": "/w=="}\n', ["a", {"b64": "/w=="}]),
        ("words", "a.jsonl", '{"x": "a", "id": 1}\n{"x": "b", "id": 2}\n', ["a", "b"]),
        ("words", "a.txt", "a cat\na dog\n", ["a cat", "a dog"]),
        ("words", "a.jsonl", '{"x": "a"}\n{"y": "b"}\n', "Value 2 of --input x=@a.jsonl is not an object of ['x']"),
        ("words", "a.jsonl", '{"text": "a"}\n', "lack 'x'. Known names: 'text'."),
        ("sparse", "a.jsonl", '{"indices": [[0]], "values": [1], "dense_shape": [1]}\n', "sparse values in lines"),
        ("float", "a.jsonl", "[1, 2]\n[3\n", "line 2 of 'a.jsonl' is not JSON"),
    ],
)
def test_files_of_text(given: Given, files: Path, signature: str, name: str, text: str, expected: Any) -> None:
    Path(name).write_text(text)
    found = given(signature, "--input", f"x=@{name}")
    if isinstance(expected, str):
        assert expected in found
    else:
        assert found == expected


@pytest.mark.parametrize("words", [["--input", "-"], ["--input", "x=-"], ["--inputs-from", "-"]])
def test_stdin(given: Given, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    give_stdin(monkeypatch, b"1\n2\n")
    assert given("int", *words) == [1, 2]
    give_stdin(monkeypatch, b'{"x": 3}\n{"x": 4}\n')
    assert given("int", *words) == [3, 4]


def test_stdin_is_read_once(given: Given) -> None:
    assert "stdin can be read once" in given("int", "--input", "x=-", "--inputs-from", "-")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--input", "x=1", "--input", "x=2"], "The input 'x' is given twice: by --input x=1 and by --input x=2."),
        (["--input", "1", "--input", "2"], "Several values are given without a name"),
        (["--inputs-from", "a.csv"], "Kinds, by the end of the name: .npz, .json, .jsonl"),
        (["--inputs-from", "a.json"], "holds no object with values by input name"),
        (["--inputs-from", "a.npz:in/"], "has a name that begins with 'in/'. Known arrays: 'y'."),
        (["--inputs-from", "half.npz"], "not all of x#indices, #values, #dense_shape"),
        (["--inputs-from", "a.npz"], "There is no input 'y'"),
        ([], "takes inputs that are not given: 'x': int32 [?]. Give them as --input NAME=VALUE."),
    ],
)
def test_what_is_missing_or_too_much_is_named(given: Given, files: Path, words: list[str], says: str) -> None:
    Path("a.csv").write_text("1\n")
    Path("a.json").write_text("[1]")
    np.savez("a.npz", y=np.array([1]))
    np.savez("half.npz", **{"x#indices": np.zeros([0, 2], int)})
    assert says in given("int", *words)


def test_a_sparse_value_of_an_archive(given: Given, files: Path) -> None:
    arrays = {"x#indices": np.array([[0, 1]]), "x#values": np.array([2.0]), "x#dense_shape": np.array([1, 3])}
    np.savez("a.npz", **arrays)
    expected = {"dtype": "float32", "indices": [[0, 1]], "values": [2.0], "dense_shape": [1, 3]}
    assert given("sparse", "--inputs-from", "a.npz") == expected
    assert given("sparse", "--input", "@a.npz") == expected
    np.savez("a.npz", **{f"in/{key}": array for key, array in arrays.items()})
    assert given("sparse", "--inputs-from", "a.npz:in/") == expected
    assert "is a sparse value" in given("any", "--inputs-from", "a.npz:in/")


def test_images(given: Given, files: Path) -> None:
    import tensorflow as tf

    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
    Path("a.png").write_bytes(tf.io.encode_png(pixels).numpy())
    Path("b.jpg").write_bytes(tf.io.encode_jpeg(np.full([8, 12, 3], 255, np.uint8)).numpy())
    Path("c.png").write_bytes(tf.io.encode_png(np.zeros([2, 2, 1], np.uint8)).numpy())

    np.testing.assert_allclose(given("images", "--input", "@a.png"), pixels[None] / 255, rtol=1e-6)
    found = np.array(given("images", "--input", "x=@a.png,@b.jpg,@c.png"))
    assert found.shape == (3, 4, 6, 3)
    assert found.min() == 0.0
    assert np.all(found[1] > 0.99)
    assert np.shape(given("images", "--input", "@*.png")) == (2, 4, 6, 3)
    assert given("gray", "--input", "@c.png") == [[[[0], [0]], [[0], [0]]]]
    assert "images of different sizes (2x2, 4x6)" in given("gray", "--input", "@*.png")
    assert "is an image file, and the input is int32" in given("int", "--input", "@a.png")
    assert "No file matches the pattern '*.bmp'" in given("images", "--input", "@*.bmp")
    Path("d.npy").write_bytes(b"")
    assert "'d.npy' of --input @a.png,@d.npy is no image" in given("images", "--input", "@a.png,@d.npy")


def test_an_input_of_strings_takes_an_image_as_its_bytes(given: Given, files: Path) -> None:
    import base64

    Path("a.png").write_bytes(b"\x89PNG")
    expected = {"b64": base64.b64encode(b"\x89PNG").decode()}
    assert given("words", "--input", "@a.png") == [expected]
    assert given("word", "--input", "@a.png") == expected
