"""install_as_tensorflow_hub: the name tensorflow_hub leads to modhub."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import modhub
from modhub import errors
from modhub.compat import install_as_tensorflow_hub
from tests.cli.command_lines import environment

# What `dir(tensorflow_hub.X)` lists of tensorflow_hub 0.15.0 and is public in modhub.
IMPORTS = """
from tensorflow_hub import *
from tensorflow_hub import Module
from tensorflow_hub import ImageModuleInfo, eval_function_for_module, lint
from tensorflow_hub.estimator import LatestModuleExporter, register_module_for_export
from tensorflow_hub.feature_column import image_embedding_column, sparse_text_embedding_column, text_embedding_column
from tensorflow_hub.feature_column_v2 import text_embedding_column_v2
from tensorflow_hub.image_module_info_pb2 import ImageModuleInfo
from tensorflow_hub.image_util import get_expected_image_size, get_image_module_info, get_num_image_channels
from tensorflow_hub.keras_layer import KerasLayer
from tensorflow_hub.module import Module, eval_function_for_module, load_module_spec
from tensorflow_hub.module_spec import ModuleSpec
from tensorflow_hub.module_v2 import load, resolve
from tensorflow_hub.native_module import add_signature, attach_message, create_module_spec
from tensorflow_hub.saved_model_module import create_module_spec_from_saved_model
from tensorflow_hub.tensor_info import ParsedTensorInfo
from tensorflow_hub.version import __version__
import tensorflow_hub
import tensorflow_hub as hub
import tensorflow_hub.keras_layer as keras_layer
"""


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave nothing of the name behind."""
    finders = list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow_hub"]:
        del sys.modules[name]


@pytest.mark.parametrize("statement", IMPORTS.split("\n")[1:-1])
def test_an_import_of_old_code_gives_what_modhub_has(statement: str) -> None:
    install_as_tensorflow_hub()
    scope: dict[str, object] = {}
    exec(statement, scope)
    del scope["__builtins__"]
    assert scope
    for name, value in scope.items():
        if name in modhub.__all__ and name != "__version__":
            assert value is getattr(modhub, name)
        assert value is not None


def test_every_public_name_of_tensorflow_hub_is_there() -> None:
    hub = install_as_tensorflow_hub()
    assert len(hub.__all__) == 20
    for name in hub.__all__:
        found = getattr(hub, name)
        assert found.__module__.startswith(("modhub.", "__main__")) or name == "ImageModuleInfo"
        assert name not in modhub.__all__ or found is getattr(modhub, name)
    assert set(hub.__all__) <= set(dir(hub))


def test_a_star_needs_no_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    hidden = "tensorflow_estimator"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == hidden else find(name))
    assert set(install_as_tensorflow_hub().__all__) < set(modhub.__all__)


def test_it_is_one_module_however_often_it_is_installed() -> None:
    hub = install_as_tensorflow_hub()
    before = list(sys.meta_path)
    assert install_as_tensorflow_hub() is hub is importlib.import_module("tensorflow_hub")
    assert sys.meta_path == before


def test_the_version_is_that_of_the_api_and_says_whose_it_is() -> None:
    version = install_as_tensorflow_hub().__version__
    assert version == f"0.12.0+modhub.{modhub.__version__}"
    packaging = pytest.importorskip("packaging.version")
    assert packaging.Version("0.12.0") <= packaging.Version(version) < packaging.Version("0.13.0")


def test_it_behaves_as_modules_do() -> None:
    hub = install_as_tensorflow_hub()
    spec = importlib.util.find_spec("tensorflow_hub")
    assert spec is not None
    assert (spec.name, spec.origin) == ("tensorflow_hub", modhub.__file__)
    assert importlib.util.find_spec("tensorflow_hub.keras_layer") is not None
    assert importlib.reload(hub) is hub
    assert hub.Module is modhub.Module
    assert isinstance(hub, ModuleType)
    assert "tensorflow_hub" in repr(hub)
    assert pickle.loads(pickle.dumps(hub.Module)) is modhub.Module
    assert not hasattr(hub, "__wrapped__")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("tensorflow_hub")


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("import tensorflow_hub.tools", "tensorflow_hub.tools is not there under modhub. make_image_classifier"),
        ("from tensorflow_hub import tools", "tensorflow_hub.tools is not there under modhub. make_image_classifier"),
        ("from tensorflow_hub import KerasLayers", "Did you mean 'KerasLayer'?"),
        ("import tensorflow_hub.resolver", "modhub.resolve fetches modules; hub.configure and the environment"),
        ("from tensorflow_hub.registry import MultiImplRegister", "an entry point"),
        ("import tensorflow_hub.no_such_file", "Known names: 'ImageModuleInfo', 'KerasLayer', "),
        ("from tensorflow_hub.keras_layer import KerasLayers", "cannot import name 'KerasLayers'"),
    ],
)
def test_an_import_of_what_is_not_there_says_so(statement: str, says: str) -> None:
    install_as_tensorflow_hub()
    with pytest.raises(ImportError) as caught:
        exec(statement)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("hub.KerasLayers", "tensorflow_hub.KerasLayers is not there under modhub. .* Did you mean 'KerasLayer'"),
        ("hub.tools", "tensorflow_hub.tools is not there under modhub. make_image_classifier"),
        (
            "hub.keras_layer.load",
            "tensorflow_hub.keras_layer.load is not there .*Known names: 'KerasLayer'",
        ),
    ],
)
def test_a_name_that_is_not_there_is_an_attribute_error(expression: str, says: str) -> None:
    hub = install_as_tensorflow_hub()
    with pytest.raises(errors.NotCoveredNameError, match=says):
        eval(expression, {"hub": hub})


def test_a_tensorflow_hub_that_was_imported_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType("tensorflow_hub")
    real.__file__ = "somewhere/tensorflow_hub/__init__.py"
    monkeypatch.setitem(sys.modules, "tensorflow_hub", real)
    with pytest.raises(errors.GraphError, match="was imported before, from somewhere"):
        install_as_tensorflow_hub()
    assert sys.modules["tensorflow_hub"] is real


def test_one_that_is_installed_and_was_not_imported_stays_out(tmp_path: Path) -> None:
    (tmp_path / "tensorflow_hub").mkdir()
    (tmp_path / "tensorflow_hub" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "tensorflow_hub" / "tools.py").touch()
    source = """
import sys
from modhub.compat import install_as_tensorflow_hub
install_as_tensorflow_hub()
import tensorflow_hub
assert tensorflow_hub.__version__.startswith("0.12.0+modhub")
try:
    import tensorflow_hub.tools
except ImportError as error:
    print(type(error).__name__)
assert "tensorflow" not in sys.modules
"""
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path}:{env['PYTHONPATH']}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "NotCoveredImportError\n"
