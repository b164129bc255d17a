"""prepare_children: processes that `multiprocessing` starts import the script again, and need TensorFlow 1 for that.

A process that is forked has all that its parent has. One that is spawned is a new Python, which unpickles what its
parent says of itself before it imports the parent's `__main__`: something among that installs TensorFlow 1 first.
"""

from __future__ import annotations

import multiprocessing.spawn
from collections.abc import Callable
from typing import Any

from modhub.compat.tf1.importing import install, packages_of_scripts

__all__ = ["prepare_children"]


class _Installs:
    """What installs TensorFlow 1 where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[tuple[str, ...]]]:
        return _install_in_child, (packages_of_scripts(),)


def prepare_children() -> None:
    """Give the processes that `multiprocessing` spawns from here on TensorFlow 1, and their children."""
    says = multiprocessing.spawn.get_preparation_data
    if hasattr(says, "of_modhub"):
        return

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {"modhub": _Installs(), **says(name)}

    get_preparation_data.of_modhub = True  # type: ignore[attr-defined] # by which a second call knows it
    multiprocessing.spawn.get_preparation_data = get_preparation_data


def _install_in_child(packages: tuple[str, ...]) -> None:
    install(packages)
    prepare_children()
