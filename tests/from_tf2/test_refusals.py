"""What export_module refuses, in which words; and that it leaves nothing behind then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import modhub as hub
from modhub import errors

NUMBER = tf.TensorSpec([])


def double(x: Any) -> Any:
    return 2.0 * x


def calls_python(x: Any) -> Any:
    return tf.py_function(lambda value: value, [x], tf.float32)


def calls_numpy_in_a_branch(x: Any) -> Any:
    return tf.cond(x > 0.0, lambda: tf.numpy_function(lambda value: value, [x], tf.float32), lambda: x)


def fails(_: Any) -> Any:
    raise KeyError("missing")


def with_two_traces() -> Any:
    function = tf.function(double)
    function(tf.constant(1.0))
    function(tf.constant([1.0]))
    return function


def with_a_table() -> Any:
    values = tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1], tf.int64))
    table = tf.lookup.StaticHashTable(values, -1)
    return tf.function(lambda x: table.lookup(tf.as_string(x)), input_signature=[NUMBER])


class Dense(tf.Module):
    """A table that cannot be created without an input."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.lookup.experimental.DenseHashTable(tf.string, tf.int64, -1, "", "gone")

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def __call__(self, x: Any) -> Any:
        return self.table.lookup(x)


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (lambda: double, {}, errors.InvalidArgumentError, "'default' takes is not known. Pass inputs="),
        (lambda: tf.function(double), {}, errors.InvalidArgumentError, "give the function an input_signature"),
        (with_two_traces, {}, errors.InvalidArgumentError, "several kinds of inputs"),
        (lambda: double, {"inputs": [3]}, errors.InvalidArgumentError, "inputs= takes a tf.TensorSpec .*3 is none"),
        (tf.Module, {"inputs": NUMBER}, errors.InvalidArgumentError, "has no __call__"),
        (tf.Module, {}, errors.ModuleDefinitionError, "has no functions"),
        (lambda: object, {"signatures": {}}, errors.InvalidArgumentError, "names no function"),
        (tf.Module, {"signatures": {"default": 3}}, errors.InvalidArgumentError, "'default' is given as 3"),
        (
            lambda: double,
            {"signatures": {"default": double}, "inputs": NUMBER},
            errors.InvalidArgumentError,
            "get_concrete_function",
        ),
        (
            lambda: lambda a, b: a + b,
            {"inputs": [tf.TensorSpec([], name="x"), tf.TensorSpec([], name="x")]},
            errors.InvalidArgumentError,
            "the same name",
        ),
        (lambda: calls_python, {"inputs": NUMBER}, errors.ModuleDefinitionError, "calls Python .*EagerPyFunc"),
        (lambda: calls_numpy_in_a_branch, {"inputs": NUMBER}, errors.ModuleDefinitionError, "calls Python .*PyFunc"),
        (lambda: fails, {"inputs": NUMBER}, errors.ModuleDefinitionError, "(?s)'default' fails .*missing"),
        (lambda: lambda x: None, {"inputs": NUMBER}, errors.ModuleDefinitionError, "returns nothing"),
        (lambda: lambda x: {}, {"inputs": NUMBER}, errors.ModuleDefinitionError, "returns nothing"),
        (with_a_table, {}, errors.ModuleDefinitionError, "make it an attribute of a tf.Module"),
        (Dense, {}, errors.ModuleDefinitionError, "'table' is a DenseHashTable, which a module cannot hold"),
        (
            lambda: double,
            {"signatures": {"a b": tf.function(double, input_signature=[NUMBER])}},
            errors.ModuleDefinitionError,
            "'a b' is illegal",
        ),
    ],
)  # fmt: skip
def test_refused(
    tmp_path: Path, make: Callable[[], Any], options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        hub.export_module(make(), tmp_path / "new" / "module", **options)
    assert isinstance(caught.value, errors.ModhubError)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target(tmp_path: Path) -> None:
    (tmp_path / "module").mkdir()
    with pytest.raises(errors.ExportExistsError):
        hub.export_module(double, tmp_path / "module", inputs=NUMBER)
    assert list((tmp_path / "module").iterdir()) == []


@pytest.mark.parametrize("inside", [lambda call: tf.function(call, autograph=False)(), lambda call: _in_a_graph(call)])
def test_a_graph(tmp_path: Path, inside: Callable[[Callable[[], Any]], Any]) -> None:
    def call() -> Any:
        hub.export_module(double, tmp_path / "module", inputs=NUMBER)
        return np.float32(1.0)

    with pytest.raises(errors.GraphError, match=r"hub\.create_module_spec"):
        inside(call)
    assert list(tmp_path.iterdir()) == []


def _in_a_graph(call: Callable[[], Any]) -> None:
    with tf.Graph().as_default():
        call()


def test_a_loss_that_fails(tmp_path: Path) -> None:
    class Broken(tf.Module):
        regularization_losses = [lambda: fails(0)]  # noqa: RUF012

        @tf.function(input_signature=[NUMBER])
        def __call__(self, x: Any) -> Any:
            return x

    with pytest.raises(errors.ModuleDefinitionError, match=r"regularization losses of .*Broken fail"):
        hub.export_module(Broken(), tmp_path / "module")


def test_a_missing_asset(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\n")

    class Reader(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.asset = tf.saved_model.Asset(str(tmp_path / "words.txt"))

        @tf.function(input_signature=[])
        def __call__(self) -> Any:
            return tf.io.read_file(self.asset.asset_path)

    reader = Reader()
    (tmp_path / "words.txt").unlink()
    with pytest.raises(errors.MissingAssetError, match=r"words\.txt"):
        hub.export_module(reader, tmp_path / "module")
