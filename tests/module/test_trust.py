from __future__ import annotations

import hashlib
import shutil
import warnings
from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from tests.constructions import affine

v1 = tf.compat.v1


def writes_a_file(target: Path) -> hub.ModuleSpec:
    """x -> x, and a file beside it."""

    def module_fn() -> None:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        with tf.control_dependencies([tf.io.write_file(str(target), "written")]):
            hub.add_signature(inputs=x, outputs=tf.identity(x))

    return hub.create_module_spec(module_fn)


@pytest.fixture
def writer(tmp_path: Path) -> Path:
    """The directory of a module that writes a file when it is applied."""
    writes_a_file(tmp_path / "trace").export(str(tmp_path / "writer"))
    return tmp_path / "writer"


@pytest.fixture
def url(writer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL under which tensorflow_hub has that module in its cache."""
    monkeypatch.delenv("MODHUB_TRUST", raising=False)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    handle = "https://example.com/writer/1"
    shutil.copytree(writer, tmp_path / "cache" / hashlib.sha1(handle.encode()).hexdigest())
    return handle


def test_a_url_that_tensorflow_hub_downloaded_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: tf.Graph
) -> None:
    handle = "https://example.com/affine/1"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    hub.create_module_spec(affine).export(str(tmp_path / hashlib.sha1(handle.encode()).hexdigest()))
    assert sorted(hub.Module(handle).variable_map) == ["b", "w"]
    assert hub.inspect(handle).handle == handle


def test_a_url_with_a_refusable_finding_is_not_loaded(url: str, tmp_path: Path) -> None:
    with pytest.raises(hub.errors.UntrustedModuleError, match=r"WriteFile.*trust=True.*modhub scan"):
        hub.load_module_spec(url)
    with pytest.raises(PermissionError), tf.Graph().as_default():
        hub.Module(url)
    with pytest.raises(hub.errors.UntrustedModuleError):
        hub.load(url)
    with pytest.raises(hub.errors.UntrustedModuleError):
        hub.KerasLayer(url)
    assert not (tmp_path / "trace").exists()


def test_trust_loads_it(url: str, tmp_path: Path) -> None:
    hub.load(url, trust=True)(tf.ones([1, 2]))
    assert (tmp_path / "trace").read_text() == "written"
    hub.KerasLayer(url, trust=True)
    with tf.Graph().as_default():
        hub.Module(url, trust=True)


@pytest.mark.parametrize("value", ["1", "all", "https://other.example, https://example.com/"])
def test_the_environment_can_trust(url: str, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MODHUB_TRUST", value)
    assert hub.load_module_spec(url).get_signature_names() == ["default"]


def test_the_caller_can_refuse_what_the_environment_trusts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_TRUST", "1")
    with pytest.raises(hub.errors.UntrustedModuleError):
        hub.load_module_spec(url, trust=False)


@pytest.mark.parametrize("value", ["", "0", "https://other.example", ","])
def test_the_environment_trusts_what_it_names(url: str, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MODHUB_TRUST", value)
    with pytest.raises(hub.errors.UntrustedModuleError):
        hub.load_module_spec(url)


def test_a_local_path_warns(writer: Path) -> None:
    with pytest.warns(hub.errors.UnsafeModuleWarning, match="WriteFile"):
        hub.load_module_spec(writer)
    with pytest.raises(hub.errors.UntrustedModuleError):
        hub.load_module_spec(writer, trust=False)


def test_a_trusted_local_path_does_not(writer: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hub.load_module_spec(writer, trust=True)


def test_a_tf2_saved_model_is_scanned_too(tmp_path: Path) -> None:
    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def __call__(self, text: tf.Tensor) -> tf.Tensor:
            tf.io.write_file(str(tmp_path / "trace"), text)
            return text

    tf.saved_model.save(Writer(), str(tmp_path / "model"))
    with pytest.warns(hub.errors.UnsafeModuleWarning, match="WriteFile"):
        hub.load(tmp_path / "model")
    with pytest.raises(hub.errors.UntrustedModuleError):
        hub.load(tmp_path / "model", trust=False)


def test_trust_is_a_bool(writer: Path) -> None:
    with pytest.raises(hub.errors.InvalidArgumentError, match="'yes'"):
        hub.load_module_spec(writer, trust="yes")  # type: ignore[arg-type]
