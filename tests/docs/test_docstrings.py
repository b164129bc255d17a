"""The examples in docstrings run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import modhub

MODULES = sorted(module.name for module in pkgutil.walk_packages(modhub.__path__, "modhub."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_what_users_call_has_an_example() -> None:
    callables = [
        "Module",
        "add_signature",
        "attach_message",
        "create_module_spec",
        "eval_function_for_module",
        "export_module",
        "load",
        "KerasLayer",
        "LoadedModule",
    ]
    assert [name for name in callables if ">>>" not in (getattr(modhub, name).__doc__ or "")] == []
