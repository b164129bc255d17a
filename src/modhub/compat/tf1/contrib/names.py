"""names_from: the names of a part of tf.contrib, taken from where they are today."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from modhub.compat.tf1.absent import not_an_attribute

__all__ = ["names_from"]


def names_from(part: str, *sources: Any, modules: Sequence[str] = ()) -> Callable[[str], Any]:
    """Return a `__getattr__` for the module that stands for a part of tf.contrib.

    Args:
      part: its name, such as "lookup".
      *sources: the modules or classes that have its names now; the first one counts.
      modules: those of their names that may be modules; all others are what the sources import for themselves.

    Returns:
      The function. A name that no source has is a NotCoveredNameError.
    """

    def __getattr__(name: str) -> Any:
        if not name.startswith("_"):
            for source in sources:
                value = getattr(source, name, None)
                if value is not None and (name in modules or not isinstance(value, ModuleType)):
                    return value
        raise not_an_attribute(f"tensorflow.contrib.{part}", name)

    return __getattr__
