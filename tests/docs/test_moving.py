"""docs/moving.md leaves out no name of tensorflow_hub, and names nothing that modhub lacks."""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import re
from pathlib import Path

import pytest
import tensorflow as tf

import modhub as hub
from modhub.core.tensorflow_errors import tensorflow_classes
from tests.docs.page import read_page

PAGE = read_page("docs/moving.md")
# `__all__` of tensorflow_hub 0.12.0 to 0.15.0, and what was exported without being in it.
OLD_NAMES = [
    "ImageModuleInfo",
    "KerasLayer",
    "LatestModuleExporter",
    "Module",
    "ModuleSpec",
    "__version__",
    "add_signature",
    "attach_image_module_info",
    "attach_message",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "eval_function_for_module",
    "get_expected_image_size",
    "get_num_image_channels",
    "image_embedding_column",
    "load",
    "load_module_spec",
    "register_module_for_export",
    "resolve",
    "sparse_text_embedding_column",
    "text_embedding_column",
    "text_embedding_column_v2",
]
# resolver.py of tensorflow_hub 0.16.1, and what decides which Keras its layer is of
OLD_ENVIRONMENT = [
    "TFHUB_CACHE_DIR",
    "TFHUB_DISABLE_CERT_VALIDATION",
    "TFHUB_DOWNLOAD_PROGRESS",
    "TFHUB_MODEL_LOAD_FORMAT",
    "TF_USE_LEGACY_KERAS",
]
# setup.py of tensorflow_hub 0.12.0: what the package installed as commands
OLD_COMMANDS = ["make_image_classifier", "make_nearest_neighbour_index"]
# Of tensorflow_hub 0.15.0, by inspect.signature, without `self`.
OLD_SIGNATURES = Path(__file__).with_name("tensorflow_hub_signatures.txt").read_text(encoding="utf-8").splitlines()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table of a section, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def test_every_old_name_has_a_row() -> None:
    listed = [old.strip("`") for old, _, _ in rows("The names")]
    assert sorted(name for name in listed if "." not in name) == sorted(OLD_NAMES)


def test_a_row_gives_the_same_name_in_modhub() -> None:
    assert [(old, new) for old, new, _ in rows("The names") if new != f"`hub.{old.strip('`')}`"] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(?:hub|modhub)\.([\w.]+\w)", PAGE))))
def test_a_name_of_modhub_exists(name: str) -> None:
    found: object = hub
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("old", OLD_SIGNATURES)
def test_arguments_are_those_of_the_old_name(old: str) -> None:
    name, _, arguments = old.removesuffix(")").partition("(")
    parameters = [
        parameter
        for parameter in inspect.signature(functools.reduce(getattr, name.split("."), hub)).parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.KEYWORD_ONLY
    ]
    found = [re.sub(r": [^=]*?(?= = |$)", "", str(parameter)).replace(" = ", "=") for parameter in parameters]
    expected = [argument for argument in arguments.split(", ") if argument]
    positional = [argument for argument in expected if not argument.startswith("**")]
    assert found[: len(positional)] == positional
    assert ("**kwargs" in found) == ("**kwargs" in expected)


def test_every_setting_and_command_is_told() -> None:
    told = "".join(row[0] for heading in ("Settings", "What is not there") for row in rows(heading))
    assert [name for name in [*OLD_ENVIRONMENT, *OLD_COMMANDS] if f"`{name}`" not in told] == []


@pytest.mark.parametrize(("old", "new"), [(old, new) for _, old, new in rows("Errors")])
def test_an_error_is_what_old_code_catches(old: str, new: str) -> None:
    error = getattr(hub.errors, new.strip("`"))
    with pytest.raises(error) as caught, tensorflow_classes():  # as it is raised where TensorFlow is
        raise error("")
    for name in re.findall(r"`([\w.]+)`", old):
        expected = getattr(tf.errors, name.removeprefix("tf.errors.")) if "." in name else getattr(builtins, name)
        assert isinstance(caught.value, expected), f"{new} is no {name}"
