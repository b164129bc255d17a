"""From a source of word vectors to a module directory, whole or not there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modhub as hub
from modhub.errors import ExportError, ExportExistsError, HandleNotFoundError, InvalidArgumentError
from modhub.export.text import telling as telling_file
from modhub.export.text.exporting import export_text_embeddings
from modhub.export.text.telling import telling
from modhub.format import BUNDLE, read_bundle

GLOVE = "red 1.0 -0.5\n. . . 0.25 1e-3\nblue -0.0 1\n"
VALUES = np.array([[1.0, -0.5], [0.25, 1e-3], [-0.0, 1.0]], np.float32)
FILES = [
    "assets/tokens.txt",
    "saved_model.pb",
    "tfhub_module.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
]


@pytest.fixture
def glove(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(GLOVE)
    return path


def files(module: Path) -> dict[str, bytes]:
    return {str(path.relative_to(module)): path.read_bytes() for path in sorted(module.rglob("*")) if path.is_file()}


def test_what_a_module_is_made_of(glove: Path, tmp_path: Path) -> None:
    module = tmp_path / "deep" / "module"
    written = export_text_embeddings(glove, module, num_oov_buckets=2)
    assert (written.words, written.dimension, written.repeated, written.not_finite) == (3, 2, 0, 0)
    found = files(module)
    assert sorted(found) == FILES
    assert found["assets/tokens.txt"] == b"red\n. . .\nblue\n"
    assert found["tfhub_module.pb"] == b"\x08\x03"
    expected = np.concatenate([VALUES, np.zeros([2, 2], np.float32)])
    assert found["variables/variables.data-00000-of-00001"] == expected.tobytes()
    (entry,) = read_bundle(module / BUNDLE).entries.items()
    assert (entry[0], entry[1].shape, entry[1].dtype) == ("embeddings", (5, 2), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "vectors.txt"]
    assert [path.name for path in module.parent.iterdir()] == ["module"]


def test_the_same_vectors_give_the_same_bytes(glove: Path, tmp_path: Path) -> None:
    export_text_embeddings(str(glove), str(tmp_path / "a"))
    export_text_embeddings((["red", b". . .", "blue"], VALUES), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    export_text_embeddings((["red", ". . .", "green"], VALUES), tmp_path / "c")
    changed = files(tmp_path / "c")
    # the table is called by its words: TensorFlow's loader shares tables of one name
    assert [name for name, data in files(tmp_path / "a").items() if changed[name] != data] == FILES[:2]


def test_options_reach_what_is_written(glove: Path, tmp_path: Path) -> None:
    glove.write_text(GLOVE + "red 7 7\n")
    module = tmp_path / "module"
    written = export_text_embeddings(glove, module, duplicates="first", dtype="float16", num_oov_buckets=0)
    assert (written.words, written.repeated) == (3, 1)
    (variable,) = hub.inspect(module).variables
    assert (variable.dtype, tuple(variable.shape)) == ("float16", (3, 2))
    few = tmp_path / "few"
    assert export_text_embeddings(glove, few, max_words=2, format="glove").words == 2
    assert files(few)["assets/tokens.txt"] == b"red\n. . .\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"combiner": "max"}, "Known combiners: 'mean', 'sqrtn', 'sum'."),
        ({"combiner": None}, "Known combiners"),
        ({"combiner": "mean", "preprocess": False}, "has no effect"),
        ({"num_oov_buckets": -1}, "num_oov_buckets"),
        ({"num_oov_buckets": True}, "num_oov_buckets"),
        ({"num_oov_buckets": 2**24 + 1}, "at most 16777216"),
        ({"dtype": "bfloat16"}, "float16"),
        ({"duplicates": "last"}, "first"),
        ({"format": "csv"}, "glove"),
        ({"max_words": 0}, "max_words"),
        ({"preprocess": "no"}, "preprocess='no' is neither True nor False"),
        ({"lowercase": None}, "lowercase=None"),
        ({"trainable": 0}, "trainable=0"),
        ({"tokens_signature": "tokens"}, "tokens_signature='tokens'"),
    ],
)
def test_options_that_are_not_accepted(glove: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        export_text_embeddings(glove, tmp_path / "module", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.txt"]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("none.txt", HandleNotFoundError),
        (".", InvalidArgumentError),
        ("https://example.com/vectors.txt", InvalidArgumentError),
        (None, InvalidArgumentError),
        (("red", [[1.0]]), InvalidArgumentError),
        ((["red"], [[1.0], [2.0]]), InvalidArgumentError),
        ((["red", "red"], [[1.0], [2.0]]), InvalidArgumentError),
    ],
)
def test_sources_that_are_none(
    tmp_path: Path, source: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        export_text_embeddings(source, "module")
    assert list(tmp_path.iterdir()) == []


def test_a_url_is_no_path(glove: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgumentError, match="'gs://bucket/module' is no path on this machine"):
        export_text_embeddings(glove, "gs://bucket/module")
    with pytest.raises(InvalidArgumentError, match=r"'https://example\.com/vectors\.txt' is no path .* Download"):
        export_text_embeddings("https://example.com/vectors.txt", "module")
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.txt"]


def test_a_bad_line_leaves_nothing_behind(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("red 1 2\ngreen 1 2\nblue 1\n")
    with pytest.raises(InvalidArgumentError, match="line 3"):
        export_text_embeddings(vectors, tmp_path / "new" / "module")
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.txt"]


def test_what_is_there_is_left_as_it_is(glove: Path, tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "notes").write_text("mine")
    with pytest.raises(ExportExistsError):
        export_text_embeddings(glove, tmp_path / "module")
    assert files(tmp_path / "module") == {"notes": b"mine"}


@pytest.mark.parametrize("path", ["vectors.txt/module", None, 3, "a\0b"])
def test_paths_that_are_none(glove: Path, path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(glove.parent)
    with pytest.raises((ExportError, InvalidArgumentError)):
        export_text_embeddings(glove, path)
    assert [path.name for path in glove.parent.iterdir()] == ["vectors.txt"]


def test_tensorflow_is_never_imported(glove: Path, tmp_path: Path) -> None:
    code = (
        "import sys, json\n"
        "from modhub.export.text.exporting import export_text_embeddings\n"
        "early = sorted({'numpy', 'rich', 'pyarrow', 'requests', 'importlib.metadata'} & set(sys.modules))\n"
        f"export_text_embeddings({str(glove)!r}, {str(tmp_path / 'module')!r})\n"
        "print(json.dumps([early, sorted({'tensorflow', 'keras', 'pandas', 'requests'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [[], []]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    """Return what is said of an export of 40 MB, or of so many words, with 6 seconds between two steps."""
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(sys, "stderr", stream)
    if not stream.isatty():
        monkeypatch.setattr(telling_file.time, "monotonic", lambda: next(clock))
    with telling("[v].txt", 40_000_000, **options) as tell:
        tell(12_500_000)
        tell(40_000_000)
    return stream.getvalue()


def test_how_far_it_is_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(io.StringIO(), monkeypatch, in_bytes=True, progress=True).splitlines() == [
        "Exporting [v].txt: 12.5 of 40.0 MB (31%)",
        "Exporting [v].txt: 40.0 of 40.0 MB (100%)",
    ]
    assert told(io.StringIO(), monkeypatch, in_bytes=False, progress=True).splitlines()[0] == (
        "Exporting [v].txt: 12500000 of 40000000 words (31%)"
    )


@pytest.mark.parametrize("in_bytes", [True, False])
def test_how_far_it_is_in_a_bar(monkeypatch: pytest.MonkeyPatch, in_bytes: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    shown = told(Terminal(), monkeypatch, in_bytes=in_bytes, progress=None)
    assert "[v].txt" in shown
    assert "\x1b[" in shown
    assert ("40.0/40.0 MB" if in_bytes else "40000000/40000000") in shown


def test_nothing_is_said_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(io.StringIO(), monkeypatch, in_bytes=True, progress=None) == ""
    assert told(Terminal(), monkeypatch, in_bytes=True, progress=False) == ""


def test_an_export_says_how_far_it_is(glove: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    export_text_embeddings(glove, tmp_path / "a")
    assert f"{len(GLOVE)}/{len(GLOVE)} bytes" in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    export_text_embeddings((["red", "blue"], VALUES[:2]), tmp_path / "b")
    assert "2/2" in terminal.getvalue()
