from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import modhub as hub
from tests.cli.command_lines import environment, here, in_a_process, refusal

COMMAND = "export-text-embeddings"
VECTORS = "the 0.5 -1.5 2\nCat 1 2 3\ncat 3 2 1\n"


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS)
    return path


def test_a_line_says_what_was_written(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = here(capsys, COMMAND, vectors, "module")
    assert (done.status, done.out, done.err) == (0, "module: 3 words of 3 dimensions\n", "")
    (variable,) = hub.inspect("module").variables
    assert (variable.name, tuple(variable.shape)) == ("embeddings", (4, 3))


def test_json(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors.write_text(VECTORS + "cat 4 5 nan\nthe 1 1 1\nend 0 0 inf\n")
    done = here(capsys, COMMAND, vectors, "module", "--duplicates", "first", "--json")
    assert done.status == 0
    assert json.loads(done.out) == {
        "path": "module",
        "words": 4,
        "dimension": 3,
        "repeated": 2,
        "not_finite": 1,
    }
    assert done.err.splitlines() == [
        "modhub: warning: 1 of the vectors have a nan or infinity, and so has each text with such a word."
    ]


def test_the_module_embeds_texts(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--lowercase", "--combiner", "mean", "--num-oov-buckets", "0", "--dtype", "float16", "--max-words", "3"]
    assert here(capsys, COMMAND, vectors, "module", "--format", "glove", *options).status == 0
    done = here(capsys, "run-signature", "module", "--json", "--input", '["The CAT!", "", "dog"]')
    assert json.loads(done.out)["outputs"]["default"]["values"] == [[1.75, 0.25, 1.5], [0, 0, 0], [0, 0, 0]]


def test_options_of_signatures_and_training(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        here(capsys, COMMAND, vectors, "words", "--no-preprocess", "--no-tokens-signature", "--no-trainable").status
        == 0
    )
    inspected = json.loads(here(capsys, "inspect", "words", "--json").out)
    (variant,) = inspected["variants"]
    assert [each["name"] for each in variant["signatures"]] == ["default"]
    assert [each["name"] for each in variant["signatures"][0]["inputs"]] == ["tokens"]
    assert variant["trainable"] == []
    assert here(capsys, COMMAND, vectors, "both").status == 0
    (variant,) = json.loads(here(capsys, "inspect", "both", "--json").out)["variants"]
    assert [each["name"] for each in variant["signatures"]] == ["default", "tokens"]
    assert variant["trainable"] == ["embeddings"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.txt", "module"], "'none.txt' does not exist"),
        (["vectors.txt", "there"], "exists; it was left as it is"),
        (["vectors.txt", "module", "--combiner", "men"], "Did you mean 'mean'?"),
        (["vectors.txt", "module", "--no-preprocess", "--combiner", "sum"], "has no effect"),
        (["vectors.txt", "module", "--dtype", "int8"], "float16"),
        (["vectors.txt", "module", "--format", "glov"], "Did you mean 'glove'?"),
        (["vectors.txt", "module", "--format", "word2vec"], "line 1"),
        (["vectors.txt", "module", "--duplicates", "fist"], "Did you mean 'first'?"),
        (["vectors.txt", "module", "--num-oov-buckets", "-1"], "Invalid value"),
        (["vectors.txt", "module", "--num-oov-buckets", str(10**18)], "at most 16777216"),
        (["vectors.txt", "module", "--max-words", "0"], "Invalid value"),
        (["vectors.txt"], "Missing argument 'EXPORT_DIR'"),
        (["short.txt", "module"], "'short.txt', line 2"),
    ],
)
def test_refusals(vectors: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    Path("there").mkdir()
    Path("short.txt").write_text("a 1 2\nb 1\n")
    assert said in refusal(here(capsys, COMMAND, *words))
    assert sorted(path.name for path in vectors.parent.iterdir()) == ["short.txt", "there", "vectors.txt"]


def test_tensorflow_is_not_needed(vectors: Path) -> None:
    done = in_a_process(COMMAND, str(vectors), "module", hidden=("tensorflow", "rich", "pandas"))
    assert (done.status, done.out, done.err) == (0, "module: 3 words of 3 dimensions\n", "")


def test_pyarrow_is_not_needed(vectors: Path) -> None:
    done = in_a_process(COMMAND, str(vectors), "module", hidden=("pyarrow",))
    assert (done.status, done.out) == (0, "module: 3 words of 3 dimensions\n")
    assert in_a_process(COMMAND, str(vectors), "other").status == 0
    assert hub.diff("module", "other").same


def test_names_cannot_act_on_the_terminal(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in here(capsys, COMMAND, vectors, "\x1b[31m").out


def test_ctrl_c_leaves_nothing_behind(vectors: Path) -> None:
    with vectors.open("w") as file:
        for number in range(100_000):
            file.write(f"word{number} {'0.12345 ' * 100}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "modhub", COMMAND, str(vectors), "module"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    while not [name for name in os.listdir(".") if name.endswith(".partial")] and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, b"", b"")
    assert os.listdir(".") == ["vectors.txt"]
