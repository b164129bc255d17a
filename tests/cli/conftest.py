"""A module whose signatures give back what they are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a module with a signature `echo_X` for each kind X of input, and some others."""
    import tensorflow as tf

    import modhub as hub
    from tests.constructions import publish, v1

    def module_fn() -> None:
        def placeholder(dtype: tf.DType, *shape: int | None) -> Any:
            return v1.placeholder(dtype, shape)

        for name, x in {
            "float": placeholder(tf.float32, None, 2),
            "half": placeholder(tf.float16, None),
            "bfloat16": placeholder(tf.bfloat16, None),
            "double": placeholder(tf.float64),
            "int": placeholder(tf.int32, None),
            "long": placeholder(tf.int64, None),
            "unsigned": placeholder(tf.uint64, None),
            "byte": placeholder(tf.uint8, None),
            "bool": placeholder(tf.bool, None),
            "complex": placeholder(tf.complex64, None),
            "words": placeholder(tf.string, None),
            "word": placeholder(tf.string),
            "any": v1.placeholder(tf.float32),
            "sparse": v1.sparse_placeholder(tf.float32, [None, 3]),
            "sparse_words": v1.sparse_placeholder(tf.string, [None, None]),
            "ragged": v1.ragged.placeholder(tf.int64, 1, []),
            "images": placeholder(tf.float32, None, 4, 6, 3),
            "gray": placeholder(tf.uint8, None, None, None, 1),
        }.items():
            hub.add_signature(
                f"echo_{name}", inputs={"x": x}, outputs=tf.nest.map_structure(tf.identity, x, expand_composites=True)
            )

        x, scale = placeholder(tf.float32, None), v1.placeholder_with_default(2.0, [])
        fails = tf.debugging.Assert(False, ["this output was computed"])
        with tf.control_dependencies([fails]):
            failing = tf.identity(x)
        hub.add_signature(
            "several",
            inputs={"x": x, "scale": scale},
            outputs={
                "default": x * scale,
                "sum": tf.reduce_sum(x),
                "sparse": tf.sparse.from_dense(x),
                "failing": failing,
            },
        )
        a, b = placeholder(tf.float32, None), placeholder(tf.float32, None)
        hub.add_signature("pair", inputs={"a": a, "b": b}, outputs={"sum": a + b, "count": tf.size(a)})
        ids = placeholder(tf.int64, None)
        hub.add_signature("row", inputs={"ids": ids}, outputs=tf.gather(tf.constant([1.0, 2.0]), ids))
        hub.add_signature("constant", inputs={}, outputs=tf.constant([1.0]))

    return publish(module_fn, tmp_path_factory.mktemp("echo") / "module")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command line of words in this process."""
    from tests.cli.command_lines import here

    return lambda *args: here(capsys, *args)


@pytest.fixture
def given(command: Callable[..., Any], echo: str) -> Callable[..., Any]:
    """Give a value to a signature of `echo`; return it as it arrived, or the line that refuses it."""
    import json

    from tests.cli.command_lines import refusal

    def give(signature: str, *words: str) -> Any:
        done = command("run-signature", echo, "--signature", f"echo_{signature}", "--json", *words)
        assert (done.status == 0) == (done.err == ""), done
        if done.status:
            return refusal(done)
        output = json.loads(done.out)["outputs"]["default"]
        return output if "dense_shape" in output else output["values"]

    return give


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
