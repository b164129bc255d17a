from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command_lines import refusal
from tests.goldens.golden_files import golden

Command = Callable[..., Any]


def saved(command: Command, echo: str, signature: str, value: str, target: str, *options: str) -> Any:
    """Give a value to an echo, and save what comes back."""
    before = sorted(os.listdir())
    done = command("run-signature", echo, "-s", signature, "--input", f"x={value}", "-o", target, *options)
    if done.status:
        assert sorted(os.listdir()) == before
        return refusal(done)
    assert sorted(os.listdir()) == sorted({*before, target})
    return Path(target).read_bytes() if target.endswith(("l", "csv")) else None


@pytest.mark.parametrize("kind", [".npz", ".npy"])
def test_arrays_come_back(echo: str, files: Path, command: Command, kind: str) -> None:
    for signature, value, dtype in [
        ("echo_float", "[[1, 2]]", "float32"),
        ("echo_bool", "[true]", "bool"),
        ("echo_word", "cat", "|S3"),
        ("echo_words", '["a cat", ""]', "|S5"),
        ("echo_bfloat16", "[1.5]", "float32"),
    ]:
        saved(command, echo, signature, value, f"found{kind}", "--force")
        found = np.load(f"found{kind}", allow_pickle=False)
        array = found["default"] if kind == ".npz" else found
        assert str(array.dtype) == dtype
        again = command(
            "run-signature",
            echo,
            "-s",
            signature,
            "--input",
            f"x=@found{kind}{':default' * (kind == '.npz')}",
            "--json",
        )
        assert again.status == 0, again.err
        expected = command("run-signature", echo, "-s", signature, "--input", f"x={value}", "--json")
        assert json.loads(again.out) == json.loads(expected.out)


def test_sparse_and_ragged_outputs_are_several_arrays(echo: str, files: Path, command: Command) -> None:
    value = {"indices": [[0, 2]], "values": [1.5], "dense_shape": [1, 3]}
    saved(command, echo, "echo_sparse", json.dumps(value), "sparse.npz")
    assert {key: array.tolist() for key, array in golden(Path("sparse.npz")).items()} == {
        f"default#{key}": each for key, each in value.items()
    }
    again = command("run-signature", echo, "-s", "echo_sparse", "--input", "x=@sparse.npz:default", "--json")
    assert json.loads(again.out)["outputs"]["default"] == {"dtype": "float32", **value}
    saved(command, echo, "echo_ragged", "[[1], [2, 3]]", "ragged.npz")
    assert {key: array.tolist() for key, array in golden(Path("ragged.npz")).items()} == {
        "default#values": [1, 2, 3],
        "default#row_splits_0": [0, 1, 3],
    }


@pytest.mark.parametrize(
    ("signature", "value", "target", "expected"),
    [
        ("echo_float", "[[1, 2], [0.1, 4]]", "a.jsonl", '{"default": [1.0, 2.0]}\n{"default": [0.1, 4.0]}\n'),
        (
            "echo_words",
            '["a \\u001b", {"b64": "/w=="}]',
            "a.jsonl",
            '{"default": "a \\u001b"}\n{"default": {"b64": "/w=="}}\n',
        ),
        ("echo_ragged", "[[1], [2, 3]]", "a.jsonl", '{"default": [1]}\n{"default": [2, 3]}\n'),
        ("echo_ragged", "[]", "a.jsonl", ""),
        ("echo_float", "[[1, 2], [0.1, 4]]", "a.csv", "default_0,default_1\n1.0,2.0\n0.1,4.0\n"),
        ("echo_words", '["a, \\"b\\"", "c"]', "a.csv", 'default\n"a, ""b"""\nc\n'),
        ("echo_int", "[]", "a.csv", "default\n"),
    ],
)
def test_files_of_rows(
    echo: str, files: Path, command: Command, signature: str, value: str, target: str, expected: str
) -> None:
    assert saved(command, echo, signature, value, target).decode() == expected


@pytest.mark.parametrize(
    ("signature", "value", "target", "says"),
    [
        ("echo_double", "1", "a.jsonl", "same number of rows, and none that is sparse"),
        ("echo_sparse", '{"indices": [], "values": [], "dense_shape": [1, 3]}', "a.csv", "none that is sparse"),
        ("echo_sparse", '{"indices": [], "values": [], "dense_shape": [1, 3]}', "a.npy", "one dense array"),
        ("echo_ragged", "[[1]]", "a.csv", "one or two dimensions"),
        ("echo_any", "[[[1]]]", "a.csv", "one or two dimensions"),
        ("echo_words", '["a\\u0000"]', "a.npz", "end with a zero byte"),
        ("echo_int", "[1]", "a.txt", "Known ends: '.csv', '.jsonl', '.npy', '.npz'."),
        ("echo_int", "[1]", "no/a.npz", "there is no folder 'no'"),
        ("echo_int", "[1]", ".", "says no kind of file"),
    ],
)
def test_what_a_file_cannot_have_is_refused_and_leaves_nothing(
    echo: str, files: Path, command: Command, signature: str, value: str, target: str, says: str
) -> None:
    assert says in saved(command, echo, signature, value, target)


def test_several_outputs_are_not_one_array(echo: str, files: Path, command: Command) -> None:
    words = ["run-signature", echo, "-s", "pair", "--input", "a=[1, 2]", "--input", "b=[3, 4]"]
    assert "choose one with --outputs" in command(*words, "-o", "a.npy").err
    assert command(*words, "-o", "a.npy", "--outputs", "sum").status == 0
    assert np.load("a.npy").tolist() == [4.0, 6.0]


@pytest.mark.parametrize("target", ["a.npz", "link.npz"])
def test_what_exists_is_kept_unless_forced(echo: str, files: Path, command: Command, target: str) -> None:
    Path("a.npz").write_bytes(b"mine")
    Path("link.npz").symlink_to("nowhere.npz")
    assert "exists: --force overwrites it." in saved(command, echo, "echo_int", "[1]", target)
    assert Path("a.npz").read_bytes() == b"mine"
    saved(command, echo, "echo_int", "[1]", target, "--force")
    assert golden(Path(target))["default"].tolist() == [1]
    Path("folder.npz").mkdir()
    assert "it is a folder" in saved(command, echo, "echo_int", "[1]", "folder.npz", "--force")


def test_a_failed_write_keeps_what_was_there(
    echo: str, files: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    Path("a.npz").write_bytes(b"mine")
    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert "'a.npz' cannot be written: No space left on device." in saved(
        command, echo, "echo_int", "[1]", "a.npz", "--force"
    )
    assert Path("a.npz").read_bytes() == b"mine"


def test_an_output_may_have_any_name(files: Path) -> None:
    from modhub.cli.running.results import as_result
    from modhub.cli.running.saving import save

    arrays = {name: np.array([index]) for index, name in enumerate(["file", "../up", "a/b", "naïve", "a#indices"])}
    save("a.npz", {name: as_result(array) for name, array in arrays.items()}, force=False)
    assert golden(Path("a.npz")) == arrays


def test_json_or_a_file(echo: str, files: Path, command: Command) -> None:
    done = command("run-signature", echo, "--json", "-o", "a.npz")
    assert (done.status, done.err.splitlines()[-1]) == (2, "try: modhub run-signature --help")
